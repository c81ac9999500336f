import pytest

from ingest.entrance import Entrance
from ingest.request import Request


def request(source_ip: str = "192.0.2.7", domain_name: str = "webhooks.example.com") -> Request:
    return Request({}, b"", source_ip, domain_name)


@pytest.mark.parametrize(
    ("source_ip", "reason"),
    [
        ("192.0.2.7", None),
        ("192.0.3.7", "source_address"),
        ("2001:db8::7", None),
        ("2001:db9::7", "source_address"),
        ("::ffff:192.0.3.7", "source_address"),
        ("", "source_address"),
        ("192.0.2.7, 192.0.2.8", "source_address"),
    ],
)
def test_only_the_named_networks_may_knock(source_ip: str, reason: str | None) -> None:
    entrance = Entrance.of("192.0.2.0/24, 2001:db8::/32", "")

    assert entrance.refusal(request(source_ip)) == reason


@pytest.mark.parametrize(
    ("domain_name", "reason"),
    [
        ("webhooks.example.com", None),
        ("Webhooks.Example.com", None),
        ("a1b2c3.execute-api.us-east-1.amazonaws.com", "generated_url"),
        ("webhooks.example.com.evil.example", "generated_url"),
        ("", "generated_url"),
    ],
)
def test_only_the_named_domain_may_be_knocked_at(domain_name: str, reason: str | None) -> None:
    entrance = Entrance.of("", "webhooks.example.com")

    assert entrance.refusal(request(domain_name=domain_name)) == reason


def test_what_is_not_a_network_stops_the_function_instead_of_letting_everybody_in() -> None:
    with pytest.raises(ValueError, match="network"):
        Entrance.of("192.0.2.0/240", "")
