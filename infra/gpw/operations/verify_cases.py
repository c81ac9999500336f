"""What `gpw verify` sends and what must become of it, as tables, without I/O."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gpw.operations.checks import Check
from gpw.operations.proof import ledger
from gpw.operations.proof.compare import Proof
from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.operations.sample import fresh
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.webhook import NO_TOKEN, OK, WRONG_TOKEN, WebhookResponse
from receiver.domain import exact_json
from receiver.domain.outcome import Outcome

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
FIX = "gpw doctor; gpw tail --errors"


@dataclass(frozen=True)
class Case:
    """Events, and what is promised for them.

    first: sent immediately. later: sent after the first ones are in the history.
    """

    name: str
    promise: str
    first: tuple[PlannedDelivery, ...]
    later: tuple[PlannedDelivery, ...] = ()

    @property
    def deliveries(self) -> tuple[PlannedDelivery, ...]:
        return self.first + self.later

    @property
    def profiles(self) -> list[str]:
        return list(dict.fromkeys(one.profile for one in self.deliveries))


@dataclass(frozen=True)
class Exchange:
    """A request, and the response that it must get.

    text: the whole response; empty for a JSON document that names `fields`. reason: that of the
    dead letter, if the body becomes one. secret: the one that it carries, if not the stack's.
    """

    name: str
    body: bytes
    status: int
    text: str = ""
    reason: str = ""
    fields: frozenset[str] = frozenset()
    content_type: str = "application/json"
    scheme: str = "Bearer"
    secret: str | None = ""


@dataclass(frozen=True)
class RunPlan:
    """All that a run sends. exchanges: the first is that of the first event of the cases.

    measured: events that measure latencies. poison: accepted, but no table can hold it.
    """

    cases: list[Case]
    measured: Case
    poison: PlannedDelivery
    exchanges: list[Exchange]

    @property
    def requests(self) -> int:
        """The number of requests."""
        in_cases = sum(len(case.deliveries) for case in (*self.cases, self.measured))
        return len(self.exchanges) + in_cases + 1

    @property
    def profiles(self) -> list[str]:
        """All profiles; MARK is that of refused bodies, in case one is accepted."""
        cases = (*self.cases, self.measured)
        return [*(profile for case in cases for profile in case.profiles), MARK]

    @property
    def dead_letters(self) -> Counter[str]:
        """The dead letters that it makes, by reason."""
        return Counter([self.poison.reason, *(one.reason for one in self.exchanges if one.reason)])


def run_plan(tenant: str, now: datetime, max_body_bytes: int = LARGE_BYTES) -> RunPlan:
    """All that a run of this tenant sends. max_body_bytes: the stack's MaxBodyBytes."""
    cases = _cases(tenant, now, max_body_bytes)
    first = Exchange("an event", cases[0].first[0].body, 200, OK)
    refused = _refused(tenant, now, max_body_bytes)
    return RunPlan(cases, _measured(tenant, now), _poison(tenant, now), [first, *refused])


def tenant_name(random_hex: str) -> str:
    """The name of a run's own tenant."""
    return f"gpw-verify-{random_hex}"


def is_tenant(name: str) -> bool:
    """Whether `tenant_name` has made this name."""
    return WHO.fullmatch(name) is not None


def check_tenant(name: str) -> None:
    """Check that a tenant is of a run. Raises: OperatorError."""
    if not is_tenant(name):
        raise OperatorError(
            f"No run of `gpw verify` has the tenant {name!r}",
            "gpw erase removes other data",
            code=USAGE,
        )


def wrong_secret(tenant: str) -> str:
    """A valid but wrong token. It depends only on the tenant, so that the cleanup knows it."""
    return f"{tenant}-wrong-secret"


# ---------------------------------------------------------------- the events


def _cases(tenant: str, now: datetime, max_body_bytes: int) -> list[Case]:
    applied, stale = Outcome.APPLIED, Outcome.STALE

    def event(
        profile: str,
        name: str,
        outcome: Outcome | None = applied,
        *,
        status: str = OTHER_STATUS,
        age: int = 0,
        **more: Any,
    ) -> PlannedDelivery:
        created_at = now - timedelta(seconds=age)
        return _delivery(tenant, profile, name, created_at, status, outcome=outcome, **more)

    once = event("duplicates", "duplicate")
    return [
        Case(
            "duplicates",
            "an event that was sent three times is in the history once",
            (once,),  # it has already been sent once to check the response
            later=(once,),
        ),
        Case(
            "disorder",
            "the newest event is the state; the older one that arrived later is stale",
            (event("disorder", "newer"),),
            later=(event("disorder", "older", stale, age=60),),
        ),
        Case(
            "same second",
            "of four events of one second, status and id decide which one is the newest",
            (
                event("same-second", "b"),  # the newest: by its status, then by its id
                event("same-second", "c", None, status="processing"),
                event("same-second", "d", None, status="summarizing"),
                event("same-second", "a", None),
            ),
        ),
        Case(
            "large body",
            f"{min(LARGE_BYTES, max_body_bytes):,} bytes are in state and history, unchanged",
            (_large(tenant, now, min(LARGE_BYTES, max_body_bytes)),),
        ),
        Case(
            "numbers",
            "huge and precise numbers are in state and history with every digit",
            (event("numbers", "numbers", data={"numbers": NUMBERS}),),
        ),
        Case(
            "Unicode",
            "ids of any Unicode are kept apart and unchanged",
            (event(UNICODE, UNICODE, data={UNICODE: [UNICODE]}),),
        ),
        Case(
            "unknown type",
            "an event of an unknown type is recorded and makes no state",
            (event("unknown-type", "unknown", Outcome.RECORDED, kind=UNKNOWN_TYPE),),
        ),
    ]


def _measured(tenant: str, now: datetime) -> Case:
    """Events that measure latencies, evenly spread, each of a different profile."""
    names = [f"latency-{number}" for number in range(LATENCY_EVENTS)]
    events = [
        _delivery(tenant, name, name, now, at=number / LATENCY_RATE, outcome=Outcome.APPLIED)
        for number, name in enumerate(names)
    ]
    promise = f"{LATENCY_EVENTS} of {LATENCY_EVENTS} measured events"
    return Case("applied", promise, tuple(events))


def _poison(tenant: str, now: datetime) -> PlannedDelivery:
    """An event that ingest accepts but no table can hold, so the consumer dead-letters it."""
    number = {"number": Decimal("1E+200")}  # DynamoDB's numbers end at 1E+126
    name = "not-storable"
    return _delivery(tenant, name, name, now, data=number, reason="not_storable")


def _delivery(
    tenant: str,
    profile: str,
    name: str,
    created_at: datetime,
    status: str = OTHER_STATUS,
    *,
    data: Mapping[str, Any] | None = None,
    kind: str = "profile.updated",
    **planned: Any,
) -> PlannedDelivery:
    event = fresh(f"{tenant}-{name}", created_at, tenant=tenant, profile=profile, status=status)
    event |= {"event": kind, "data": event["data"] | (data or {})}
    return ledger.delivery(exact_json.dumps(event), **planned)


def _large(tenant: str, now: datetime, size: int) -> PlannedDelivery:
    """An event whose body has exactly that many bytes."""

    def with_text(length: int) -> PlannedDelivery:
        data = {"text": "x" * length}
        return _delivery(tenant, "large", "large", now, data=data, outcome=Outcome.APPLIED)

    return with_text(size - len(with_text(0).body))


def check_case(case: Case, ledger: Ledger, proof: Proof) -> Check:
    """The result of a case, as one check."""
    unaccepted = {one.event_id for one in case.deliveries if one.event_id not in ledger.accepted}
    wrong = [_unaccepted(name, ledger) for name in sorted(unaccepted)]
    wrong += [text for profile in case.profiles for text in proof.problems.get(profile, [])]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return Check(case.name, False, f"{wrong[0]}{more}", FIX)
    return Check(case.name, True, case.promise)


def _unaccepted(event_id: str, ledger: Ledger) -> str:
    match ledger.statuses.get(event_id):
        case None:
            return f"{event_id} was not sent, because those before it did not arrive"
        case 0:
            return f"{event_id} was not answered"
        case status:
            return f"{event_id} was answered with {status}, not 200"


# ---------------------------------------------------------------- requests and responses


def _refused(tenant: str, now: datetime, max_body_bytes: int) -> list[Exchange]:
    """The requests that ingest must refuse. Each body names the tenant, to find its dead letter."""

    def body(**changes: Any) -> bytes:
        event = fresh(f"{tenant}-refused", now, tenant=tenant, profile=MARK, status=OTHER_STATUS)
        return json.dumps(event | changes).encode()

    wrong = wrong_secret(tenant)
    tomorrow = f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    not_json = f'{{"tenant_id": "{tenant}", {MARK}'.encode()
    return [
        Exchange("no secret", body(), 401, NO_TOKEN, secret=None),
        Exchange("malformed", body(), 401, NO_TOKEN, secret=wrong, scheme="Basic"),
        Exchange("wrong secret", body(), 401, WRONG_TOKEN, secret=wrong),
        Exchange(
            "not an event",
            body(event="", created_at=MARK),
            400,
            reason="invalid_event",
            fields=frozenset({"event", "created_at"}),
        ),
        Exchange(
            "future",
            body(created_at=tomorrow),
            400,
            reason="created_at_in_future",
            fields=frozenset({"created_at"}),
        ),
        Exchange("not JSON", not_json, 400, reason="not_json"),
        Exchange("too large", body(note="x" * max_body_bytes), 413, reason="body_too_large"),
        Exchange("content type", body(), 415, reason="content_type", content_type="text/plain"),
    ]


def check_exchange(one: Exchange, answer: WebhookResponse) -> Check:
    """Check that a request is answered as promised. The check never quotes the response."""
    if problem := _exchange_problem(one, answer):
        return Check(one.name, False, problem, FIX)
    if one.text:
        return Check(one.name, True, f"is answered with {one.status} {one.text}")
    names = f", naming {' and '.join(sorted(one.fields))}" if one.fields else ""
    found = f"is answered with {one.status}{names}, and no value is quoted"
    return Check(one.name, True, found)


def _exchange_problem(one: Exchange, answer: WebhookResponse) -> str:
    if answer.status != one.status:
        return f"is answered with {answer.status}, not {one.status}"
    if one.text:
        # The text is not shown, because it might quote anything.
        other = f"is answered with {one.status} and another text"
        return "" if answer.body == one.text else other
    if MARK in answer.body:
        return "the answer quotes the body"
    try:
        document = json.loads(answer.body)
        named = {str(one["field"]) for one in document.get("fields", [])}
    except (AttributeError, KeyError, TypeError, ValueError):
        return "the answer is not the documented JSON"
    told = ", ".join(sorted(one.fields)) or "none"
    return "" if named == one.fields else f"the answer names other fields than {told}"
