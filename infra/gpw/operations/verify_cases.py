"""The events that `gpw verify` sends and the results that it expects, without I/O."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gpw.history import history
from gpw.listening.bus_event import BusEvent
from gpw.operations.checks import Check
from gpw.operations.proof import Item, Ledger, check_profile
from gpw.operations.sample import fresh
from gpw.operations.traffic import PlannedDelivery
from receiver.domain import exact_json, strict_json
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.publisher.entry import MAX_ENTRY_BYTES, entry, entry_bytes

WHO = re.compile(r"gpw-verify-[0-9a-f]{16}", re.ASCII)
UNKNOWN_TYPE = "gpw.verify"
# Not `ready`, because that would fetch profiles from GetProfile and start most rules' workflows.
OTHER_STATUS = "gpw-verify"
LARGE_BYTES = 262_144
LATENCY_EVENTS, LATENCY_RATE = 40, 8.0  # a second
MARK = "never-echoed-0d7f"  # part of the refused bodies; no response may contain it
NUMBERS = {
    "integer": 12345678901234567890123456789012345678,  # DynamoDB's 38 digits
    "beyond_a_float": 9007199254740993,
    "fraction": Decimal("0.1000000000000000000000000000000001"),
    "huge": Decimal("1E+100"),
    "tiny": Decimal("-1.5E-100"),
}
# Text with characters that break separators, escapes and encodings.
UNICODE = 'prüfung 🧪 "#|\\ \u202e日本語 e\u0301'


@dataclass(frozen=True)
class Case:
    """Events of one profile, and what is promised for them.

    first: sent immediately. later: sent after the first ones are in the history. outcomes: by event
    id, for events with only one right outcome. state: whether the profile gets a row.
    """

    name: str
    promise: str
    profile: str
    first: tuple[PlannedDelivery, ...]
    outcomes: Mapping[str, Outcome]
    later: tuple[PlannedDelivery, ...] = ()
    state: bool = True

    @property
    def deliveries(self) -> tuple[PlannedDelivery, ...]:
        return self.first + self.later


@dataclass(frozen=True)
class Refusal:
    """A body that must be refused. fields: named in the response. reason: of the dead letter."""

    name: str
    body: bytes
    status: int
    reason: str
    fields: frozenset[str] = frozenset()
    content_type: str = "application/json"


def tenant_name(random_hex: str) -> str:
    """The name of a run's own tenant."""
    return f"gpw-verify-{random_hex}"


def is_tenant(name: str) -> bool:
    """Whether `tenant_name` has made this name."""
    return WHO.fullmatch(name) is not None


def wrong_secret(tenant: str) -> str:
    """A valid but wrong token. It depends only on the tenant, so that the cleanup knows it."""
    return f"{tenant}-wrong-secret"


def profiles_of(tenant: str) -> list[str]:
    """All profiles of a run."""
    now = datetime.fromisoformat("2023-10-01T12:00:00Z")
    made = [case.profile for case in cases(tenant, now, LARGE_BYTES)]
    return [*made, *(one.profile for one in latency_deliveries(tenant, now))]


# ---------------------------------------------------------------- the events


def cases(tenant: str, now: datetime, max_body_bytes: int) -> list[Case]:
    """The cases of a run. max_body_bytes: the stack's MaxBodyBytes."""

    def event(profile: str, name: str, status: str = OTHER_STATUS, age: int = 0) -> PlannedDelivery:
        return _delivery(tenant, profile, name, now - timedelta(seconds=age), status)

    once = event("duplicates", "duplicate")
    newer, older = event("disorder", "newer"), event("disorder", "older", age=60)
    tied = [
        event("same-second", "b"),  # the newest: by its status, then by its id
        event("same-second", "c", "processing"),
        event("same-second", "d", "summarizing"),
        event("same-second", "a"),
    ]
    large = _large(tenant, now, min(LARGE_BYTES, max_body_bytes))
    numbers = _delivery(tenant, "numbers", "numbers", now, data={"numbers": NUMBERS})
    text = _delivery(tenant, UNICODE, UNICODE, now, data={UNICODE: [UNICODE]})
    unknown = _delivery(tenant, "unknown-type", "unknown", now, kind=UNKNOWN_TYPE)
    applied, stale = Outcome.APPLIED, Outcome.STALE
    return [
        Case(
            "duplicates",
            "an event that was sent three times is in the history once",
            once.profile,
            (once,),  # it has already been sent once to check the response
            {once.event_id: applied},
            later=(once,),
        ),
        Case(
            "disorder",
            "the newest event is the state; the older one that arrived later is stale",
            newer.profile,
            (newer,),
            {newer.event_id: applied, older.event_id: stale},
            later=(older,),
        ),
        Case(
            "same second",
            "of four events of one second, status and id decide which one is the newest",
            tied[0].profile,
            tuple(tied),
            {tied[0].event_id: applied},
        ),
        Case(
            "large body",
            f"{len(large.body):,} bytes are in state and history, unchanged",
            large.profile,
            (large,),
            {large.event_id: applied},
        ),
        Case(
            "numbers",
            "huge and precise numbers are in state and history with every digit",
            numbers.profile,
            (numbers,),
            {numbers.event_id: applied},
        ),
        Case(
            "Unicode",
            "ids of any Unicode are kept apart and unchanged",
            text.profile,
            (text,),
            {text.event_id: applied},
        ),
        Case(
            "unknown type",
            "an event of an unknown type is recorded and makes no state",
            unknown.profile,
            (unknown,),
            {unknown.event_id: Outcome.RECORDED},
            state=False,
        ),
    ]


def latency_deliveries(tenant: str, now: datetime) -> list[PlannedDelivery]:
    """Events that measure latencies, evenly spread, each of a different profile."""
    return [
        _delivery(
            tenant,
            f"latency-{number}",
            f"latency-{number}",
            now,
            at=number / LATENCY_RATE,
        )
        for number in range(LATENCY_EVENTS)
    ]


def refusals(tenant: str, now: datetime, max_body_bytes: int) -> list[Refusal]:
    """The bodies that ingest must refuse. Each names the tenant, to find its dead letter."""

    def body(**changes: Any) -> bytes:
        event = fresh(f"{tenant}-refused", now, tenant=tenant, profile=MARK, status=OTHER_STATUS)
        return json.dumps(event | changes).encode()

    tomorrow = f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    return [
        Refusal(
            "not an event",
            body(event="", created_at=MARK),
            400,
            "invalid_event",
            frozenset({"event", "created_at"}),
        ),
        Refusal(
            "future",
            body(created_at=tomorrow),
            400,
            "created_at_in_future",
            frozenset({"created_at"}),
        ),
        Refusal("not JSON", f'{{"tenant_id": "{tenant}", {MARK}'.encode(), 400, "not_json"),
        Refusal("too large", body(note="x" * max_body_bytes), 413, "body_too_large"),
        Refusal("content type", body(), 415, "content_type", content_type="text/plain"),
    ]


def not_storable(tenant: str, now: datetime) -> PlannedDelivery:
    """An event that ingest accepts but no table can hold, so the consumer dead-letters it."""
    number = {"number": Decimal("1E+200")}  # DynamoDB's numbers end at 1E+126
    return _delivery(tenant, "not-storable", "not-storable", now, data=number)


NOT_STORABLE = "not_storable"


def _delivery(
    tenant: str,
    profile: str,
    name: str,
    created_at: datetime,
    status: str = OTHER_STATUS,
    *,
    data: Mapping[str, Any] | None = None,
    kind: str = "profile.updated",
    at: float = 0.0,
) -> PlannedDelivery:
    event_id = f"{tenant}-{name}"
    event = fresh(event_id, created_at, tenant=tenant, profile=profile, status=status)
    event |= {"event": kind, "data": event["data"] | (data or {})}
    body = exact_json.dumps(event)
    return PlannedDelivery(at, event_id, profile, parse_event(body).version, body.encode())


def _large(tenant: str, now: datetime, size: int) -> PlannedDelivery:
    """An event whose body has exactly that many bytes."""

    def with_text(length: int) -> PlannedDelivery:
        return _delivery(tenant, "large", "large", now, data={"text": "x" * length})

    return with_text(size - len(with_text(0).body))


# ---------------------------------------------------------------- state and history


def problems(case: Case, ledger: Ledger, found: Sequence[Item], row: Item | None) -> list[str]:
    """The problems of a case, in words. found: the profile's history."""
    sent = {delivery.event_id: delivery for delivery in case.deliveries}
    wrong = [_refused(name, ledger) for name in sent if name not in ledger.accepted]
    if case.state:
        here = [delivery for name, delivery in sent.items() if name in ledger.accepted]
        wrong += check_profile(case.profile, here, set(sent), found, row)
    elif row is not None:
        wrong.append(f"{case.profile} has a row")
    by_id = {item["event_id"]: item for item in found}
    for name, delivery in sent.items():
        item = by_id.get(name)
        if item is None:
            if not case.state:
                wrong.append(f"{name} is not in the history")
            continue
        right = case.outcomes.get(name)
        if right and item.get("outcome") != right:
            wrong.append(f"{name} has the outcome {item.get('outcome')}, not {right}")
        if not _same(item, delivery):
            wrong.append(f"{name} has another content in the history")
    if case.state and row is not None:
        newest = max(sent.values(), key=lambda delivery: delivery.version)
        if row.get("data") != parse_event(newest.body).data:
            wrong.append(f"{case.profile} has another content in its row")
    return list(dict.fromkeys(wrong))


def _same(item: Item, delivery: PlannedDelivery) -> bool:
    try:
        kept = parse_event(history.body(dict(item)))
    except (KeyError, ValueError):  # another version
        return False
    return kept.content.same_as(parse_event(delivery.body).content)


def _refused(event_id: str, ledger: Ledger) -> str:
    match ledger.statuses.get(event_id):
        case None:
            return f"{event_id} was not sent, because those before it did not arrive"
        case 0:
            return f"{event_id} was not answered"
        case status:
            return f"{event_id} was answered with {status}, not 200"


def check_case(case: Case, ledger: Ledger, found: Sequence[Item], row: Item | None) -> Check:
    """The result of a case, as one check."""
    wrong = problems(case, ledger, found, row)
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Check(case.name, False, f"{wrong[0]}{more}", "gpw doctor; gpw tail --errors")
    return Check(case.name, True, case.promise)


# ---------------------------------------------------------------- the bus


def check_bus(
    items: Sequence[Item], arrived: Mapping[str, Sequence[BusEvent]], bus: str
) -> Iterator[Check]:
    """Check that each event of the history arrived once and unchanged. arrived: by event id."""
    missing = [item["event_id"] for item in items if not arrived.get(item["event_id"])]
    twice = [name for name, events in arrived.items() if len(events) > 1]
    wrong: list[str] = []
    unsure: list[str] = []
    omitted: list[str] = []
    for item in items:
        for event in arrived.get(item["event_id"], []):
            problem, certain = _bus_problem(item, event, bus)
            if problem:
                (wrong if certain else unsure).append(f"{item['event_id']} {problem}")
            elif event.incomplete:
                omitted.append(str(item["event_id"]))
    if not items:
        yield Check("bus", None, "nothing is in the history, so nothing can be published")
    elif missing:
        yield Check(
            "bus",
            False,
            f"{len(missing)} of {len(items)} events did not arrive, such as {missing[0]}",
            "gpw doctor checks publisher and bus; gpw dlq ls",
        )
    elif not wrong:
        yield Check(
            "bus",
            True,
            f"{len(items)} events arrived, with outcome and version as in the history",
        )
    for text in wrong:
        yield Check("bus", False, text)
    for text in unsure:
        yield Check("bus", None, text)
    if twice:
        yield Check(
            "bus",
            None,
            f"{len(twice)} events arrived more than once, which EventBridge permits",
            "workflows must be idempotent by detail.id",
        )
    for name in omitted:
        yield Check("bus", True, f"{name} arrived with data_omitted, as documented")


def _bus_problem(item: Item, event: BusEvent, bus: str) -> tuple[str, bool]:
    """The problem of an event on the bus, and whether it is certain."""
    whole = entry(dict(item), bus)
    expected = strict_json.loads(whole["Detail"])
    detail = event.detail
    for name in ("outcome", "version"):
        if detail.get(name) != expected[name]:
            return f"arrived with another {name} than in the history", True
    too_large = entry_bytes(whole) > MAX_ENTRY_BYTES
    if event.incomplete:
        fine = too_large or _beyond_64_bits(expected)
        return ("" if fine else "arrived with data_omitted, although the bus takes it", True)
    if too_large:
        return "arrived whole, although it is larger than the publisher sends", True
    if detail == expected:
        return "", True
    if _any_number(expected["data"]):
        return "arrived with other numbers; the history has them exactly", False
    return "arrived with another content than in the history", True


def _numbers(value: Any) -> Iterator[int | Decimal]:
    left = [value]
    while left:
        match left.pop():
            case dict() as one:
                left.extend(one.values())
            case list() as many:
                left.extend(many)
            case bool():
                pass
            case int() | Decimal() as number:
                yield number


def _any_number(value: Any) -> bool:
    return any(True for _ in _numbers(value))


def _beyond_64_bits(value: Any) -> bool:
    """Whether the value has an integer that EventBridge may be unable to read."""
    return any(
        number == int(number) and not -(2**63) <= number < 2**63 for number in _numbers(value)
    )
