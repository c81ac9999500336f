"""Compares a ledger with what arrived: history, state and bus."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpw.history import history
from gpw.listening.bus_event import BusEvent
from gpw.operations.checks import Check
from gpw.operations.lines import count_of
from gpw.operations.proof.arrived import Item, history_of, poll_seconds, row_of
from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.stack.target import Target
from receiver.domain import exact_json, strict_json
from receiver.domain.event import Event
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes

# A profile with problems is read again, because an unanswered event may be applied between reading
# the history and reading the row.
LOOKS = 3


@dataclass
class Proof:
    """What became of a ledger's events, by profile. problems: in words."""

    histories: dict[str, list[Item]] = field(default_factory=dict)
    rows: dict[str, Item | None] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """All events of the histories."""
        return [item for found in self.histories.values() for item in found]

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(str(item.get("outcome")) for item in self.items)

    @property
    def all_problems(self) -> list[str]:
        return [problem for found in self.problems.values() for problem in found]


def prove(target: Target, ledger: Ledger) -> Proof:
    """Compare the events that were sent with histories and rows."""
    proof, by_profile = Proof(), ledger.by_profile()
    left = list(by_profile)
    for attempt in range(LOOKS):
        if attempt and left:
            time.sleep(poll_seconds(target))
        for profile in left:
            found = proof.histories[profile] = history_of(target, ledger.tenant, profile)
            row = proof.rows[profile] = row_of(target, ledger.tenant, profile)
            sent = by_profile[profile]
            proof.problems[profile] = check_profile(profile, sent, ledger.accepted, found, row)
        left = [profile for profile in left if proof.problems[profile]]
    return proof


def check_profile(
    profile: str,
    sent: Mapping[str, PlannedDelivery],
    accepted: Mapping[str, PlannedDelivery],
    found: Sequence[Item],
    row: Item | None,
) -> list[str]:
    """The problems of one profile, in words. found: its history.

    sent: its events, by id. One that was not accepted may also be in the history, because its
    response may have been lost.
    """
    by_id = {item["event_id"]: item for item in found}
    problems = [
        f"{name} was accepted but is not in the history"
        for name in sent
        if name in accepted and name not in by_id
    ]
    if len(by_id) != len(found):
        problems.append(f"{profile} has an event twice in its history")
    states = []  # the events that set the profile's state
    for name, item in by_id.items():
        if name not in sent:
            problems.append(f"{name} was never sent")
            continue
        event = parse_event(sent[name].body)
        problems += _event_problems(sent[name], event, item)
        if event.profile_state() is not None:
            states.append((event, item))
    if states:
        event, item = max(states, key=lambda pair: pair[1]["version"])
        problems += _state_problems(profile, event, item, row)
    elif row is not None:
        problems.append(f"{profile} has a row")
    return problems


def _event_problems(sent: PlannedDelivery, event: Event, item: Item) -> Iterator[str]:
    name, outcome = sent.event_id, item.get("outcome")
    possible = {Outcome.APPLIED, Outcome.STALE} if event.profile_state() else {Outcome.RECORDED}
    if item["version"] != sent.version:
        yield f"{name} has another version in the history"
    if outcome not in possible:
        yield f"{name} has the outcome {outcome}"
    elif sent.outcome and outcome != sent.outcome:
        yield f"{name} has the outcome {outcome}, not {sent.outcome}"
    try:
        same = parse_event(history.body(dict(item))).content.same_as(event.content)
    except (KeyError, ValueError):  # another version
        same = False
    if not same:
        yield f"{name} has another content in the history"


def _state_problems(profile: str, newest: Event, item: Item, row: Item | None) -> Iterator[str]:
    """newest: the event that the profile must be at. item: the same in the history."""
    if item.get("outcome") == Outcome.STALE:
        yield f"{newest.id} is its profile's newest event but is stale"
    if row is None:
        yield f"{profile} has no row"
    elif row["version"] != item["version"]:
        yield f"{profile} is not at its newest event, {newest.id}"
    elif row.get("data") != newest.data:
        yield f"{profile} has another content in its row"


# ---------------------------------------------------------------- the bus


def check_bus(
    items: Sequence[Item], arrived: Mapping[str, Sequence[BusEvent]], bus: str
) -> Iterator[Check]:
    """Check that each event of the history arrived once and unchanged. arrived: by event id."""
    missing = [str(item["event_id"]) for item in items if not arrived.get(item["event_id"])]
    twice = sum(len(events) > 1 for events in arrived.values())
    some: list[Check] = []
    for item in items:
        name = str(item["event_id"])
        for event in arrived.get(name, []):
            well, problem = _on_bus(item, event, bus)
            if problem:
                some.append(Check("bus", well, f"{name} {problem}"))
    if not items:
        yield Check("bus", None, "nothing is in the history, so nothing can be published")
    elif missing:
        found = f"{len(missing)} of {count_of(len(items), 'event')} did not arrive, such as "
        fix = "gpw doctor checks publisher and bus; gpw dlq ls"
        yield Check("bus", False, f"{found}{missing[0]}", fix)
    elif all(one.well is not False for one in some):
        found = f"{count_of(len(items), 'event')} arrived, with outcome and version as in the "
        yield Check("bus", True, f"{found}history")
    yield from sorted(some, key=lambda one: (False, None, True).index(one.well))
    if twice:
        found = f"{count_of(twice, 'event')} arrived more than once, which EventBridge permits"
        yield Check("bus", None, found, "workflows must be idempotent by detail.id")


def _on_bus(item: Item, event: BusEvent, bus: str) -> tuple[bool | None, str]:
    """What is remarkable about an event on the bus, and whether it is as it should be."""
    whole = entry(dict(item), bus)
    expected, rounded = strict_json.loads(whole["Detail"]), _rounded(whole["Detail"])
    detail = event.detail
    for name in ("outcome", "version"):
        if detail.get(name) != expected[name]:
            return False, f"arrived with another {name} than in the history"
    too_large = entry_bytes(whole) > MAX_ENTRY_BYTES
    if event.incomplete:
        well = too_large or expected != rounded  # the bus can't read every number
        why = "as documented" if well else "although the bus takes it"
        return well, f"arrived with data_omitted, {why}"
    if too_large:
        return False, "arrived whole, although it is larger than the publisher sends"
    if detail == expected:
        return True, ""
    if _rounded(exact_json.dumps(detail)) == rounded:
        return None, "arrived with other numbers; the history has them exactly"
    return False, "arrived with another content than in the history"


def _rounded(text: str) -> Any:
    """A JSON document with all its numbers as floats."""
    return json.loads(text, parse_int=float)
