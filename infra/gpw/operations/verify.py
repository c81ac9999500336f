"""Proves that a deployed stack does what it promises: sends events and checks the results."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from gpw.history.selection import Selection
from gpw.listening.bus_event import BusEvent
from gpw.listening.subscription import Subscription
from gpw.operations import cost, pricing
from gpw.operations.checks import Check, guarded
from gpw.operations.dead_letters import kinds_by_queue
from gpw.operations.held_queue import HELD
from gpw.operations.latency import Latencies
from gpw.operations.proof import Item, Ledger, profile_history, wait_until_recorded
from gpw.operations.reporter import Reporter
from gpw.operations.sender import NO_ANSWER, send
from gpw.operations.traffic import PlannedDelivery
from gpw.operations.verify_cases import (
    LARGE_BYTES,
    LATENCY_EVENTS,
    MARK,
    NOT_STORABLE,
    Refusal,
    cases,
    check_bus,
    check_case,
    latency_deliveries,
    not_storable,
    refusals,
    tenant_name,
    wrong_secret,
)
from gpw.operations.verify_cleanup import DEAD, Raw, is_held_for, messages, of_tenant, remove
from gpw.operations.verify_report import Report
from gpw.parked.dead_letters import from_sqs
from gpw.stack import alarms
from gpw.stack.errors import explained
from gpw.stack.queues import server_time
from gpw.stack.target import Target
from gpw.stack.webhook import CHALLENGES, NO_TOKEN, OK, WRONG_TOKEN, Webhook, WebhookResponse
from gpw.stack.when import duration
from receiver.domain.outcome import Outcome

CONNECTIONS = 16  # for the events that measure latencies; the others are sent one by one
SETTLE_SECONDS = 30.0  # how long an interrupted run waits for events that are being processed
POLL_SECONDS = {True: 0.5, False: 2.0}  # by whether the stack is local
ANSWER_SECONDS = 5.0  # GetProfile expects a response within this time
METRIC_SECONDS = 300.0  # CloudWatch usually makes metrics of log lines within a minute or two
METRIC_POLL_SECONDS = 15.0
NAMESPACE = "GetProfileWebhooks"
POSTED, APPLIED, ON_BUS = "POST to answer", "received to applied", "received to bus"
FIX = "gpw doctor; gpw tail --errors"


def question(stack: str, where: str, tenant: str, *, keep: bool) -> str:
    """The question that the operator must confirm."""
    after = "its data stays" if keep else "its data is removed afterwards"
    return (
        f"Send about {_requests()} requests as tenant {tenant} to the stack {stack!r} in {where}? "
        f"It costs about ${max(0.01, dollars()):.2f}, and {after}. Rules on the bus see it. "
        f"{_dead_letters()} dead letters raise the alarm dead-letters, which sends a mail to "
        "AlarmEmail. One delivery with a wrong secret counts towards the alarm wrong-secret, "
        "which is raised by 5 in 15 minutes."
    )


def dollars() -> float:
    """What a run adds to the AWS bill, at list prices and with the template's defaults."""
    small = pricing.MonthlyTraffic(_requests(), active_hours=1)
    large = pricing.MonthlyTraffic(1, active_hours=1, event_bytes=LARGE_BYTES)
    return cost.added_dollars(small) + cost.added_dollars(large)


def _requests() -> int:
    now = datetime.now(UTC)
    tenant = tenant_name("0" * 16)
    sent = sum(len(case.deliveries) for case in cases(tenant, now, LARGE_BYTES))
    contract = 4 + len(refusals(tenant, now, LARGE_BYTES))
    return sent + contract + 1 + LATENCY_EVENTS


def _dead_letters() -> int:
    return len(refusals(tenant_name("0" * 16), datetime.now(UTC), LARGE_BYTES)) + 1


def verify(
    target: Target,
    reporter: Reporter,
    tenant: str,
    secret: str,
    *,
    patience: float,
    keep: bool,
    show: Callable[[Check], None],
    into: Report,
) -> None:
    """Run all checks, then remove the data of the run, even if it fails or is interrupted.

    tenant: the run's own. patience: seconds to wait without progress. keep: remove nothing. show:
    called with each result at once. into: holds all results, even after an interruption.
    """
    run = VerifyRun(target, reporter, tenant, secret, patience=patience, show=show, report=into)

    def clean() -> None:
        if keep:
            return
        into.left = run.settle()
        removed = remove(target, reporter, tenant)
        into.cleaned = removed.describe()
        into.left += removed.left

    try:
        run.everything()
        clean()
    except BaseException:  # even during the removal; a second Ctrl-C aborts it
        clean()
        raise


class VerifyRun:
    """One run, with the events that it sent and their results."""

    def __init__(
        self,
        target: Target,
        reporter: Reporter,
        tenant: str,
        secret: str,
        *,
        patience: float,
        show: Callable[[Check], None],
        report: Report,
    ) -> None:
        self._target = target
        self._reporter = reporter
        self._show = show
        self._tenant = tenant
        self._secret = secret
        self._patience = patience
        self._report = report
        self._webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
        # By AWS's clock, because an event too far in the future is refused.
        self._began = server_time(target.client("sqs"), target.output("EventsQueueUrl"))
        self._most = int(target.parameters.get("MaxBodyBytes", LARGE_BYTES))
        self._poll = POLL_SECONDS[target.local is not None]
        self._cases = cases(tenant, self._began, self._most)
        self._first_seconds: float | None = None
        self._measured: list[PlannedDelivery] = []
        self._ledger = Ledger()
        self._recorded = True  # whether all accepted events have reached the history
        self._items: list[Item] = []
        self._subscription: Subscription | None = None

    def everything(self) -> None:
        """Run all checks; each result is shown immediately.

        Raises: OperatorError, before anything is sent, if the endpoint does not answer.
        """
        self._webhook.probe()
        with ExitStack() as stack:
            before = self._ringing()
            for what, look in (
                ("bus", lambda: self._listen(stack)),
                ("answers", self._contract),
                ("history", self._history),
                ("latency", self._latencies),
                ("bus", self._bus),
                ("dead letters", self._dead_letters),
                ("held", self._held),
                ("metrics", self._metrics),
                ("alarms", lambda: self._alarms(before)),
            ):
                for check in guarded(what, look):
                    self._result(check)
                if what == "answers" and not self._ledger.accepted:
                    self._result(Check("stopped", False, "no event was accepted", FIX))
                    return

    def _result(self, check: Check) -> None:
        self._report.checks.append(check)
        self._show(check)

    def settle(self) -> list[str]:
        """Wait for events that are being processed, so that they do not restore removed data.

        Returns: what can't be removed, in words.
        """
        try:
            if self._recorded:
                self._wait(min(self._patience, SETTLE_SECONDS))
        except (ClientError, BotoCoreError):
            self._recorded = False
        if self._recorded:
            return []
        return [
            "accepted events that are not in the history yet; later, run "
            f"gpw verify --remove {self._tenant}"
        ]

    # ------------------------------------------------------------ the contract

    def _listen(self, stack: ExitStack) -> Iterator[Check]:
        wanted = Selection(tenant=self._tenant)
        with self._reporter.progress("waiting for a subscription to the bus"):
            self._subscription = stack.enter_context(
                Subscription(self._target, wanted, complete=False)
            )
        yield from ()

    def _contract(self) -> Iterator[Check]:
        first = self._cases[0].first[0]
        answer = self._post(first)
        self._first_seconds = answer.seconds
        yield _answer_check("an event", answer, 200, OK)
        body, post = first.body, self._webhook.post
        answer = post(body, None)
        yield _answer_check("no secret", answer, 401, NO_TOKEN)
        yield _challenge_check(answer.challenge)
        wrong = wrong_secret(self._tenant)
        yield _answer_check("malformed", post(body, wrong, scheme="Basic"), 401, NO_TOKEN)
        yield _answer_check("wrong secret", post(body, wrong), 401, WRONG_TOKEN)
        for refusal in refusals(self._tenant, self._began, self._most):
            answer = post(refusal.body, self._secret, content_type=refusal.content_type)
            yield refusal_check(refusal, answer)

    # ------------------------------------------------------------ state and history

    def _history(self) -> Iterator[Check]:
        poison = not_storable(self._tenant, self._began)
        status = self._webhook.post(poison.body, self._secret).status
        if status != 200:
            yield Check("not storable", False, f"was answered with {status}, not 200", FIX)
        self._send([one for case in self._cases for one in case.first])
        if self._wait(self._patience):
            self._send([one for case in self._cases for one in case.later])
            self._wait(self._patience)
        for case in self._cases:
            found = profile_history(self._target, self._tenant, case.profile)
            key = {"profile_id": case.profile, "tenant_id": self._tenant}
            row = self._target.table("ProfilesTableName").get(key)
            self._items += found
            yield check_case(case, self._ledger, found, row)

    def _latencies(self) -> Iterator[Check]:
        if not self._recorded:
            yield Check("latency", None, "not measured, because events do not reach the history")
            return
        self._measured = latency_deliveries(self._tenant, self._began)
        posted = Latencies()
        self._send(self._measured, posted, connections=CONNECTIONS)
        self._report.latencies[POSTED] = posted
        slowest = posted.percentile(99) or 0.0
        yield Check(
            "in time",
            slowest < ANSWER_SECONDS,
            f"99 % of the responses took at most {duration(slowest)}; "
            f"GetProfile expects them within {ANSWER_SECONDS:g} s",
            "" if slowest < ANSWER_SECONDS else FIX,
        )
        if self._first_seconds is not None:
            # The first request is often a cold start, but nothing shows whether it was.
            yield Check(
                "cold start",
                None,
                "unknown, because Lambda's REPORT lines are off; the first request took "
                f"{duration(self._first_seconds)}",
            )
        self._wait(self._patience)
        applied = self._report.latencies[APPLIED] = Latencies()
        rows = self._target.table("ProfilesTableName")
        for delivery in self._measured:
            self._items += profile_history(self._target, self._tenant, delivery.profile)
            row = rows.get({"profile_id": delivery.profile, "tenant_id": self._tenant})
            if row:
                applied.add(_seconds(row["received_at"], row["updated_at"]))
        yield Check(
            "applied",
            applied.count == len(self._measured),
            f"{applied.count} of {len(self._measured)} measured events",
            "" if applied.count == len(self._measured) else FIX,
        )

    def _send(
        self,
        deliveries: list[PlannedDelivery],
        latencies: Latencies | None = None,
        *,
        connections: int = 1,
    ) -> None:
        with self._reporter.progress(f"sending {len(deliveries)} events"):
            send(
                self._webhook,
                deliveries,
                self._secret,
                self._ledger,
                Latencies() if latencies is None else latencies,
                connections=connections,
            )

    def _post(self, delivery: PlannedDelivery) -> WebhookResponse:
        """Send one delivery like `send`, and return the response."""
        status = NO_ANSWER
        try:
            answer = self._webhook.post(delivery.body, self._secret)
            status = answer.status
        finally:
            self._ledger.add(delivery, status)
        return answer

    def _wait(self, patience: float) -> bool:
        with self._reporter.progress("waiting for the history") as advance:
            self._recorded = wait_until_recorded(
                self._target,
                self._tenant,
                self._ledger,
                advance,
                poll_seconds=self._poll,
                patience_seconds=patience,
            )
        return self._recorded

    # ------------------------------------------------------------ the bus

    def _bus(self) -> Iterator[Check]:
        if self._subscription is None:
            return  # already reported
        expected = {str(item["event_id"]) for item in self._items}
        arrived: dict[str, list[BusEvent]] = {}
        with self._reporter.progress("waiting for the bus", len(expected)) as advance:
            moved = time.monotonic()
            while expected - set(arrived) and time.monotonic() - moved < self._patience:
                if self._take(self._subscription, arrived):
                    moved = time.monotonic()
                advance(to=len(arrived), total=len(expected))
            while self._take(self._subscription, arrived):  # duplicates that are still queued
                pass
        measured = {one.event_id for one in self._measured}
        on_bus = self._report.latencies[ON_BUS] = Latencies()
        for name, events in arrived.items():
            if name in measured and events[0].arrived_at:
                received = datetime.fromisoformat(events[0].detail["received_at"])
                on_bus.add(max(0.0, (events[0].arrived_at - received).total_seconds()))
        yield from check_bus(self._items, arrived, self._target.output("EventBusName"))

    def _take(self, subscription: Subscription, arrived: dict[str, list[BusEvent]]) -> bool:
        """Take some events off the subscription. Returns: whether there were any."""
        events = subscription.receive(wait_seconds=1).events
        for event in events:
            arrived.setdefault(event.id, []).append(event)
            subscription.done(event)
        return bool(events)

    # ------------------------------------------------------------ dead letters and held ones

    def _dead_letters(self) -> Iterator[Check]:
        due = Counter(one.reason for one in refusals(self._tenant, self._began, self._most))
        due[NOT_STORABLE] += 1
        kinds = kinds_by_queue(self._target)
        found: Counter[str] = Counter()

        def look() -> bool:
            found.clear()
            found.update(from_sqs(raw, kinds).reason for raw in self._messages(DEAD, of_tenant))
            return found >= due

        self._until(look)
        if missing := due - found:
            names = ", ".join(sorted(missing))
            yield Check("dead letters", False, f"none has the reason {names}", FIX)
        for reason, count in sorted((found - due).items()):
            twice = reason in due  # a queue may deliver a message twice
            text = f"{count} more than were refused have the reason {reason}"
            yield Check("dead letters", None if twice else False, text, "" if twice else FIX)
        if found == due:
            names = ", ".join(sorted(due))
            yield Check("dead letters", True, f"each refused body is there: {names}")

    def _messages(self, output: str, is_of: Callable[[Raw, str], bool]) -> list[Raw]:
        """The run's own messages in a queue."""
        own, _missed = messages(
            self._target, self._reporter, output, lambda raw: is_of(raw, self._tenant)
        )
        return own

    def _held(self) -> Iterator[Check]:
        if HELD not in self._target.outputs:
            yield Check("held", None, "this stack's version does not hold deliveries")
            return
        if self._target.parameters.get("HeldDeliveriesPerMinute") == "0":
            yield Check("held", None, "not checked: HeldDeliveriesPerMinute is 0")
            return

        def look() -> bool:
            return bool(self._messages(HELD, is_held_for))

        held = self._until(look)
        yield Check(
            "held",
            held,
            f"the delivery with a wrong secret is {'held' if held else 'not held'}",
            "" if held else "have others used up HeldDeliveriesPerMinute? gpw held ls",
        )

    def _until(self, look: Callable[[], bool]) -> bool:
        """Poll until `look` succeeds; only once if the events did not reach the history."""
        deadline = time.monotonic() + (self._patience if self._recorded else 0.0)
        while not (there := look()) and time.monotonic() < deadline:
            time.sleep(self._poll)
        return there

    # ------------------------------------------------------------ metrics and alarms

    def _metrics(self) -> Iterator[Check]:
        if self._target.local:
            yield Check("metrics", None, "not checked: the local cloud makes no metrics")
            return
        applied = sum(item.get("outcome") == Outcome.APPLIED for item in self._items)
        due = {
            "EventsAccepted": sum(n for s, n in self._ledger.answers.items() if s == 200),
            "EventsApplied": applied,
        }
        sums: dict[str, float] = {}
        deadline = time.monotonic() + METRIC_SECONDS
        with self._reporter.progress("waiting for CloudWatch's metrics (5 minutes at most)"):
            while True:
                sums = {name: self._metric(name) for name in due}
                there = all(sums[name] >= count for name, count in due.items())
                if there or time.monotonic() >= deadline:
                    break
                time.sleep(METRIC_POLL_SECONDS)
        shown = ", ".join(f"{name} {sums[name]:.0f} of {due[name]}" for name in due)
        yield Check("metrics", there, shown, "" if there else "do the functions write their logs?")

    def _metric(self, name: str) -> float:
        answer = self._target.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": "service", "Value": self._target.stack}],
            StartTime=self._began.replace(second=0, microsecond=0),
            EndTime=self._began + timedelta(hours=1),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    def _ringing(self) -> set[str] | None:
        """The alarms that are raised now; None if they can't be read."""
        try:
            names = list(alarms.alarm_names(self._target, self._target.stack))
            return set(alarms.ringing(self._target, names))
        except (ClientError, BotoCoreError) as error:
            self._reporter.note(f"The alarms can't be read: {explained(error)}")
            return None

    def _alarms(self, before: set[str] | None) -> Iterator[Check]:
        after = self._ringing()
        if before is None or after is None:
            yield Check("alarms", None, "can't be read")
            return
        due = f"{self._target.stack}-dead-letters"
        for name in sorted(after - before):
            well = None if name == due else False
            yield Check("alarms", well, f"{name} was raised", "" if name == due else "gpw doctor")
        if not after - before:
            later = "" if self._target.local else f"; {due} will be, within some minutes"
            yield Check("alarms", True, f"no alarm was raised{later}")


# ---------------------------------------------------------------- responses


def _challenge_check(name: str) -> Check:
    """How a 401's WWW-Authenticate arrives. API Gateway may rename it, and nothing relies on it."""
    own, _renamed = CHALLENGES
    found = f"as {name}" if name else "not at all"
    return Check("challenge", True if name == own else None, f"{own} arrives {found}")


def _answer_check(what: str, answer: WebhookResponse, status: int, text: str) -> Check:
    if answer.status != status:
        return Check(what, False, f"is answered with {answer.status}, not {status}", FIX)
    if answer.body != text:
        # The text is not shown, because it might quote anything.
        return Check(what, False, f"is answered with {status} and another text", FIX)
    return Check(what, True, f"is answered with {status} {text}")


def refusal_check(refusal: Refusal, answer: WebhookResponse) -> Check:
    """Check that a body is refused as promised. The check never quotes the response."""
    if answer.status != refusal.status:
        text = f"is answered with {answer.status}, not {refusal.status}"
        return Check(refusal.name, False, text, FIX)
    if MARK in answer.body:
        return Check(refusal.name, False, "the answer quotes the body", FIX)
    try:
        document = json.loads(answer.body)
        named = {str(one["field"]) for one in document.get("fields", [])}
    except (AttributeError, KeyError, TypeError, ValueError):
        return Check(refusal.name, False, "the answer is not the documented JSON", FIX)
    if named != refusal.fields:
        told = ", ".join(sorted(refusal.fields)) or "none"
        return Check(refusal.name, False, f"the answer names other fields than {told}", FIX)
    names = f", naming {' and '.join(sorted(named))}" if named else ""
    return Check(
        refusal.name, True, f"is answered with {refusal.status}{names}, and no value is quoted"
    )


def _seconds(earlier: str, later: str) -> float:
    apart = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return max(0.0, apart.total_seconds())  # two machines' clocks
