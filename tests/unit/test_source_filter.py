import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ingest.request import Request
from receiver.ingest.source_filter import SourceFilter


def request(source_ip: str = "192.0.2.7", domain_name: str = "webhooks.example.com") -> Request:
    return Request({}, b"", source_ip, domain_name)


def status(
    source_filter: SourceFilter,
    source_ip: str = "192.0.2.7",
    domain_name: str = "webhooks.example.com",
) -> tuple[int | None, str | None]:
    """Status and reason of the refusal; None for a request that may go on."""
    refused = source_filter.refusal(request(source_ip, domain_name))
    return (refused.status, refused.reason) if refused else (None, None)


@pytest.mark.parametrize(
    ("source_ip", "reason"),
    [
        ("192.0.2.7", None),
        ("192.0.3.7", "source_address"),
        ("2001:db8::7", None),
        ("2001:db9::7", "source_address"),
        ("::ffff:192.0.2.7", None),
        ("::FFFF:c000:0207", None),
        ("::ffff:192.0.3.7", "source_address"),
        ("::192.0.2.7", "source_address"),
        ("", "source_address"),
        ("192.0.2.7, 192.0.2.8", "source_address"),
    ],
)
def test_only_the_named_networks_may_send(source_ip: str, reason: str | None) -> None:
    source_filter = SourceFilter.of("192.0.2.0/24, 2001:db8::/32", "")

    assert status(source_filter, source_ip) == (403 if reason else None, reason)


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
def test_only_the_named_domain_accepts_requests(domain_name: str, reason: str | None) -> None:
    source_filter = SourceFilter.of("", "webhooks.example.com")

    assert status(source_filter, domain_name=domain_name) == (403 if reason else None, reason)


INVALID = ["192.0.2.0/240", "999.0.2.0/24", "::/129", ":::/8", "192.0.2.0/-1", "x", "192.0.02.0/24"]


@pytest.mark.parametrize("invalid", INVALID)
def test_an_entry_that_is_not_a_network_allows_nobody_and_the_others_stay_in_force(
    invalid: str,
) -> None:
    source_filter = SourceFilter.of(f"192.0.2.0/24,{invalid} , 2001:db8::/32", "")

    assert source_filter.invalid == [invalid]
    assert (
        status(source_filter, "192.0.2.7") == status(source_filter, "2001:db8::7") == (None, None)
    )
    assert status(source_filter, "192.0.3.7") == (403, "source_address")


@pytest.mark.parametrize("cidrs", INVALID)
def test_if_no_entry_is_a_network_nobody_gets_in_and_the_sender_may_retry(cidrs: str) -> None:
    """A restriction that was asked for never becomes none, and 403 would be the sender's fault."""
    source_filter = SourceFilter.of(cidrs, "")

    assert status(source_filter, "192.0.2.7") == (503, "no_valid_network")
    assert status(source_filter, "") == (503, "no_valid_network")


@pytest.mark.parametrize("cidrs", ["", " ", ",", " , "])
def test_without_an_entry_everybody_may_send(cidrs: str) -> None:
    assert status(SourceFilter.of(cidrs, ""), "192.0.2.7") == (None, None)


@given(
    st.text() | st.lists(st.sampled_from(["10.0.0.0/8", "x", "::/0", "1.2.3.4/33"])).map(",".join)
)
def test_whatever_the_setting_is_the_function_starts_and_is_as_strict_as_asked(cidrs: str) -> None:
    source_filter = SourceFilter.of(cidrs, "")

    asked = any(one.strip() for one in cidrs.split(","))
    assert source_filter.restricted == asked
    assert len(source_filter.networks) + len(source_filter.invalid) == sum(
        bool(one.strip()) for one in cidrs.split(",")
    )
