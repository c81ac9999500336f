"""Ids are opaque: whatever they hold, each is kept, and no two are taken for one."""

import unicodedata
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.consumer.delivery import by_profile
from receiver.domain.version import timestamp, version
from tests.factories import NOON, make_body, make_delivery, make_event
from tests.hostile.world import MARK, Verdict, World
from tests.strategies import ids

# Ids that somebody or something might take for one another.
FAMILIES = {
    "normal forms": ["é", "e\u0301", "\u0065\u0301\u0323", "ẹ\u0301", "e\u0323\u0301"],
    "Kelvin": ["K", "k", "\u212a", "\u041a", "\u039a", "\uff2b"],
    "Angstrom": ["Å", "A\u030a", "\u212b"],
    "ligatures": ["ﬁ", "fi", "f\u200di", "f\u200ci"],
    "full width": [
        *("\uff11\uff12\uff13\uff14\uff15", "12345", "①②③④⑤", "١٢٣٤٥"),
        *("\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7d2\U0001d7d3", "012345", "12345.0"),
    ],
    "invisible": ["a", "a\u200b", "\u200ba", "a\u00ad", "a\ufeff", "\u2060a", "a\u034f", "a\ufe0f"],
    "direction": ["ab", "\u202eab", "ab\u202c", "\u200fab", "ab\u200e", "\u2067ab\u2069"],
    "case": ["Tenant", "tenant", "TENANT", "tenanT", "ß", "ss", "SS", "ẞ", "\u0131", "i", "I", "İ"],
    "space": [
        *("x", " x", "x ", "  x", "x\t", "\nx", "x\n", "x\r\n", "x\u00a0", "x\u3000", "x\u2028"),
    ],
    "only space": [" ", "  ", "\t", "\n", "\r", "\u00a0", "\u2003", "\u200b", "\ufeff", "\u3164"],
    "zero": ["a", "a\0", "\0a", "\0", "\0\0", "0", "\\0", "\\u0000", "null", "None", "nil"],
    "separators": [
        *("a#b", "a/b", "a|b", "a:b", "a,b", "a;b", "a\\b", "a.b", "a b", "a\x1fb", "a\x1eb"),
    ],
    "quotes": ['"', "'", '\\"', "\\'", "`", "“", "”", "«", '""', "''"],
    "ends of planes": [
        *("\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0010ffff"),
    ],
    "emoji": ["👨‍👩‍👧", "👨👩👧", "👍", "👍🏽", "🇩🇪", "🇩\u200b🇪", "❤", "❤\ufe0f"],
    "tests": [
        *("true", "false", "__proto__", "..", "../x", "%2e%2e", "%00", "{}", "[]", "${id}", "*"),
    ],
}  # fmt: skip
LOOKALIKES = [pytest.param(members, id=name) for name, members in FAMILIES.items()]


@pytest.mark.parametrize("alike", LOOKALIKES)
@pytest.mark.parametrize("field", ["tenant_id", "profile_id"])
def test_ids_that_look_alike_are_different_profiles(
    world: World, field: str, alike: list[str]
) -> None:
    events = [make_event(f"evt-{n}", note=n, **{field: one}) for n, one in enumerate(alike)]
    assert [world.journey(make_body(event), keep=True) for event in events] == (
        [Verdict.KEPT] * len(alike)
    )

    found = [world.item(event, delete=True) for event in events]

    assert [item["data"]["note"] for item in found if item] == list(range(len(alike)))


@pytest.mark.parametrize("alike", LOOKALIKES)
def test_event_ids_that_look_alike_are_different_versions(alike: list[str]) -> None:
    versions = {version(timestamp(NOON), "ready", one) for one in alike}

    assert len(versions) == len(set(alike)) == len(alike)


def test_the_families_of_lookalikes_hold_different_normal_forms() -> None:
    """Otherwise an editor that normalizes this file would have emptied the tests above."""
    merged = {
        name
        for name, members in FAMILIES.items()
        for one, other in combinations(members, 2)
        if unicodedata.normalize("NFKC", one).casefold()
        == unicodedata.normalize("NFKC", other).casefold()
    }

    assert merged >= {"normal forms", "Kelvin", "Angstrom", "ligatures", "full width", "case"}


@pytest.mark.parametrize("character", ["x", "é", "\uffff", "😀", "\U0010ffff", "\0", " ", "\u0301"])
@pytest.mark.parametrize("field", ["event_id", "event_type", "tenant_id", "profile_id"])
def test_an_id_has_up_to_128_characters_whatever_their_bytes(
    world: World, field: str, character: str
) -> None:
    longest: Any = {field: character * 128}
    longer: Any = {field: character * 129}
    taken = Verdict.RECORDED if field == "event_type" else Verdict.KEPT

    assert world.journey(make_body(make_event(**longest, note=MARK))) is taken
    assert world.journey(make_body(make_event(**longer, note=MARK))) is Verdict.REFUSED


@settings(max_examples=30)
@given(event_id=ids, tenant_id=ids, profile_id=ids)
def test_any_ids_are_kept_as_they_are(
    world: World, event_id: str, tenant_id: str, profile_id: str
) -> None:
    event = make_event(event_id, tenant_id=tenant_id, profile_id=profile_id, note=MARK)

    assert world.journey(make_body(event)) is Verdict.KEPT
    assert (world.kept["tenant_id"], world.kept["profile_id"]) == (tenant_id, profile_id)


# Few characters, so that two ids are often equal when they are put together.
tricky = st.text(st.sampled_from("a#/|:\0\n\"'\\ "), min_size=1, max_size=3)


@given(pairs=st.lists(st.tuples(tricky | ids, tricky | ids), min_size=1, max_size=6))
def test_a_batch_is_grouped_by_the_pair_and_by_nothing_less(pairs: list[tuple[str, str]]) -> None:
    deliveries = [
        make_delivery(make_event(f"evt-{n}", tenant_id=tenant, profile_id=profile))
        for n, (tenant, profile) in enumerate(pairs)
    ]

    groups = [
        {(d.event.tenant_id, d.event.profile_id) for d in group} for group in by_profile(deliveries)
    ]
    assert sorted(map(sorted, groups)) == [[pair] for pair in sorted(set(pairs))]
