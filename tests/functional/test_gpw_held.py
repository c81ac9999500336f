"""`gpw held` and `gpw secret set` (moto): what waited for a secret comes in, and nothing else."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from gpw.cli.command import Gpw
from gpw.operations import scanning
from gpw.operations.doctor import held as held_check
from gpw.stack import queues
from gpw.stack.target import Target
from receiver.domain.credential import digest
from receiver.messages import MAX_HELD_BYTES, held
from tests.factories import SECRET, make_api_gateway_event, make_body, make_context, make_event
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler, Output, Waits, with_clock, with_holding_clock
from tests.functional.gpw_stack import OperatedStack
from tests.functional.test_ingest import WRONG

NEW_SECRET = "another-webhook-secret-9876543210"
FOREIGN = "somebody-elses-secret-0123456789"
NOON = datetime(2023, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    cloud.set_secret(SECRET)
    return OperatedStack(cloud)


def hold(
    stack: OperatedStack,
    body: str | bytes,
    token: str = NEW_SECRET,
    *,
    source_ip: str = "203.0.113.10",
    received_at: datetime = NOON,
    content_type: str | None = "application/json",
) -> str:
    """Put a delivery on HeldQueue as ingest does. Returns: its message id."""
    message = held(
        body if isinstance(body, bytes) else body.encode(),
        token_digest=digest(token).hex(),
        source_ip=source_ip,
        received_at=received_at,
        content_type=content_type,
    )
    return stack.put("HeldQueueUrl", message.body, **message.attributes)


def bodies(cloud: Cloud, queue: str) -> Counter[str]:
    # SQS hides for a while what was received; a test looks once.
    return Counter(message.body for message in cloud.messages(queue))


# ---------------------------------------------------------------- the rotation, whole


def test_a_rotation_at_the_sender_loses_no_delivery_and_lets_no_foreign_one_in(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    """GetProfile has the new key an hour before it is set here, and somebody tries others."""
    cloud.set_secret(SECRET)
    stack, clock = OperatedStack(cloud), {"minute": 0}
    ingest = with_holding_clock(load("IngestFunction"), lambda: 60.0 * clock["minute"])
    wanted = [make_body(make_event(f"evt_{n}")) for n in range(100)]
    foreign = [make_body(make_event(f"evt_foreign_{n}")) for n in range(10)]
    answers = []
    for number, body in enumerate(wanted):
        token = f"Bearer {NEW_SECRET}"
        answers.append(ingest(make_api_gateway_event(body, authorization=token), make_context()))
        if number % 10 == 0:
            other = make_api_gateway_event(foreign[number // 10], authorization=f"Bearer {FOREIGN}")
            answers.append(ingest(other, make_context()))
            clock["minute"] += 6  # 100 deliveries in an hour
    before = bodies(cloud, "EventsQueue")

    told = stack.run("secret", "set", "--yes", "--json", stdin=NEW_SECRET).document

    assert answers == [WRONG] * 110
    assert before == Counter()
    assert (told["changed"], told["held"], told["released"]["released"]) == (True, 100, 100)
    assert bodies(cloud, "EventsQueue") == Counter(wanted)
    assert bodies(cloud, "HeldQueue") == Counter(foreign)
    assert NEW_SECRET not in json.dumps(told, default=str) + output.text


# ---------------------------------------------------------------- release


def test_release_sends_on_what_carries_an_accepted_secret_with_its_time_of_receipt(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), NEW_SECRET, received_at=NOON)
    hold(stack, make_body(make_event("evt_previous")), SECRET)
    hold(stack, make_body(make_event("evt_foreign")), FOREIGN)
    cloud.set_secret(NEW_SECRET)

    told = stack.run("held", "release", "--yes", "--json").document

    sent = cloud.messages("EventsQueue")
    assert (told["released"], told["other_secrets"], told["failed"]) == (2, 1, {})
    assert {message.body for message in sent} == {
        make_body(),
        make_body(make_event("evt_previous")),
    }
    assert {tuple(message.attributes.items()) for message in sent} == {
        (("received_at", "2023-10-01T12:00:00.000000Z"),)
    }
    assert bodies(cloud, "HeldQueue") == Counter([make_body(make_event("evt_foreign"))])


def test_once_its_grace_time_is_over_the_previous_secret_releases_nothing(
    cloud: Cloud,
) -> None:
    cloud.set_secret(SECRET)
    cloud.set_secret(NEW_SECRET)
    stack = OperatedStack(cloud)
    boto3.client("cloudformation").update_stack(
        StackName="my-stack",
        TemplateBody=json.dumps(stack.template),
        Parameters=[{"ParameterKey": "PreviousSecretGraceHours", "ParameterValue": "0"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    hold(stack, make_body(), SECRET)

    told = stack.run("held", "release", "--yes", "--json").document

    assert (told["released"], told["other_secrets"]) == (0, 1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "not_json"),
        (b"\xff\x00", "not_json"),
        (b"", "not_json"),
        (b"{}", "invalid_event"),
        (make_body(created_at="2023-10-01T12:05:01Z").encode(), "created_at_in_future"),
    ],
)
def test_what_ingest_would_have_refused_becomes_a_dead_letter_with_the_reason(
    stack: OperatedStack, cloud: Cloud, body: bytes, reason: str
) -> None:
    hold(stack, body, SECRET)

    told = stack.run("held", "release", "--yes", "--json").document

    [letter] = cloud.messages("DeadLetterQueue")
    assert told["dead_lettered"] == {reason: 1}
    assert letter.attributes["reason"] == reason
    assert letter.attributes["source"] == "ingest"
    assert letter.attributes["received_at"] == "2023-10-01T12:00:00.000000Z"
    assert cloud.messages("EventsQueue") == cloud.messages("HeldQueue") == []


@pytest.mark.parametrize(
    ("header", "value", "reason"),
    [
        ("content-type", "text/plain", "content_type"),
        ("content-encoding", "gzip", "content_encoding"),
    ],
)
def test_a_release_refuses_a_header_as_ingest_does(
    cloud: Cloud, load: Callable[[str], Handler], header: str, value: str, reason: str
) -> None:
    cloud.set_secret(SECRET)
    stack, ingest = OperatedStack(cloud), load("IngestFunction")
    headers = {header: value}
    request = make_api_gateway_event(authorization=f"Bearer {NEW_SECRET}", headers=headers)
    ingest(request, make_context())
    cloud.set_secret(NEW_SECRET)

    told = stack.run("held", "release", "--yes", "--json").document

    assert (told["released"], told["dead_lettered"]) == (0, {reason: 1})
    [letter] = cloud.messages("DeadLetterQueue")
    assert letter.attributes["reason"] == reason
    assert cloud.messages("EventsQueue") == []


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8"])
def test_a_delivery_without_a_content_type_or_held_by_release_0_2_0_is_released(
    stack: OperatedStack, cloud: Cloud, content_type: str | None
) -> None:
    hold(stack, make_body(), SECRET, content_type=content_type)

    stack.run("held", "release", "--yes")

    assert bodies(cloud, "EventsQueue") == Counter([make_body()])


def test_the_largest_body_is_released_whole(stack: OperatedStack, cloud: Cloud) -> None:
    body = make_body().ljust(MAX_HELD_BYTES)
    hold(stack, body, SECRET)

    stack.run("held", "release", "--yes")

    assert [message.body for message in cloud.messages("EventsQueue")] == [body]


def test_a_message_that_somebody_else_put_there_is_never_released(
    stack: OperatedStack, cloud: Cloud
) -> None:
    stack.put("HeldQueueUrl", make_body())
    stack.put("HeldQueueUrl", make_body(), token_sha256="", received_at="soon")
    stack.put("HeldQueueUrl", make_body(), token_sha256=SECRET)  # the token itself, not its digest

    told = stack.run("held", "release", "--yes", "--json").document

    assert (told["released"], told["other_secrets"]) == (0, 3)
    assert cloud.messages("EventsQueue") == []


def test_a_base64_that_somebody_has_broken_becomes_a_dead_letter(
    stack: OperatedStack, cloud: Cloud
) -> None:
    sha = digest(SECRET).hex()
    stack.put("HeldQueueUrl", "é", token_sha256=sha, encoding="base64")

    told = stack.run("held", "release", "--yes", "--json").document

    assert told["dead_lettered"] == {"not_json": 1}


def test_a_dry_run_tells_the_same_and_changes_nothing(stack: OperatedStack, cloud: Cloud) -> None:
    hold(stack, make_body(), SECRET)
    hold(stack, "not json", SECRET)

    told = stack.run("held", "release", "--dry-run", "--json").document

    assert (told["dry_run"], told["released"], told["dead_lettered"]) == (True, 1, {"not_json": 1})
    assert cloud.messages("EventsQueue") == cloud.messages("DeadLetterQueue") == []
    assert len(cloud.messages("HeldQueue")) == 2


def test_release_asks_first(stack: OperatedStack, cloud: Cloud) -> None:
    hold(stack, make_body(), SECRET)

    stack.run("held", "release", stdin="n\n", code=1)
    stack.run("held", "release", code=2)

    assert cloud.messages("EventsQueue") == []
    assert len(cloud.messages("HeldQueue")) == 1


def test_a_limit_leaves_the_rest(stack: OperatedStack, cloud: Cloud) -> None:
    for number in range(15):
        hold(stack, make_body(make_event(f"evt_{number}")), SECRET)

    stack.run("held", "release", "--limit", "12", "--yes")

    assert len(cloud.messages("EventsQueue")) == 12
    assert len(cloud.messages("HeldQueue")) == 3


def test_release_leaves_alone_what_arrives_while_it_asks(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(stack, make_body(make_event("evt_1")), SECRET)
    late = make_body(make_event("evt_late"))
    monkeypatch.setattr(Gpw, "confirm", lambda *_: hold(stack, late, SECRET))

    done = stack.run("held", "release", "--json").document

    assert done["released"] == 1
    assert [json.loads(one.body)["id"] for one in cloud.messages("EventsQueue")] == ["evt_1"]
    assert len(cloud.messages("HeldQueue")) == 1


def test_a_secret_that_was_replaced_while_the_question_stood_releases_nothing(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(stack, make_body(), FOREIGN)
    found = iter([{digest(FOREIGN).hex(): "current"}, {digest(SECRET).hex(): "current"}])
    monkeypatch.setattr("gpw.operations.release.accepted_digests", lambda _target: next(found))

    told = stack.run("held", "release", "--yes", "--json").document

    assert told["released"] == 0
    assert cloud.messages("EventsQueue") == []


def test_what_sqs_does_not_confirm_is_kept(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        hold(stack, make_body(make_event(f"evt_{number}")), SECRET)
    monkeypatch.setattr(
        scanning,
        "send",
        lambda _sqs, _url, messages: (set(), {m.key: "InternalError" for m in messages}),
    )

    told = stack.run("held", "release", "--yes", "--json", code=1).document

    assert (told["released"], told["failed"]) == (0, {"InternalError": 3})
    assert len(cloud.messages("HeldQueue")) == 3


# ---------------------------------------------------------------- secret set


def test_set_on_a_terminal_asks_before_it_releases_and_a_no_keeps_them(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), NEW_SECRET)

    ran = stack.run("secret", "set", stdin=NEW_SECRET, code=2)  # nobody there to confirm
    typed = iter([NEW_SECRET, NEW_SECRET])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpw.cli.hidden_input.on_terminal", lambda: True)
        patch.setattr("getpass.getpass", lambda _prompt: next(typed))
        no = stack.run("secret", "set", stdin="y\nn\n")

    assert "No input to confirm with" in ran.err
    assert "1 held delivery carried this secret" in no.out
    assert "gpw held release" in no.out
    assert cloud.messages("EventsQueue") == []
    assert len(cloud.messages("HeldQueue")) == 1


def test_set_again_offers_what_has_come_since(stack: OperatedStack, cloud: Cloud) -> None:
    hold(stack, make_body(), SECRET)

    told = stack.run("secret", "set", "--yes", "--json", stdin=SECRET).document

    assert (told["changed"], told["held"]) == (False, 1)
    assert len(cloud.messages("EventsQueue")) == 1


def test_set_says_so_when_nothing_was_held(stack: OperatedStack) -> None:
    told = stack.run("secret", "set", "--yes", "--json", stdin=NEW_SECRET).document

    assert (told["changed"], told["held"]) == (True, 0)


def test_set_of_another_secret_than_the_one_that_is_held_says_so(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), NEW_SECRET)

    told = stack.run("secret", "set", "--yes", stdin="a-mistyped-secret-0123456789").out

    assert "0 held deliveries carried this secret" in told
    assert "1  carry other secrets" in told
    assert len(cloud.messages("HeldQueue")) == 1


def test_an_operator_who_may_not_look_has_set_the_secret_all_the_same(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> None:
        response: Any = {
            "Error": {"Code": "AccessDenied", "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": 403},
        }
        raise ClientError(response, "GetQueueAttributes")

    monkeypatch.setattr(queues, "_attributes", denied)

    ran = stack.run("secret", "set", "--yes", "--json", stdin=NEW_SECRET)

    assert (ran.document["changed"], ran.document["held"]) == (True, None)
    assert "gpw held release" in ran.err


@pytest.mark.parametrize("command", ["set", "rotate"])
def test_what_is_refused_just_after_the_secret_was_set_is_released_too(
    cloud: Cloud, load: Callable[[str], Handler], waits: Waits, command: str
) -> None:
    """A worker that has just read the old secret does not read it again for REREAD_SECONDS."""
    cloud.set_secret(SECRET)
    stack, ahead = OperatedStack(cloud), {"seconds": 0.0}
    ingest = with_clock(load("IngestFunction"), lambda: time.time() + ahead["seconds"])
    answers: list[int] = []

    def deliver() -> None:
        event = make_event(f"evt_{len(answers)}")
        request = make_api_gateway_event(make_body(event), authorization=f"Bearer {NEW_SECRET}")
        answers.append(ingest(request, make_context())["statusCode"])

    def during(seconds: float) -> None:
        deliver()
        ahead["seconds"] += seconds

    deliver()
    waits.during = during

    stack.run("secret", command, "--yes", stdin=NEW_SECRET)

    refused = answers.count(401)
    assert answers == [401] * refused + [200] * (len(answers) - refused)
    assert 1 < refused < len(answers)  # before the secret was set, and after
    assert cloud.messages("HeldQueue") == []
    assert len(cloud.messages("EventsQueue")) == len(answers)


def test_release_waits_too_if_the_secret_was_set_a_moment_ago(
    stack: OperatedStack, cloud: Cloud, waits: Waits
) -> None:
    cloud.set_secret(NEW_SECRET)
    hold(stack, make_body())

    def late(_seconds: float) -> None:
        hold(stack, make_body(make_event(f"evt_after_{waits.seconds}")))

    waits.during = late

    told = stack.run("held", "release", "--yes", "--json").document

    assert waits.seconds > 0
    assert told["released"] > 1
    assert cloud.messages("HeldQueue") == []


def test_a_secret_that_was_set_long_ago_is_not_waited_for(
    stack: OperatedStack, waits: Waits
) -> None:
    waits.seconds = 3600
    stack.run("secret", "set", "--yes", stdin=SECRET)

    assert waits.seconds == 3600


@pytest.fixture
def lagging(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQS's counts are a minute old: 0, while messages can be received."""
    real = queues._attributes

    def none(sqs: Any, url: str) -> Any:
        answer = real(sqs, url)
        counts = dict.fromkeys(answer["Attributes"], "0")
        return {**answer, "Attributes": counts}

    monkeypatch.setattr(queues, "_attributes", none)


@pytest.mark.usefixtures("lagging")
def test_nothing_is_decided_from_a_count_that_lags_behind(
    stack: OperatedStack, cloud: Cloud
) -> None:
    for number in range(3):
        hold(stack, make_body(make_event(f"evt_{number}")))

    listed = stack.run("held", "ls", "--json").document
    purge = stack.run("held", "purge", "--all", "--dry-run", "--json").document
    told = stack.run("secret", "set", "--yes", "--json", stdin=NEW_SECRET).document

    assert [group["deliveries"] for group in listed] == [3]
    assert sum(purge["purged"].values()) == 3
    assert (told["held"], told["released"]["released"]) == (3, 3)
    assert len(cloud.messages("EventsQueue")) == 3


def test_what_another_command_hides_is_not_called_nothing(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), NEW_SECRET)
    cloud.hide("HeldQueue")

    ls = stack.run("held", "ls")
    told = stack.run("secret", "set", "--yes", stdin=NEW_SECRET)

    assert "about 0 more" not in ls.out
    assert "1 more held deliveries that another command hides" in ls.err
    assert "0 held deliveries carried this secret" in told.out
    assert "another command hides" in told.err


# ---------------------------------------------------------------- ls


def test_ls_groups_by_secret_and_says_which_one_is_accepted(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), FOREIGN, source_ip="198.51.100.7")
    hold(stack, make_body(), FOREIGN, source_ip="198.51.100.8")
    hold(stack, make_body(), FOREIGN, source_ip="198.51.100.8", received_at=NOON + timedelta(1))
    hold(stack, make_body(), SECRET)

    told = stack.run("held", "ls", "--json").document
    shown = stack.run("held", "ls").out

    assert told == [
        {
            "token_sha256": digest(SECRET).hex(),
            "deliveries": 1,
            "first_received_at": "2023-10-01T12:00:00.000000Z",
            "last_received_at": "2023-10-01T12:00:00.000000Z",
            "source_ips": {"203.0.113.10": 1},
            "accepted": True,
            "version": "current",
        },
        {
            "token_sha256": digest(FOREIGN).hex(),
            "deliveries": 3,
            "first_received_at": "2023-10-01T12:00:00.000000Z",
            "last_received_at": "2023-10-02T12:00:00.000000Z",
            "source_ips": {"198.51.100.8": 2, "198.51.100.7": 1},
            "accepted": False,
            "version": None,
        },
    ]
    assert "198.51.100.8 (2), 198.51.100.7 (1)" in shown
    assert digest(FOREIGN).hex() in shown  # whole, because purge takes it whole
    assert "gpw held release" in shown
    assert len(cloud.messages("HeldQueue")) == 4


def test_ls_of_nothing_says_so(stack: OperatedStack) -> None:
    assert "SQS returned no held deliveries, and counts about 0" in stack.run("held", "ls").out


def test_ls_without_leave_to_read_the_secret_lists_all_the_same(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(stack, make_body(), FOREIGN)

    def denied(*_: Any) -> None:
        response: Any = {
            "Error": {"Code": "AccessDeniedException", "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }
        raise ClientError(response, "GetSecretValue")

    monkeypatch.setattr("gpw.operations.held_queue.accepted_digests", denied)

    ran = stack.run("held", "ls", "--json")

    assert [group["accepted"] for group in ran.document] == [None]
    assert "may not read the secret" in ran.err


def test_what_a_stranger_put_into_an_address_does_not_reach_the_terminal(
    stack: OperatedStack,
) -> None:
    stack.put("HeldQueueUrl", "x", source_ip="\u202e1.2.3.4\u009b2J", token_sha256="\u009b31m")

    shown = stack.run("held", "ls").out

    assert "\u202e" not in shown
    assert "\u009b" not in shown


# ---------------------------------------------------------------- purge


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--source-ip", "198.51.100.7"], {SECRET, NEW_SECRET}),
        (["--unknown"], {SECRET}),
        ([digest(FOREIGN).hex().upper()], {SECRET, NEW_SECRET}),
        (["--all"], set()),
        (["--unknown", "--source-ip", "203.0.113.10"], {SECRET, FOREIGN}),
    ],
)
def test_purge_deletes_what_was_named_and_nothing_else(
    stack: OperatedStack, cloud: Cloud, arguments: list[str], left: set[str]
) -> None:
    for token in (SECRET, NEW_SECRET):
        hold(stack, make_body(), token)
    hold(stack, make_body(), FOREIGN, source_ip="198.51.100.7")

    stack.run("held", "purge", *arguments, "--dry-run")
    stack.run("held", "purge", *arguments, stdin="n\n", code=1)
    stack.run("held", "purge", *arguments, "--yes")

    assert {message.attributes["token_sha256"] for message in cloud.messages("HeldQueue")} == {
        digest(token).hex() for token in left
    }


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "--unknown"], [""], ["--source-ip", ""], ["--message-id", ""], ["--all", "0a"]],
)
def test_purge_without_a_name_or_with_an_empty_or_doubtful_one_deletes_nothing(
    stack: OperatedStack, cloud: Cloud, arguments: list[str]
) -> None:
    hold(stack, make_body())

    stack.run("held", "purge", *arguments, "--yes", code=2)

    assert len(cloud.messages("HeldQueue")) == 1


@pytest.mark.parametrize("value", [None, "short"])
def test_while_no_usable_secret_is_set_the_unknown_ones_are_not_purged(
    cloud: Cloud, value: str | None
) -> None:
    if value:
        cloud.set_secret(value)
    stack = OperatedStack(cloud)
    hold(stack, make_body())

    ran = stack.run("held", "purge", "--unknown", "--yes", code=1)

    assert "gpw secret set" in ran.err
    assert len(cloud.messages("HeldQueue")) == 1


def test_purge_deletes_the_one_message_that_was_named(stack: OperatedStack, cloud: Cloud) -> None:
    hold(stack, "first")
    second = hold(stack, "second")

    stack.run("held", "purge", "--message-id", second, "--yes")

    assert [message.body for message in cloud.messages("HeldQueue")] == ["first"]


def test_purge_of_the_beginning_of_a_digest_deletes_nothing(
    stack: OperatedStack, cloud: Cloud
) -> None:
    """It would name another secret while the deliveries of the one that was meant are in flight."""
    hold(stack, make_body(), FOREIGN)

    refused = stack.run("held", "purge", digest(FOREIGN).hex()[:-1], "--yes", code=1)

    assert "which are needed whole" in refused.err
    assert len(cloud.messages("HeldQueue")) == 1


def test_purge_warns_before_it_deletes_what_could_be_released(
    stack: OperatedStack, cloud: Cloud
) -> None:
    hold(stack, make_body(), SECRET)

    ran = stack.run("held", "purge", "--all", stdin="n\n", code=1)

    assert "1 held delivery of these carry an accepted secret" in ran.err
    assert len(cloud.messages("HeldQueue")) == 1


# ---------------------------------------------------------------- doctor, erase


def test_doctor_tells_how_many_are_held_and_what_to_do(stack: OperatedStack) -> None:
    target = Target("my-stack", boto3.Session())
    [before] = held_check.look(target)
    hold(stack, make_body())
    [after] = held_check.look(target)

    assert (before.well, before.fix) == (True, "")
    assert after.well is None  # anybody can send one
    assert before.found == "SQS reports about 0"
    assert after.found.startswith("SQS reports about 1;")
    assert "gpw held release" in after.fix


def test_erase_removes_the_held_deliveries_of_a_person(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpw.operations.erase.COUNT_SECONDS", 0.0)
    hold(stack, make_body(make_event("evt_1", profile_id="12345")))
    hold(stack, make_body(make_event("evt_2", profile_id="67890")))

    told = stack.run("erase", "abc-tenant", "12345", "--yes", "--json").document

    assert told["found"]["held_deliveries"] == 1
    [left] = cloud.messages("HeldQueue")
    assert left.body == make_body(make_event("evt_2", profile_id="67890"))


def test_erase_leaves_a_held_body_that_is_no_json_to_the_operator(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpw.operations.erase.COUNT_SECONDS", 0.0)
    message_id = hold(stack, b'\xff{"profile_id": "12345"')

    told = stack.run("erase", "abc-tenant", "12345", "--yes", "--json", code=1).document

    assert told["found"]["unsure"] == [
        {"what": "held delivery", "name": message_id, "why": "unreadable"}
    ]
