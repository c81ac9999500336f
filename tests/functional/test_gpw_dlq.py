"""`gpw dlq` on real queues (moto): what it lists, where it sends, and that it loses nothing."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpw.cli.command import Gpw
from gpw.operations import scanning
from gpw.stack import queues
from gpw.stack.queues import QueueScan
from tests.factories import make_body, make_event, sample
from tests.functional.cloud import Cloud
from tests.functional.gpw_stack import OperatedStack

RECEIVED_AT = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}"
QUARANTINE = {
    "source": "consumer",
    "reason": "not_storable",
    "error": "NotStorableError",
    "detail": "A number has more than 38 significant digits",
    "received_at": RECEIVED_AT,
}


@pytest.fixture(autouse=True)
def no_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def bodies(cloud: Cloud) -> Callable[[str], list[str]]:
    """The bodies on a queue, sorted."""
    return lambda queue: sorted(message.body for message in cloud.messages(queue))


def body(event_id: str, **changes: Any) -> str:
    return make_body(make_event(event_id, **changes))


# ---------------------------------------------------------------- ls, show


def test_ls_tells_the_reason_and_what_each_dead_letter_is_about(stack: OperatedStack) -> None:
    stack.dead_letter(body("evt-1", tenant_id="t-1", profile_id="p-1"), **QUARANTINE)
    stack.dead_letter(body("evt-2"))
    stack.dead_letter("{", source="ingest", reason="not_json", received_at=RECEIVED_AT)

    found = {one["reason"]: one for one in stack.run("dlq", "ls", "--json").document}

    assert set(found) == {"not_storable", "received_too_often", "not_json"}
    assert found["not_storable"]["tenant_id"] == "t-1"
    assert found["not_storable"]["profile_id"] == "p-1"
    assert found["not_storable"]["detail"] == QUARANTINE["detail"]
    assert found["received_too_often"]["event_id"] == "evt-2"
    assert found["not_json"]["event"] is None


def test_ls_shows_the_same_to_a_person(stack: OperatedStack) -> None:
    message_id = stack.dead_letter(body("evt-1"), **QUARANTINE)

    shown = stack.run("dlq", "ls").out

    assert message_id in shown
    assert "not_storable" in shown
    assert "profile.updated" in shown
    assert "\x1b" not in shown


def test_looking_leaves_every_dead_letter_visible(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    sent = sorted(body(f"evt-{n}") for n in range(25))
    for one in sent:
        stack.dead_letter(one)

    listed = stack.run("dlq", "ls", "--json").document

    assert len(listed) == 25
    assert bodies("DeadLetterQueue") == sent


def test_ls_of_an_empty_queue_is_no_error(stack: OperatedStack) -> None:
    assert "SQS returned no dead letters, and counts about 0 more" in stack.run("dlq", "ls").out


def test_show_prints_one_dead_letter_whole_and_what_redriving_it_would_do(
    stack: OperatedStack,
) -> None:
    message_id = stack.dead_letter(body("evt-1"), source="ingest", reason="content_type")

    shown = stack.run("dlq", "show", message_id, "--json").document

    assert shown["body"] == body("evt-1")
    assert shown["attributes"] == {"source": "ingest", "reason": "content_type"}
    assert shown["redrive"] == "to EventsQueue"


def test_a_dead_letter_that_is_not_there_is_an_error(stack: OperatedStack) -> None:
    assert "No dead letter has the id '0000'" in stack.run("dlq", "show", "0000", code=1).err


def test_what_steers_a_terminal_is_shown_as_an_escape(stack: OperatedStack) -> None:
    stack.dead_letter(body("evt-1", tenant_id="\x1b[2J\u202eevil [bold]"))

    shown = stack.run("dlq", "ls").out

    assert "\x1b" not in shown
    assert "\\u001b[2J\\u202eevil [bold]" in shown


# ---------------------------------------------------------------- redrive


def test_redrive_sends_the_event_on_without_what_quarantine_added(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.dead_letter(body("evt-1"), mine="kept", **QUARANTINE)

    tally = stack.run("dlq", "redrive", "--all", "--yes", "--json").document

    [sent] = cloud.messages("EventsQueue")
    assert (sent.body, sent.attributes) == (
        body("evt-1"),
        {"received_at": RECEIVED_AT, "mine": "kept"},
    )
    assert cloud.messages("DeadLetterQueue") == []
    assert tally["redriven"] == {"EventsQueue": 1}


def test_redrive_needs_a_yes(stack: OperatedStack, bodies: Callable[[str], list[str]]) -> None:
    stack.dead_letter(body("evt-1"))

    refused = stack.run("dlq", "redrive", "--all", stdin="n\n", code=1)
    nobody = stack.run("dlq", "redrive", "--all", code=2)
    in_queue = bodies("EventsQueue")
    stack.run("dlq", "redrive", "--all", stdin="y\n")

    assert "Not confirmed" in refused.err
    assert "--yes" in nobody.err
    assert in_queue == []
    assert bodies("EventsQueue") == [body("evt-1")]


def test_a_dry_run_changes_nothing(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    stack.dead_letter(body("evt-1"))
    stack.dead_letter("{", source="ingest", reason="not_json")

    tally = stack.run("dlq", "redrive", "--all", "--dry-run", "--json").document

    assert tally["redriven"] == {"EventsQueue": 1}
    assert tally["kept"] == {"would fail again: not_json": 1}
    assert bodies("EventsQueue") == []
    assert len(bodies("DeadLetterQueue")) == 2


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["reason=not_storable"], {"evt-1"}),
        (["reason=received_too_often"], {"evt-2", "evt-3"}),
        (["tenant=t-2"], {"evt-2"}),
        (["type=test.unknown"], {"evt-3"}),
        (["tenant=t-2", "type=test.unknown"], set()),
        (["since=1h"], {"evt-1", "evt-2", "evt-3"}),
        (["until=1h"], set()),
    ],
)
def test_redrive_takes_only_what_is_asked_for(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    terms: list[str],
    expected: set[str],
) -> None:
    stack.dead_letter(body("evt-1"), **QUARANTINE)
    stack.dead_letter(body("evt-2", tenant_id="t-2"))
    stack.dead_letter(body("evt-3", event_type="test.unknown"))

    stack.run("dlq", "redrive", "--yes", *(part for term in terms for part in ("--where", term)))

    assert {json.loads(one)["id"] for one in bodies("EventsQueue")} == expected
    assert len(bodies("DeadLetterQueue")) == 3 - len(expected)


@pytest.mark.parametrize("term", ["reason", "colour=red", "since=yesterday", "reason="])
def test_a_filter_that_is_not_understood_is_wrong_usage(stack: OperatedStack, term: str) -> None:
    stack.dead_letter(body("evt-1"))

    stack.run("dlq", "redrive", "--yes", "--where", term, code=2)


def test_only_the_dead_letters_with_these_ids_are_redriven(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    wanted = stack.dead_letter(body("evt-1"))
    stack.dead_letter(body("evt-2"))

    stack.run("dlq", "redrive", wanted, "--yes")

    assert bodies("EventsQueue") == [body("evt-1")]


def test_a_body_in_base64_that_is_an_event_goes_on_as_the_text_it_is(
    stack: OperatedStack, cloud: Cloud
) -> None:
    # Too large for ingest, and with a character that SQS refuses.
    text = body("evt-1", text="\uffff ünï").replace("\\uffff", "\uffff")
    stack.dead_letter(
        base64.b64encode(text.encode()).decode(),
        encoding="base64",
        source="ingest",
        reason="body_too_large",
        body_bytes=str(len(text.encode())),
        received_at=RECEIVED_AT,
    )

    stack.run("dlq", "redrive", "--all", "--yes")

    [sent] = cloud.messages("EventsQueue")
    assert json.loads(sent.body) == json.loads(text)
    assert sent.attributes == {"received_at": RECEIVED_AT}


def test_what_would_fail_again_stays_unless_it_is_forced(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.dead_letter(
        base64.b64encode(b"\xff").decode(), encoding="base64", reason="not_json", source="ingest"
    )

    kept = stack.run("dlq", "redrive", "--all", "--yes", "--json").document
    forced = stack.run("dlq", "redrive", "--all", "--yes", "--force", "--json").document

    [sent] = cloud.messages("EventsQueue")
    assert (kept["redriven"], kept["kept"]) == ({}, {"would fail again: not_json": 1})
    assert forced["redriven"] == {"EventsQueue": 1}
    assert (base64.b64decode(sent.body), sent.attributes) == (b"\xff", {"encoding": "base64"})


CONTRADICTING = {"source": "consumer", "reason": "contradicting", "received_at": RECEIVED_AT}
FORGOTTEN = {"received_at": f"{datetime.now(UTC) - timedelta(days=27):%Y-%m-%dT%H:%M:%S.%fZ}"}


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (CONTRADICTING, "the history has another event with this id and time"),
        (FORGOTTEN, "received more than 26 days ago"),
    ],
    ids=["contradicting", "forgotten"],
)
@pytest.mark.parametrize("how", ["reason", "id", "force"])
def test_what_must_be_redriven_on_purpose_stays_until_it_is_named(
    stack: OperatedStack, cloud: Cloud, attributes: dict[str, str], why: str, how: str
) -> None:
    message_id = stack.dead_letter(body("evt-1"), **attributes)
    reason = attributes.get("reason", "received_too_often")
    on_purpose = {
        "reason": ["--where", f"reason={reason}"],
        "id": [message_id],
        "force": ["--all", "--force"],
    }[how]

    shown = stack.run("dlq", "show", message_id, "--json").document["redrive"]
    kept = stack.run("dlq", "redrive", "--all", "--yes", "--json").document
    by_type = stack.run(
        "dlq", "redrive", "--where", "type=profile.updated", "--yes", "--json"
    ).document
    assert cloud.messages("EventsQueue") == []
    done = stack.run("dlq", "redrive", *on_purpose, "--yes", "--json").document

    [text] = kept["kept"]
    assert text.startswith(why)
    assert text.endswith(f"name its id or --where reason={reason} to redrive it anyway")
    assert shown == f"no: {text}"
    assert kept["redriven"] == by_type["redriven"] == {}
    assert done["redriven"] == {"EventsQueue": 1}


def test_an_event_from_the_future_is_never_redriven(stack: OperatedStack, cloud: Cloud) -> None:
    """The consumer would take it, and it would hide every true event until then."""
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    stack.dead_letter(
        body("evt-1", created_at=tomorrow), source="ingest", reason="created_at_in_future"
    )

    tally = stack.run("dlq", "redrive", "--all", "--yes", "--force", "--json").document

    assert tally["kept"] == {"created_at is still in the future": 1}
    assert cloud.messages("EventsQueue") == []


HYDRATIONS = {
    "an event of the bus": {
        "source": "getprofile.webhooks",
        "detail-type": "profile.updated",
        "detail": {"tenant_id": "t-1", "data": {"profile_id": "p-1"}},
    },
    "a profile to fetch": {
        "hydrate": {"tenant_id": "t-1", "profile_id": "p-1", "since": RECEIVED_AT}
    },
    "a sweep": {"sync": {"sweep": RECEIVED_AT}},
}


@pytest.mark.parametrize("name", HYDRATIONS)
def test_hydration_messages_go_back_to_the_hydration_queue(
    stack: OperatedStack, bodies: Callable[[str], list[str]], name: str
) -> None:
    text = json.dumps(HYDRATIONS[name])
    stack.dead_letter(text, RULE_ARN="arn", TARGET_ARN="arn", ERROR_CODE="NO_PERMISSIONS")

    tally = stack.run("dlq", "redrive", "--all", "--yes", "--json").document

    assert tally["redriven"] == {"HydrationQueue": 1}
    assert bodies("HydrationQueue") == [text]
    assert bodies("EventsQueue") == []


def test_hydration_messages_stay_where_nothing_hydrates(cloud: Cloud) -> None:
    stack = OperatedStack(cloud, hydrating=False)
    stack.dead_letter(json.dumps(HYDRATIONS["a sweep"]))

    tally = stack.run("dlq", "redrive", "--all", "--yes", "--json").document

    assert tally["redriven"] == {}
    assert "HydrateProfiles" in next(iter(tally["kept"]))


def test_lambdas_record_of_a_discarded_batch_is_explained_and_not_sent(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.dead_letter(json.dumps(sample("discarded-batch")))

    listed = stack.run("dlq", "ls", "--json").document
    told = stack.run("dlq", "redrive", "--all", "--yes").out

    assert listed[0]["reason"] == "RecordAgeExceeded"
    assert "7 events" in told
    assert "--received --since 2026-01-31T14:00:00Z" in told
    assert cloud.messages("EventsQueue") == []


def test_what_a_sender_wrote_is_an_event_whatever_it_looks_like(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    trap = json.dumps(make_event("evt-1") | {"hydrate": {}, "detail-type": "x"})
    stack.dead_letter(trap)
    stack.dead_letter(trap, source="consumer", reason="not_storable")

    stack.run("dlq", "redrive", "--all", "--yes")

    assert bodies("EventsQueue") == [trap, trap]
    assert bodies("HydrationQueue") == []


def test_an_interruption_between_send_and_delete_loses_nothing(
    stack: OperatedStack, bodies: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sorted(body(f"evt-{n}") for n in range(25))
    for one in sent:
        stack.dead_letter(one)

    def interrupt(*_: object) -> set[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(QueueScan, "delete", interrupt)
        interrupted = stack.run("dlq", "redrive", "--all", "--yes", code=130)
    left = bodies("DeadLetterQueue")  # in sight again at once
    on_their_way = bodies("EventsQueue")

    assert "Redrove 10 dead letters" in interrupted.out
    assert left == sent
    assert len(on_their_way) == 10


def test_what_sqs_does_not_take_stays(
    stack: OperatedStack, bodies: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        stack.dead_letter(body(f"evt-{n}"))
    real = queues.send

    def refuse_one(sqs: Any, url: str, messages: Any) -> tuple[set[str], dict[str, str]]:
        held, _ = real(sqs, url, messages[1:])
        return held, {messages[0].key: "InternalError"}

    monkeypatch.setattr(scanning, "send", refuse_one)

    tally = stack.run("dlq", "redrive", "--all", "--yes", "--json", code=1).document

    assert tally["failed"] == {"InternalError": 1}
    assert len(bodies("EventsQueue")) == 2
    assert len(bodies("DeadLetterQueue")) == 1


def test_what_fails_again_at_once_is_not_redriven_again(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.dead_letter(body("evt-1"))
    real, sends = queues.send, 0

    def send_and_fail_again(sqs: Any, url: str, messages: Any) -> Any:
        nonlocal sends
        sends += 1
        stack.dead_letter(body("evt-1"), **QUARANTINE)
        return real(sqs, url, messages)

    monkeypatch.setattr(scanning, "send", send_and_fail_again)

    stack.run("dlq", "redrive", "--all", "--yes")

    assert sends == 1
    assert len(stack.run("dlq", "ls", "--json").document) == 1


# ---------------------------------------------------------------- purge


def test_purge_deletes_what_is_asked_for_and_nothing_else(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    stack.dead_letter("{", source="ingest", reason="not_json")
    stack.dead_letter(body("evt-1"))

    dry = stack.run("dlq", "purge", "--where", "reason=not_json", "--dry-run", "--json").document
    stack.run("dlq", "purge", "--where", "reason=not_json", code=2)
    done = stack.run("dlq", "purge", "--where", "reason=not_json", "--yes", "--json").document

    assert dry["purged"] == done["purged"] == {"not_json": 1}
    assert bodies("DeadLetterQueue") == [body("evt-1")]


@pytest.mark.parametrize("command", ["purge", "redrive"])
def test_everything_has_to_be_asked_for(
    stack: OperatedStack, bodies: Callable[[str], list[str]], command: str
) -> None:
    stack.dead_letter(body("evt-1"))

    nothing = stack.run("dlq", command, "--yes", code=2)
    both = stack.run("dlq", command, "--all", "--where", "reason=x", "--yes", code=2)
    before = bodies("DeadLetterQueue")
    stack.run("dlq", command, "--all", "--yes")

    assert "--all" in nothing.err
    assert "--all selects every dead letter" in both.err
    assert before == [body("evt-1")]
    assert bodies("DeadLetterQueue") == []


@pytest.mark.parametrize(
    "command", [["purge", "--yes"], ["redrive", "--yes"], ["show"], ["purge", "--dry-run"]]
)
def test_an_empty_id_means_nothing_and_not_every_dead_letter(
    stack: OperatedStack, bodies: Callable[[str], list[str]], command: list[str]
) -> None:
    sent = stack.dead_letter(body("evt-1"))

    refused = stack.run("dlq", *command, "", code=2)
    beside = stack.run("dlq", *command, sent, "", code=2) if command[0] != "show" else refused

    assert "empty, so nothing was done" in refused.err
    assert "is a shell variable unset?" in refused.err
    assert "nothing was done" in beside.err
    assert bodies("DeadLetterQueue") == [body("evt-1")]
    assert bodies("EventsQueue") == []


@pytest.mark.parametrize("term", ["reason=", "tenant=", "since=", "profile= "])
def test_an_empty_filter_is_refused(
    stack: OperatedStack, bodies: Callable[[str], list[str]], term: str
) -> None:
    stack.dead_letter(body("evt-1"))

    refused = stack.run("dlq", "purge", "--where", term, "--yes", code=2)

    assert "is a shell variable unset?" in refused.err
    assert bodies("DeadLetterQueue") == [body("evt-1")]


@pytest.mark.parametrize("command", [["purge", "--yes"], ["redrive", "--yes"], ["show"]])
def test_the_beginning_of_an_id_names_no_dead_letter(
    stack: OperatedStack, bodies: Callable[[str], list[str]], command: list[str]
) -> None:
    """It would name another one while the one that was meant is in flight."""
    sent = stack.dead_letter(body("evt-1"))

    refused = stack.run("dlq", *command, sent[:-1], code=1)

    assert "which are needed whole" in refused.err
    assert bodies("DeadLetterQueue") == [body("evt-1")]
    assert bodies("EventsQueue") == []


def test_what_somebody_else_hides_is_not_called_nothing(stack: OperatedStack, cloud: Cloud) -> None:
    stack.dead_letter(body("evt-1"))
    cloud.hide("DeadLetterQueue")

    ls = stack.run("dlq", "ls")

    assert "about 0 more" not in ls.out
    assert "1 more dead letters that another command hides" in ls.err


@pytest.mark.parametrize("command", ["purge", "redrive"])
def test_one_unknown_id_among_several_stops_the_command(
    stack: OperatedStack, bodies: Callable[[str], list[str]], command: str
) -> None:
    known = stack.dead_letter(body("evt-1"))

    refused = stack.run("dlq", command, known, "no-such-id", "--yes", code=1)

    assert "No dead letter has the id 'no-such-id'" in refused.err
    assert bodies("DeadLetterQueue") == [body("evt-1")]


def test_purge_shows_what_it_is_about_to_delete_by_reason(stack: OperatedStack) -> None:
    for reason in ("not_json", "not_json", "invalid_event"):
        stack.dead_letter("{", source="ingest", reason=reason)

    asked = stack.run("dlq", "purge", "--all", stdin="n\n", code=1)

    assert "2  not_json" in asked.err
    assert "1  invalid_event" in asked.err
    assert "Permanently delete 3 dead letters, and no other, in eu-central-1?" in asked.err


def test_purge_keeps_what_arrives_while_it_asks(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQS keeps the time of sending when it moves a message, so the time tells nothing."""
    stack.dead_letter("{", source="ingest", reason="not_json")

    def arrive(*_: object) -> None:
        stack.dead_letter(body("evt-late"), source="ingest", reason="not_json")

    monkeypatch.setattr(Gpw, "confirm", arrive)

    done = stack.run("dlq", "purge", "--where", "reason=not_json", "--json").document

    assert done["purged"] == {"not_json": 1}
    assert bodies("DeadLetterQueue") == [body("evt-late")]


def test_redrive_leaves_alone_what_arrives_while_it_asks(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.dead_letter(body("evt-1"))
    monkeypatch.setattr(Gpw, "confirm", lambda *_: stack.dead_letter(body("evt-late")))

    stack.run("dlq", "redrive", "--all")

    assert bodies("EventsQueue") == [body("evt-1")]
    assert bodies("DeadLetterQueue") == [body("evt-late")]


def test_while_a_person_thinks_the_dead_letters_are_in_everybodys_sight(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.dead_letter(body("evt-1"))
    visible: list[str] = []
    monkeypatch.setattr(Gpw, "confirm", lambda *_: visible.extend(bodies("DeadLetterQueue")))

    stack.run("dlq", "purge", "--all")

    assert visible == [body("evt-1")]
    assert bodies("DeadLetterQueue") == []


@pytest.mark.parametrize(("command", "done"), [("purge", "purged"), ("redrive", "redriven")])
def test_dead_letters_that_were_taken_while_it_asked_are_reported(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, command: str, done: str
) -> None:
    stack.dead_letter(body("evt-1"))

    def take(*_: object) -> None:
        received = stack.sqs.receive_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"])
        [message] = received["Messages"]
        stack.sqs.delete_message(
            QueueUrl=stack.outputs["DeadLetterQueueUrl"], ReceiptHandle=message["ReceiptHandle"]
        )

    monkeypatch.setattr(Gpw, "confirm", take)

    told = stack.run("dlq", command, "--all", "--json").document

    assert (told[done], told["gone"], bool(told["failed"])) == ({}, 1, False)
    assert cloud.messages("EventsQueue") == []


def test_a_limit_takes_that_many_and_leaves_the_rest(
    stack: OperatedStack, bodies: Callable[[str], list[str]]
) -> None:
    for n in range(25):
        stack.dead_letter(body(f"evt-{n}"))

    purged = stack.run("dlq", "purge", "--all", "--limit", "7", "--yes", "--json").document
    redriven = stack.run("dlq", "redrive", "--all", "--limit", "3", "--yes", "--json").document

    assert purged["purged"] == {"received_too_often": 7}
    assert redriven["redriven"] == {"EventsQueue": 3}
    assert len(bodies("DeadLetterQueue")) == 15


def test_a_scan_that_sqs_stops_at_its_limit_is_reported_with_what_to_do(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for n in range(25):
        stack.dead_letter(body(f"evt-{n}"))
    monkeypatch.setattr(queues, "NEAR_IN_FLIGHT_LIMIT", 18)
    monkeypatch.setattr(QueueScan, "_receive", _at_most(20, QueueScan._receive))

    listed = stack.run("dlq", "ls")
    purged = stack.run("dlq", "purge", "--all", "--yes", "--json", code=1)

    assert "About 5 more dead letters could not be checked" in listed.err
    assert "run it again" in listed.err
    assert purged.document["purged"] == {"received_too_often": 20}
    assert purged.document["unchecked"] == 5
    assert len(bodies("DeadLetterQueue")) == 5


def _at_most(limit: int, receive: Any) -> Any:
    """Let a scan receive as SQS does when only so many messages can be in flight."""
    return lambda scan: receive(scan) if len(scan._held) < limit else []


def test_a_purge_that_is_interrupted_tells_what_it_deleted(
    stack: OperatedStack,
    bodies: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for n in range(25):
        stack.dead_letter(body(f"evt-{n}"))
    real, calls = QueueScan.delete, 0

    def interrupt(scan: QueueScan, ids: Any) -> set[str]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(scan, ids)

    with monkeypatch.context() as patch:
        patch.setattr(QueueScan, "delete", interrupt)
        interrupted = stack.run("dlq", "purge", "--all", "--yes", code=130)

    assert "Deleted 10 dead letters" in interrupted.out
    assert "no longer there" not in interrupted.out
    assert len(bodies("DeadLetterQueue")) == 15


def test_a_missing_queue_is_reported_without_a_traceback(stack: OperatedStack) -> None:
    stack.cloud.delete_queue("DeadLetterQueue")

    told = stack.run("dlq", "ls", code=1)

    assert "the resource does not exist" in told.err
    assert "gpw doctor" in told.err
