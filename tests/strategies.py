"""What hypothesis draws from: JSON values, events, and ways of delivering them."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.factories import make_event

# Unlike st.text() alone, with the halves of surrogate pairs that JSON can escape.
any_text = st.text(st.characters())
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)

numbers = st.one_of(
    st.integers().map(Decimal),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.builds(
        lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
        st.sampled_from([0, 1]),
        st.lists(st.integers(0, 9), min_size=1, max_size=45),
        st.one_of(st.integers(-180, 140), st.sampled_from([-(10**12), 10**12])),
    ),
)


# Any JSON value as `strict_json.loads` returns it, now and then nested too deeply to store.
json_values = st.builds(
    lambda value, levels: _nested(value, levels),  # noqa: PLW0108  defined below
    st.recursive(
        st.none() | st.booleans() | numbers | any_text,
        lambda members: (
            st.lists(members, max_size=4) | st.dictionaries(any_text, members, max_size=4)
        ),
        max_leaves=6,
    ),
    st.sampled_from([0, 0, 0, 1, 30, 33]),
)


def _nested(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"nested": value}
    return value


zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day away from both ends, where a moment has no UTC.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001


@dataclass(frozen=True)
class Rfc3339:
    """A timestamp as a sender may write it. second: without a fraction. digits: of the fraction."""

    second: datetime
    nanoseconds: int
    digits: int

    @property
    def text(self) -> str:
        local = self.second.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        fraction = f"{self.nanoseconds:09}"[: self.digits]
        zone = self.second.strftime("%:z")
        return f"{local}{'.' if fraction else ''}{fraction}{zone}"


def rfc3339() -> st.SearchStrategy[Rfc3339]:
    def cut(second: datetime, nanoseconds: int, digits: int) -> Rfc3339:
        unit = 10 ** (9 - digits)
        return Rfc3339(second.replace(microsecond=0), nanoseconds // unit * unit, digits)

    return st.builds(cut, moments, st.integers(0, 999_999_999), st.integers(0, 9))


def events(tenant_id: str = "abc-tenant") -> st.SearchStrategy[list[dict[str, Any]]]:
    """Events with different ids about few profiles in few seconds, so that ties are common."""
    event = st.builds(
        make_event,
        st.text(st.sampled_from("ab#é￿𐀀"), min_size=1, max_size=3),
        event_type=st.sampled_from(["profile.updated"] * 4 + ["test.unknown"]),
        tenant_id=st.just(tenant_id),
        profile_id=st.sampled_from(["1", "2", "1#2"]),
        status=st.sampled_from(["processing", "summarizing", "ready", "archived", None, 7]),
        created_at=st.sampled_from(
            [
                "2023-10-01T12:00:00Z",
                "2023-10-01T14:00:00+02:00",  # the same moment
                "2023-10-01T12:00:00.5Z",
                "2023-10-01T12:00:00.500000001Z",
                "2023-10-01T12:00:00.50000001Z",
                "2023-10-01T12:00:01Z",
                "2023-10-01T11:59:59-00:01",
            ]
        ),
        note=st.integers(0, 3),
    )
    return st.lists(event, min_size=1, max_size=8, unique_by=lambda e: e["id"])


@st.composite
def batches(draw: st.DrawFn, some_events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """A way of delivering: every event at least once, some again, in any order, in batches."""
    again = draw(st.lists(st.sampled_from(some_events), max_size=6))
    order = draw(st.permutations(some_events + again))
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=4)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
