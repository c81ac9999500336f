"""Proves that a deployed stack does what it promises: sends events and checks the results."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from gpw.history.selection import Selection
from gpw.listening.subscription import Subscription
from gpw.operations import cost, dead_letters, held_queue, pricing, sync
from gpw.operations.checks import Check, guarded
from gpw.operations.latency import Latencies
from gpw.operations.lines import count_of
from gpw.operations.proof.arrived import (
    from_bus,
    poll_seconds,
    wait_until_recorded,
    wait_while_moving,
)
from gpw.operations.proof.compare import Proof, check_bus, prove
from gpw.operations.proof.ledger import Ledger, PlannedDelivery
from gpw.operations.reporter import Reporter
from gpw.operations.sender import post, send
from gpw.operations.verify_cases import (
    FIX,
    LARGE_BYTES,
    check_case,
    check_exchange,
    run_plan,
    tenant_name,
)
from gpw.operations.verify_cleanup import DEAD, Raw, messages, remove
from gpw.operations.verify_report import Report
from gpw.parked.dead_letters import from_sqs
from gpw.stack import alarms
from gpw.stack.errors import explained
from gpw.stack.permissions import SUBSCRIBING, on
from gpw.stack.queues import server_time
from gpw.stack.target import Target
from gpw.stack.webhook import CHALLENGES, Webhook
from gpw.stack.when import duration
from receiver.domain.outcome import Outcome

CONNECTIONS = 16  # for the events that measure latencies; the others are sent one by one
SETTLE_SECONDS = 30.0  # how long an interrupted run waits for events that are being processed
ANSWER_SECONDS = 5.0  # GetProfile expects a response within this time
METRIC_SECONDS = 300.0  # CloudWatch usually makes metrics of log lines within a minute or two
METRIC_POLL_SECONDS = 15.0
NAMESPACE = "GetProfileWebhooks"
POSTED, APPLIED, ON_BUS = "POST to answer", "received to applied", "received to bus"

NEEDS = [
    *on("WebhookSecretArn", "secretsmanager:GetSecretValue"),
    *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
    *on("EventsTableName", "dynamodb:Query", "dynamodb:DeleteItem"),
    *on("ProfilesTableName", "dynamodb:GetItem", "dynamodb:DeleteItem"),
    *on("FullProfilesTableName", "dynamodb:DeleteItem"),
    *dead_letters.LOOK,
    *dead_letters.DELETE,
    *held_queue.LOOK,
    *held_queue.DELETE,
    *SUBSCRIBING,
    *sync.RUN,
    *alarms.ALARMS,
    *on("*", "cloudwatch:GetMetricStatistics"),
]


def dollars(requests: int) -> float:
    """What a run adds to the AWS bill, at list prices and with the template's defaults."""
    small = pricing.MonthlyTraffic(requests, active_hours=1)
    large = pricing.MonthlyTraffic(1, active_hours=1, event_bytes=LARGE_BYTES)
    return cost.added_dollars(small) + cost.added_dollars(large)


@dataclass
class VerifyRun:
    """One run: the ledger of what it sent, and the proof of what became of it.

    patience: seconds to wait without progress. show: called with each result at once. report: gets
    all results, also of an interrupted run.
    """

    target: Target
    reporter: Reporter
    report: Report
    patience: float
    show: Callable[[Check], None]
    tenant: str = field(default_factory=lambda: tenant_name(secrets.token_hex(8)))

    def question(self, *, keep: bool) -> str:
        """The question that the operator must confirm."""
        after = "its data stays" if keep else "its data is removed afterwards"
        sent = run_plan(self.tenant, datetime.now(UTC))
        minutes = sync.minutes_between_sweeps(self.target)
        sweep = (
            f" If an API key is set, it also starts the sweep that runs every {minutes} minutes, "
            "which catches up with missed webhooks."
        )
        return (
            f"Send about {sent.requests} requests as tenant {self.tenant} to the stack "
            f"{self.target.stack!r} in {self.target.where}? It costs about "
            f"${max(0.01, dollars(sent.requests)):.2f}, and {after}. Rules on the bus see it. "
            f"{sent.dead_letters.total()} dead letters raise the alarm dead-letters, which sends a "
            "mail to AlarmEmail. One delivery with a wrong secret counts towards the alarm "
            f"wrong-secret, which is raised by 5 in 15 minutes.{sweep if minutes else ''}"
        )

    def verify(self, secret: str, *, keep: bool) -> None:
        """Run all checks, then remove the data of the run, even if it fails or is interrupted.

        keep: remove nothing. Raises: OperatorError, before anything is sent, if the endpoint does
        not answer.
        """
        target = self.target
        self._secret = secret
        self._webhook = Webhook(target.webhook_url, connections=CONNECTIONS)
        self._webhook.probe()
        # By AWS's clock, because an event too far in the future is refused.
        self._began = server_time(target.client("sqs"), target.output("EventsQueueUrl"))
        most = int(target.parameters.get("MaxBodyBytes", LARGE_BYTES))
        self._plan = run_plan(self.tenant, self._began, most)
        self._ledger = Ledger(self.tenant)
        self._recorded = True  # whether all accepted events have reached the history
        self._proof = Proof()
        self._subscription: Subscription | None = None
        try:
            self._check_everything()
            self._clean(keep=keep)
        except BaseException:  # even during the removal; a second Ctrl-C aborts it
            self._clean(keep=keep)
            raise

    def _check_everything(self) -> None:
        with ExitStack() as stack:
            before = self._ringing()
            for what, look in (
                # Before the run has profiles of its own, which GetProfile does not have.
                ("in step", self._in_step),
                ("bus", lambda: self._listen(stack)),
                ("answers", self._answers),
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
        self.report.checks.append(check)
        self.show(check)

    def _clean(self, *, keep: bool) -> None:
        """Remove the data of the run, unless it is to be kept."""
        if keep:
            return
        self.report.removed.left = self._unsettled()
        remove(self.target, self.reporter, self.tenant, into=self.report.removed)

    def _unsettled(self) -> list[str]:
        """Wait for events that are being processed, so that they do not restore removed data.

        Returns: what can't be removed, in words.
        """
        try:
            if self._recorded:
                self._wait(min(self.patience, SETTLE_SECONDS))
        except (ClientError, BotoCoreError):
            self._recorded = False
        if self._recorded:
            return []
        return [
            "accepted events that are not in the history yet; later, run "
            f"gpw verify --remove {self.tenant}"
        ]

    def _wait(self, patience: float) -> bool:
        self._recorded = wait_until_recorded(
            self.target, self.reporter, self._ledger, patience=patience
        )
        return self._recorded

    def _send(self, deliveries: Sequence[PlannedDelivery], *, connections: int = 1) -> None:
        with self.reporter.progress(f"sending {count_of(len(deliveries), 'event')}"):
            send(self._webhook, deliveries, self._secret, self._ledger, connections=connections)

    # ------------------------------------------------------------ GetProfile's list

    def _in_step(self) -> Iterator[Check]:
        found = sync.in_step(self.target)
        if found is None:
            return
        if not found.key_set:
            yield Check("in step", None, found.text(), found.fix)
            return
        try:
            started = sync.start(self.target, sync.SweepRequest())
            swept = sync.follow(self.target, self.reporter, started, patience=self.patience)
        except sync.StalledError as error:
            yield Check("in step", None, str(error), error.fix)
            return
        yield Check("in step", swept.well, swept.sentence, swept.fix)

    # ------------------------------------------------------------ responses

    def _listen(self, stack: ExitStack) -> Iterator[Check]:
        wanted = Selection(tenant=self.tenant)
        with self.reporter.progress("waiting for a subscription to the bus"):
            self._subscription = stack.enter_context(
                Subscription(self.target, wanted, complete=False)
            )
        yield from ()

    def _answers(self) -> Iterator[Check]:
        for one in self._plan.exchanges:
            if one.status == 200:
                first = self._plan.cases[0].first[0]
                answer = post(self._webhook, first, self._secret, self._ledger)
                self._first_seconds = answer.seconds
            else:
                answer = self._webhook.post(
                    one.body,
                    self._secret if one.secret == "" else one.secret,
                    content_type=one.content_type,
                    scheme=one.scheme,
                )
            yield check_exchange(one, answer)
            if one.secret is None:
                yield _challenge_check(answer.challenge)

    # ------------------------------------------------------------ state and history

    def _history(self) -> Iterator[Check]:
        poison, cases = self._plan.poison, self._plan.cases
        self._send([poison, *(one for case in cases for one in case.first)])
        if (status := self._ledger.statuses[poison.event_id]) != 200:
            yield Check("not storable", False, f"was answered with {status}, not 200", FIX)
        if self._wait(self.patience):
            self._send([one for case in cases for one in case.later])
            self._wait(self.patience)
        self._proof = prove(self.target, self._ledger)
        for case in cases:
            yield check_case(case, self._ledger, self._proof)

    def _latencies(self) -> Iterator[Check]:
        if not self._recorded:
            yield Check("latency", None, "not measured, because events do not reach the history")
            return
        measured = self._plan.measured
        posted = self.report.latencies[POSTED] = self._ledger.latencies = Latencies()
        self._send(measured.first, connections=CONNECTIONS)
        slowest = posted.percentile(99) or 0.0
        yield Check(
            "in time",
            slowest < ANSWER_SECONDS,
            f"99 % of the responses took at most {duration(slowest)}; "
            f"GetProfile expects them within {ANSWER_SECONDS:g} s",
            "" if slowest < ANSWER_SECONDS else FIX,
        )
        # The first request is often a cold start, but nothing shows whether it was.
        yield Check(
            "cold start",
            None,
            "unknown, because Lambda's REPORT lines are off; the first request took "
            f"{duration(self._first_seconds)}",
        )
        self._wait(self.patience)
        self._proof = prove(self.target, self._ledger)
        applied = self.report.latencies[APPLIED] = Latencies()
        for one in measured.first:
            if row := self._proof.rows.get(one.profile):
                applied.add(_seconds(row["received_at"], row["updated_at"]))
        yield check_case(measured, self._ledger, self._proof)

    # ------------------------------------------------------------ the bus

    def _bus(self) -> Iterator[Check]:
        if self._subscription is None:
            return  # already reported
        items = self._proof.items
        expected = {str(item["event_id"]) for item in items}
        arrived = from_bus(self._subscription, self.reporter, expected, patience=self.patience)
        on_bus = self.report.latencies[ON_BUS] = Latencies()
        for one in self._plan.measured.first:
            for event in arrived.get(one.event_id, [])[:1]:
                if event.arrived_at:
                    on_bus.add(_seconds(event.detail["received_at"], event.arrived_at))
        yield from check_bus(items, arrived, self.target.output("EventBusName"))

    # ------------------------------------------------------------ dead letters and held ones

    def _dead_letters(self) -> Iterator[Check]:
        due, found = self._plan.dead_letters, Counter[str]()
        kinds = dead_letters.kinds_by_queue(self.target)

        def look() -> Counter[str] | None:
            found.clear()
            found.update(from_sqs(raw, kinds).reason for raw in self._messages(DEAD))
            return due - found or None

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

    def _held(self) -> Iterator[Check]:
        if held_queue.HELD not in self.target.outputs:
            yield Check("held", None, "this stack's version does not hold deliveries")
            return
        if self.target.parameters.get("HeldDeliveriesPerMinute") == "0":
            yield Check("held", None, "not checked: HeldDeliveriesPerMinute is 0")
            return
        held = self._until(lambda: None if self._messages(held_queue.HELD) else "missing")
        yield Check(
            "held",
            held,
            f"the delivery with a wrong secret is {'held' if held else 'not held'}",
            "" if held else "have others used up HeldDeliveriesPerMinute? gpw held ls",
        )

    def _messages(self, output: str) -> list[Raw]:
        """The run's own messages in a queue."""
        own, _missed = messages(self.target, self.reporter, self.tenant, output)
        return own

    def _until(self, look: Callable[[], object]) -> bool:
        """As `wait_while_moving`; look only once if the events did not reach the history."""
        patience = self.patience if self._recorded else 0.0
        return wait_while_moving(look, patience=patience, poll=poll_seconds(self.target))

    # ------------------------------------------------------------ metrics and alarms

    def _metrics(self) -> Iterator[Check]:
        if self.target.local:
            yield Check("metrics", None, "not checked: the local cloud makes no metrics")
            return
        due = {
            "EventsAccepted": self._ledger.answers[200],
            "EventsApplied": self._proof.outcomes[Outcome.APPLIED],
        }
        sums: dict[str, float] = {}

        def look() -> bool | None:
            sums.update({name: self._metric(name) for name in due})
            return None if all(sums[name] >= count for name, count in due.items()) else True

        with self.reporter.progress("waiting for CloudWatch's metrics (5 minutes at most)"):
            there = wait_while_moving(look, patience=METRIC_SECONDS, poll=METRIC_POLL_SECONDS)
        shown = ", ".join(f"{name} {sums[name]:.0f} of {due[name]}" for name in due)
        yield Check("metrics", there, shown, "" if there else "do the functions write their logs?")

    def _metric(self, name: str) -> float:
        answer = self.target.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": "service", "Value": self.target.stack}],
            StartTime=self._began.replace(second=0, microsecond=0),
            EndTime=self._began + timedelta(hours=1),
            Period=60,
            Statistics=["Sum"],
        )
        return float(sum(point["Sum"] for point in answer["Datapoints"]))

    def _ringing(self) -> set[str] | None:
        """The alarms that are raised now; None if they can't be read."""
        try:
            names = list(alarms.alarm_names(self.target, self.target.stack))
            return set(alarms.ringing(self.target, names))
        except (ClientError, BotoCoreError) as error:
            self.reporter.note(f"The alarms can't be read: {explained(error)}")
            return None

    def _alarms(self, before: set[str] | None) -> Iterator[Check]:
        after = self._ringing()
        if before is None or after is None:
            yield Check("alarms", None, "can't be read")
            return
        due = f"{self.target.stack}-dead-letters"
        for name in sorted(after - before):
            well = None if name == due else False
            yield Check("alarms", well, f"{name} was raised", "" if name == due else "gpw doctor")
        if not after - before:
            later = "" if self.target.local else f"; {due} will be, within some minutes"
            yield Check("alarms", True, f"no alarm was raised{later}")


def _challenge_check(name: str) -> Check:
    """How a 401's WWW-Authenticate arrives. API Gateway may rename it, and nothing relies on it."""
    own, _renamed = CHALLENGES
    found = f"as {name}" if name else "not at all"
    return Check("challenge", True if name == own else None, f"{own} arrives {found}")


def _seconds(earlier: str, later: str | datetime) -> float:
    end = datetime.fromisoformat(later) if isinstance(later, str) else later
    return max(0.0, (end - datetime.fromisoformat(earlier)).total_seconds())  # two clocks
