"""AllowedSourceCidrs: the template's pattern accepts exactly what IngestFunction can read."""

import re
from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.ingest.source_filter import SourceFilter
from tests.functional.cloud import TEMPLATE

PATTERN = re.compile(TEMPLATE["Parameters"]["AllowedSourceCidrs"]["AllowedPattern"])


def is_network(text: str) -> bool:
    """Whether Python reads it as ADDRESS/PREFIX, without the zone (`%`) that no network has."""
    if "%" in text or not re.fullmatch(r"[^/]+/[0-9]+", text, re.ASCII):
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


octets = st.integers(0, 255)
ipv4 = st.lists(octets, min_size=4, max_size=4).map(lambda four: ".".join(map(str, four)))
hextets = st.builds(
    lambda number, width, upper: f"{number:0{width}X}" if upper else f"{number:0{width}x}",
    st.integers(0, 0xFFFF) | st.just(0),
    st.integers(1, 4),
    st.booleans(),
)


@st.composite
def ipv6(draw: st.DrawFn) -> str:
    """An address in any form: whole or with `::` anywhere, with or without IPv4 at its end."""
    end = [draw(ipv4)] if draw(st.booleans()) else []
    room = 8 - 2 * len(end)
    if draw(st.booleans()):
        return ":".join([*(draw(hextets) for _ in range(room)), *end])
    given_ones = draw(st.integers(0, room - 1))
    before = draw(st.integers(0, given_ones))
    parts = [draw(hextets) for _ in range(given_ones)]
    return ":".join(parts[:before]) + "::" + ":".join([*parts[before:], *end])


prefix_zeros = st.sampled_from(["", "", "0", "000"])
networks = st.builds("{}/{}{}".format, ipv4, prefix_zeros, st.integers(0, 32)) | st.builds(
    "{}/{}{}".format, ipv6(), prefix_zeros, st.integers(0, 128)
)


@given(networks)
@example("0.0.0.0/0")
@example("::/0")
@example("::1.2.3.4/128")
@example("1:2:3:4:5:6:7::/127")
@example("::2:3:4:5:6:7:8/1")
@example("1:2:3:4:5:6:1.2.3.4/1")
def test_every_network_is_accepted_in_every_form(network: str) -> None:
    assert is_network(network)
    assert PATTERN.fullmatch(network)


@st.composite
def nearly_networks(draw: st.DrawFn) -> str:
    """A network in which some characters were left out, doubled or replaced."""
    text = list(draw(networks))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 2))] = draw(st.text("0129afAFg:./% \n-", max_size=2))
    return "".join(text)


@given(nearly_networks() | st.text("01259aF:./", max_size=30) | st.text())
@example("192.0.2.0/240")
@example("999.0.2.0/24")
@example("192.0.2.0/33")
@example("192.0.02.0/24")
@example("192.0.2.0/255.255.255.0")
@example("192.0.2.0")
@example("::/129")
@example(":::/8")
@example("1::2::3/8")
@example("1:2:3:4:5:6:7:8::/8")
@example("::1:2:3:4:5:6:7:8/8")
@example("1:2:3:4:5:6:7:1.2.3.4/8")
@example("1.2.3.4::/8")
@example("::1.2.3/8")
@example("::256.2.3.4/8")
@example("::12345/8")
@example(":1::/8")
@example("1:/8")
@example("fe80::%eth0/64")
@example("::/٣")
@example("::/8\n")
def test_the_pattern_and_python_agree_about_anything_else(text: str) -> None:
    if text and "," not in text:
        assert bool(PATTERN.fullmatch(text)) == is_network(text)


@given(st.lists(networks, max_size=4), st.sampled_from([",", ", "]))
def test_a_list_of_networks_is_accepted_and_none_of_them_is_lost(
    several: list[str], comma: str
) -> None:
    setting = comma.join(several)

    source_filter = SourceFilter.of(setting, "")

    assert PATTERN.fullmatch(setting)
    assert (len(source_filter.networks), source_filter.invalid) == (len(several), [])
    assert source_filter.restricted == bool(several)


def test_java_reads_a_list_of_any_length() -> None:
    """Its engine recurses for each entry, and with 512 KiB of stack it ended at some 60 networks.

    Not if the repetition is possessive; Python's engine fails on one with a group that captures.
    """
    longest = ",".join(["192.0.2.0/24"] * 315)  # CloudFormation takes 4,096 bytes

    assert PATTERN.pattern.endswith(")*+$")
    assert PATTERN.groups == 0
    assert PATTERN.fullmatch(longest)


@pytest.mark.parametrize(
    "setting", [",", "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.0/8,,::/0", "10.0.0.0/8 ::/0", " "]
)
def test_a_list_with_an_empty_entry_is_refused(setting: str) -> None:
    assert not PATTERN.fullmatch(setting)
