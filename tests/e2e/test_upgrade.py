"""The release before this one is deployed, and the current template over it: nothing is lost.

The local cloud does not show all of an upgrade. It replaces a table in place, under the same name,
so tests/template/test_upgraded_resources.py asks CloudFormation's schemas what would be replaced.
It makes no archive. It forgets an alarm's ARN when it updates the alarm, and then can't draw the
dashboard, so both releases are deployed without the nested stack of alarms, which holds no data.
"""

import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gpw.listening.subscription import Subscription
from gpw.operations.proof.arrived import from_bus
from gpw.operations.proof.compare import Proof, prove
from gpw.operations.proof.ledger import Ledger, PlannedDelivery, delivery
from gpw.operations.reporter import Silent
from gpw.operations.sender import post
from gpw.stack.errors import OperatorError
from gpw.stack.webhook import Webhook
from infra.local.cloud import LocalCloud
from infra.local.demo import drained
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import (
    Stack,
    build,
    deploy,
    headers_for,
    host_architecture,
    set_secret,
    upgrade,
    without_monitoring,
)
from infra.local.story import wait_until
from tests import releases
from tests.e2e.operator import operated
from tests.factories import SECRET, make_body, make_event

TENANT = "abc-tenant"  # of make_event
NEXT_SECRET = secrets.token_urlsafe(32)  # GetProfile already sends it; nobody has set it here
API_KEY = secrets.token_urlsafe(32)
# The tables change from on demand to provisioned units, and a batch window begins.
CHEAPER = {"WriteUnits": "100", "ConsumerBatchWindowSeconds": "1"}


class Sender:
    """GetProfile: it retries an event until it is accepted."""

    def __init__(self, stack: Stack) -> None:
        self.webhook = Webhook(stack.url)
        self.ledger = Ledger(TENANT)

    def send(self, profile_id: str, minute: int) -> None:
        """An event of a profile. minute: of its creation."""
        one = event(f"evt-{len(self.ledger.accepted)}", profile_id, minute)

        def accepted() -> bool | None:
            with suppress(OperatorError):
                return post(self.webhook, one, SECRET, self.ledger).status == 200 or None
            return None

        wait_until(accepted, seconds=60, what=f"{one.event_id} to be accepted")

    @contextmanager
    def sending(self, profile_id: str) -> Iterator[None]:
        """Meanwhile, ever newer events of a profile."""
        stop = threading.Event()

        def work() -> None:
            for minute in range(60):
                self.send(profile_id, minute)
                if stop.wait(0.5):
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def event(event_id: str, profile_id: str, minute: int) -> PlannedDelivery:
    created_at = f"2024-01-01T00:{minute:02}:00Z"
    return delivery(make_body(make_event(event_id, profile_id=profile_id, created_at=created_at)))


def judged(proof: Proof) -> dict[str, tuple[str, str]]:
    """What the history says of each event: its outcome, and when it was received."""
    return {item["event_id"]: (item["outcome"], item["received_at"]) for item in proof.items}


def consume(stack: Stack, *, on: bool) -> None:
    """Stop the consumer, or let it go on, as `gpw pause` and `gpw resume` do."""
    functions = stack.client("lambda")
    name = stack.resources["ConsumerFunction"]
    [mapping] = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)


def wait_until_consumed(stack: Stack) -> None:
    wait_until(lambda: drained(stack), seconds=60, what="the events queue to be empty")


def test_an_upgrade_from_the_release_before_loses_nothing_and_judges_nothing_twice(
    tmp_path: Path, built: Path
) -> None:
    profile_api = FakeProfileApi(key=API_KEY, make_up=lambda _one: {"name": "Nobody"})
    with LocalCloud(port=0) as cloud, profile_api as api, ExitStack() as listening:
        releases.unpack(tmp_path)
        settings = {"HydrateProfiles": "true", "ProfileApiUrl": api.url}
        old_template = without_monitoring(build(tmp_path, source=tmp_path))
        current = shutil.copytree(built.parent, tmp_path / "current")
        new_template = without_monitoring(current / built.name)
        old = deploy(cloud, old_template, secret=SECRET, api_key=API_KEY, **settings)
        bus = listening.enter_context(Subscription(old.target, complete=False))
        sender = Sender(old)

        # Before: two profiles with their state, a dead letter, a delivery with the next secret.
        sender.send("before-and-after", minute=1)
        sender.send("only-before", minute=1)
        refused = "not an event"
        assert old.post(refused).status == 400
        held = event("evt-held", "held", minute=1)
        assert old.post(held.body, headers_for(NEXT_SECRET)).status == 401
        wait_until_consumed(old)
        before = prove(old.target, sender.ledger)
        assert before.all_problems == []

        # Waiting and meanwhile: nothing is consumed, and the upgrade finds GetProfile sending.
        consume(old, on=False)
        for minute in (2, 1):
            sender.send("waiting", minute)
        accepted_until_then = len(sender.ledger.accepted)
        with sender.sending("meanwhile"):
            # What `sam deploy --guided` of the old release saved is still there.
            new = upgrade(
                old, new_template, Architecture=host_architecture(), **settings, **CHEAPER
            )
        assert len(sender.ledger.accepted) > accepted_until_then

        # After: the same URL and secret, and the first event is delivered again.
        consume(new, on=True)
        sender.send("before-and-after", minute=2)
        sender.send("only-after", minute=1)
        assert new.post(sender.ledger.accepted["evt-0"].body).status == 200
        wait_until_consumed(new)
        with operated(new, tmp_path) as gpw:
            set_secret(new, NEXT_SECRET)
            released = gpw("held", "release", "--yes")
        wait_until_consumed(new)

        sender.ledger.add(held, 200)
        proof = prove(new.target, sender.ledger)
        arrived = from_bus(bus, Silent(), sender.ledger.accepted.keys(), patience=60)
        [letter] = new.client("sqs").receive_message(QueueUrl=new.outputs["DeadLetterQueueUrl"])[
            "Messages"
        ]

    holding_data = {
        name: old.resources[name]
        for name, resource in releases.template()["Resources"].items()
        if resource["Type"] in releases.HOLDING_DATA and name in old.resources
    }
    assert new.url == old.url
    assert {name: new.outputs.get(name) for name in old.outputs} == old.outputs
    assert {name: new.resources.get(name) for name in holding_data} == holding_data
    history = judged(proof)
    assert proof.all_problems == []
    assert history | judged(before) == history
    assert {name: {one.outcome for one in events} for name, events in arrived.items()} == {
        name: {outcome} for name, (outcome, _received) in history.items()
    }
    assert released["released"] == 1
    assert letter["Body"] == refused
