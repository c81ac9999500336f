"""`gpw secret`, `send`, `pause`, `resume` (moto): what they change, and that no secret is shown."""

import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from gpw.cli.command import Gpw
from gpw.commands.secret import change
from gpw.operations import secret, secret_status
from gpw.operations.sample import DATA, SAMPLE
from gpw.operations.settling import METRIC_SECONDS, counted_from
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target
from receiver.domain.events import EVENT_TYPES
from receiver.domain.parse import parse_event
from tests.factories import SECRET, make_api_gateway_event, make_context, sample
from tests.functional.cloud import Cloud, aws_client
from tests.functional.conftest import Handler, Output, Waits, with_clock
from tests.functional.gpw_stack import OperatedStack, Ran

NEW_SECRET = "another-webhook-secret-9876543210"
CACHE_SECONDS = 300  # the default of SecretCacheSeconds


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def value(stack: OperatedStack) -> Any:
    """Reads the current secret."""
    secrets = aws_client("secretsmanager")
    return lambda: secrets.get_secret_value(SecretId=stack.outputs["WebhookSecretArn"])[
        "SecretString"
    ]


def api_key(stack: OperatedStack) -> str:
    secrets = aws_client("secretsmanager")
    found = secrets.get_secret_value(SecretId=stack.outputs["ProfileApiSecretArn"])
    return str(found["SecretString"])


def everything(ran: Ran) -> str:
    return ran.out + ran.err


# ---------------------------------------------------------------- secret


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_set_takes_the_secret_from_standard_input_and_never_shows_it(
    stack: OperatedStack, value: Any, end: str
) -> None:
    ran = stack.run("secret", "set", "--yes", stdin=SECRET + end)

    assert value() == SECRET
    assert SECRET not in everything(ran)
    assert SECRET[:8] not in everything(ran)


def test_set_asks_on_a_terminal_without_showing_what_is_typed(
    stack: OperatedStack, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter([SECRET, SECRET])
    monkeypatch.setattr("gpw.cli.hidden_input.on_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))

    ran = stack.run("secret", "set", "--yes")

    assert value() == SECRET
    assert SECRET not in everything(ran)


def test_one_entry_sets_the_api_key_too_if_the_owner_says_so(
    stack: OperatedStack, value: Any
) -> None:
    done = stack.run("secret", "set", "--is-api-key", "--yes", "--json", stdin=SECRET)

    assert (value(), api_key(stack)) == (SECRET, SECRET)
    assert done.document["api_key"] is True
    assert SECRET not in everything(done)


def test_yes_is_no_answer_to_whether_the_secret_is_the_api_key(
    stack: OperatedStack, value: Any
) -> None:
    before = api_key(stack)
    ran = stack.run("secret", "set", "--yes", stdin=SECRET)

    assert (value(), api_key(stack)) == (SECRET, before)
    assert "--is-api-key" in ran.err


def test_the_question_about_the_api_key_is_asked_while_nobody_has_set_one(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(_gpw: Any, question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(Gpw, "ask", ask)
    monkeypatch.setattr(Gpw, "confirm", lambda _gpw, _question: None)
    monkeypatch.setattr(secret, "GENERATED_SECONDS", 60)
    stack.run("secret", "set", stdin=SECRET)
    stack.run("secret", "set", stdin=NEW_SECRET)
    aws_client("secretsmanager").put_secret_value(
        SecretId=stack.outputs["ProfileApiSecretArn"], SecretString="another-key-0123456789abcdef"
    )
    stack.run("secret", "set", stdin=SECRET)

    assert [question for question in asked if "API key" in question] == [change._IS_API_KEY] * 2
    assert api_key(stack) == "another-key-0123456789abcdef"


def test_an_api_key_that_could_not_be_stored_is_said_beside_the_secret_that_was(
    stack: OperatedStack, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = secret.store

    def refused(target: Target, which: secret.Which, new: str) -> datetime:
        if which is secret.Which.API:
            raise OperatorError("Secrets Manager did not confirm the new value")
        return store(target, which, new)

    monkeypatch.setattr(secret, "store", refused)
    ran = stack.run("secret", "set", "--is-api-key", "--yes", stdin=SECRET, code=1)

    assert value() == SECRET
    assert "The webhook secret is set, and the API key is not" in ran.err


def test_the_api_key_alone_can_be_no_webhook_secret(stack: OperatedStack) -> None:
    ran = stack.run("secret", "set", "--for", "api", "--is-api-key", stdin=SECRET, code=2)

    assert "--is-api-key is about the webhook secret" in ran.err


def test_two_different_typings_change_nothing(
    stack: OperatedStack, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, typed = value(), iter([SECRET, SECRET + "x"])
    monkeypatch.setattr("gpw.cli.hidden_input.on_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))

    ran = stack.run("secret", "set", "--yes", code=2)

    assert value() == before
    assert SECRET not in everything(ran)


@pytest.mark.parametrize(
    ("unusable", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (f" {SECRET}", "white space"),
        (f"{SECRET}\n\n", "white space"),
        (f"{SECRET},x", "visible ASCII"),
        (f"{SECRET}ü", "visible ASCII"),
        ("short-secret-15", "shorter than 16"),
        (f'{{"secret":"{SECRET}"}}\n', "paste only the value, as plaintext"),
        (f'"{SECRET}"\n', "paste only the value, as plaintext"),
    ],
)
def test_a_value_that_can_not_work_is_refused_before_it_is_set(
    stack: OperatedStack, value: Any, unusable: str, why: str
) -> None:
    before = value()

    ran = stack.run("secret", "set", "--yes", stdin=unusable, code=2)

    assert value() == before
    assert why in ran.err
    assert "secret-15" not in everything(ran)
    assert SECRET not in everything(ran)


def test_replacing_a_secret_needs_a_yes(stack: OperatedStack, cloud: Cloud, value: Any) -> None:
    cloud.set_secret(SECRET)

    told = stack.run("secret", "set", stdin=NEW_SECRET, code=2)

    assert value() == SECRET
    assert "--yes" in told.err
    assert NEW_SECRET not in everything(told)


def test_what_aws_says_of_a_refused_secret_is_not_repeated(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS quotes values that it finds invalid."""

    class Refusing:
        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def put_secret_value(self, **request: str) -> None:
            response: Any = {
                "Error": {
                    "Code": "ValidationException",
                    "Message": f"Value '{request['SecretString']}' is too long",
                },
                "ResponseMetadata": {"HTTPStatusCode": 400},
            }
            raise ClientError(response, "PutSecretValue")

    real = Target.client
    monkeypatch.setattr(
        "gpw.stack.target.Target.client",
        lambda self, name: (
            Refusing(real(self, name)) if name == "secretsmanager" else real(self, name)
        ),
    )

    told = stack.run("secret", "set", "--yes", stdin=SECRET, code=1)

    assert "ValidationException" in told.err
    assert SECRET not in everything(told)


def test_status_of_the_generated_secret_says_that_none_is_set(stack: OperatedStack) -> None:
    told = stack.run("secret", "status", "--json", code=1).document

    assert (told["set"], told["usable"]) == (False, True)


def test_status_of_a_set_secret(stack: OperatedStack, cloud: Cloud) -> None:
    cloud.set_secret(SECRET)

    told = stack.run("secret", "status", "--json").document

    assert (told["set"], told["usable"], told["previous_accepted_until"]) == (True, True, None)


def test_status_tells_a_stray_newline(stack: OperatedStack, cloud: Cloud) -> None:
    cloud.set_secret(f"{SECRET}\n")

    told = stack.run("secret", "status", code=1)

    assert "stray newline" in told.out
    assert SECRET not in everything(told)


@pytest.mark.parametrize("key_value", [f'{{"secret":"{SECRET}"}}', f'{{"a":"{SECRET}","b":"x"}}'])
def test_status_tells_the_consoles_key_value_form_and_what_to_paste_instead(
    stack: OperatedStack, cloud: Cloud, key_value: str
) -> None:
    cloud.set_secret(key_value)

    status = stack.run("secret", "status", code=1)
    document = stack.run("secret", "status", "--json", code=1).document

    assert "It is a JSON document: paste only the value, as plaintext" in status.out
    assert (document["set"], document["usable"]) == (True, False)
    assert SECRET not in everything(status) + str(document)


def test_what_is_said_of_the_apis_key_names_the_command_for_it(
    stack: OperatedStack, cloud: Cloud
) -> None:
    unset = stack.run("secret", "status", "--for", "api", code=1).out
    cloud.set_api_key(f"{SECRET}\n")
    unusable = stack.run("secret", "status", "--for", "api", code=1).out
    cloud.set_api_key(SECRET)
    well = stack.run("secret", "status", "--for", "api").out

    assert re.search(r"gpw secret set --stack my-stack .*--for api", unset)
    assert re.search(r"gpw secret set --stack my-stack .*--for api", unusable)
    assert "previous" not in unset + unusable + well


@pytest.mark.parametrize(
    ("which", "when"), [("webhook", "within 2 seconds"), ("api", "within 5 minutes")]
)
def test_set_tells_from_when_on_the_new_value_works(
    stack: OperatedStack, which: str, when: str
) -> None:
    assert when in stack.run("secret", "set", "--for", which, "--yes", stdin=SECRET).out


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the stack's own secret had been made long before the others."""
    monkeypatch.setattr(secret, "GENERATED_SECONDS", -1)


@pytest.mark.usefixtures("long_ago")
def test_rotate_keeps_the_previous_one_for_the_grace_time_and_says_so(
    stack: OperatedStack, cloud: Cloud, value: Any
) -> None:
    cloud.set_secret(SECRET)

    told = stack.run("secret", "rotate", "--yes", "--json", stdin=NEW_SECRET).document

    until = datetime.fromisoformat(told["previous_accepted_until"])
    assert value() == NEW_SECRET
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)


@pytest.mark.usefixtures("long_ago")
def test_a_previous_value_that_was_unusable_is_not_said_to_be_accepted(
    stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(f'{{"secret":"{SECRET}"}}')

    told = stack.run("secret", "rotate", "--yes", "--json", stdin=NEW_SECRET).document

    assert told["previous_accepted_until"] is None


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("used_after", [None, 0, 1000])
def test_rotate_watches_until_no_use_of_the_previous_one_can_be_missing(
    stack: OperatedStack,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    waits: Waits,
    used_after: int | None,
) -> None:
    cloud.set_secret(SECRET)
    began = waits.now()
    used = None if used_after is None else began + timedelta(seconds=used_after)
    monkeypatch.setattr(secret_status, "previous_last_used", lambda *_: used)

    told = stack.run("secret", "rotate", "--watch", "--yes", stdin=NEW_SECRET).out

    quiet_from = max(CACHE_SECONDS, used_after or 0)
    passed = (waits.now() - began).total_seconds()
    assert "No webhook carried the previous secret for 10 min" in told
    assert passed >= quiet_from + 600 + METRIC_SECONDS


@pytest.mark.usefixtures("long_ago")
def test_a_watch_that_outlasts_the_grace_time_does_not_say_that_the_previous_one_was_unused(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    cloud.set_secret(SECRET)
    monkeypatch.setattr(secret_status, "previous_last_used", lambda *_: waits.now())
    monkeypatch.setattr(secret, "DEFAULT_GRACE_HOURS", 1)
    monkeypatch.setattr(secret_status, "POLL_SECONDS", 600)

    told = stack.run("secret", "rotate", "--watch", "--yes", stdin=NEW_SECRET).out

    assert "The previous secret is no longer accepted" in told
    assert "No webhook carried" not in told


@pytest.mark.usefixtures("long_ago")
def test_without_a_grace_time_the_previous_secret_is_accepted_until_every_worker_reads_the_new_one(
    stack: OperatedStack,
    cloud: Cloud,
    ingest: Handler,
    monkeypatch: pytest.MonkeyPatch,
    waits: Waits,
) -> None:
    monkeypatch.setattr(secret, "_grace", lambda _target: timedelta())
    cloud.set_secret(SECRET)
    worker = with_clock(ingest, lambda: time.time() + waits.seconds)

    def answered() -> Any:
        return worker(make_api_gateway_event(), make_context())["statusCode"]

    before = answered()
    cloud.set_secret(NEW_SECRET)
    waits.seconds = CACHE_SECONDS - 10  # with a margin for the time that the calls take
    meanwhile = answered()
    shown = stack.run("secret", "status").out
    waits.seconds = CACHE_SECONDS + 60
    later = stack.run("secret", "status").out

    assert (before, meanwhile) == (200, 200)
    assert "No previous secret is accepted" not in shown
    assert "is not known before" in shown
    assert "No previous secret is accepted" in later


@pytest.mark.usefixtures("long_ago")
def test_without_a_grace_time_a_watch_waits_until_every_worker_has_read_the_new_secret(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    monkeypatch.setattr(secret, "_grace", lambda _target: timedelta())
    cloud.set_secret(SECRET)

    told = stack.run("secret", "rotate", "--watch", "--yes", stdin=NEW_SECRET).out

    assert "The previous secret is no longer accepted" in told
    assert waits.seconds >= CACHE_SECONDS


def test_there_is_nothing_to_rotate_before_a_secret_was_set(stack: OperatedStack) -> None:
    told = stack.run("secret", "rotate", "--yes", stdin=NEW_SECRET, code=1)

    assert "gpw secret set" in told.err


@pytest.mark.usefixtures("long_ago")
def test_rotating_to_the_same_secret_is_no_rotation(stack: OperatedStack, cloud: Cloud) -> None:
    cloud.set_secret(SECRET)

    stack.run("secret", "rotate", "--yes", stdin=SECRET, code=1)


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize("used", [True, False])
def test_status_tells_whether_the_previous_secret_is_still_in_use(
    stack: OperatedStack, cloud: Cloud, used: bool
) -> None:
    cloud.set_secret(SECRET)
    cloud.set_secret(NEW_SECRET)
    if used:
        aws_client("cloudwatch").put_metric_data(
            Namespace="GetProfileWebhooks",
            MetricData=[
                {
                    "MetricName": "PreviousSecretUsed",
                    "Dimensions": [{"Name": "service", "Value": "my-stack"}],
                    "Timestamp": datetime.now(UTC),
                    "Value": 1,
                }
            ],
        )

    told = stack.run("secret", "status", "--json").document
    shown = stack.run("secret", "status").out

    assert (told["previous_last_used"] is not None) == used
    assert ("set the new one at GetProfile" in shown) == used
    assert ("is not known before" in shown) != used  # the rotation was just now


@pytest.mark.usefixtures("long_ago")
@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, "is not known before"), (10, "is not known before"), (11, "no use of the previous one")],
)
def test_status_does_not_call_the_previous_secret_unused_while_its_uses_are_not_counted(
    stack: OperatedStack, cloud: Cloud, waits: Waits, minutes: int, said: str
) -> None:
    cloud.set_secret(SECRET)
    cloud.set_secret(NEW_SECRET)
    waits.seconds = minutes * 60

    told = stack.run("secret", "status", "--json").document
    shown = stack.run("secret", "status").out

    assert said in shown.lower()
    assert (told["previous_uses_known_from"] is None) == (minutes < 11)


def test_a_worker_counts_every_use_of_the_previous_secret_from_when_status_says_so(
    ingest: Handler, cloud: Cloud, output: Output
) -> None:
    """A warm worker takes it for the current one until it reads the secret again."""
    clock = {"ahead": 0.0}
    ingest = with_clock(ingest, lambda: time.time() + clock["ahead"])

    def used() -> int:
        ingest(make_api_gateway_event(), make_context())
        return len(output.metrics().get("PreviousSecretUsed", []))

    used()
    cloud.set_secret(NEW_SECRET)
    set_at = datetime.now(UTC)
    clock["ahead"] = 1.0
    before = used()
    clock["ahead"] = (counted_from(set_at, CACHE_SECONDS) - set_at).total_seconds()

    assert (before, used()) == (0, 1)


def test_the_apis_key_is_another_secret(cloud: Cloud) -> None:
    stack = OperatedStack(cloud)
    before = aws_client("secretsmanager").get_secret_value(
        SecretId=stack.outputs["WebhookSecretArn"]
    )["SecretString"]

    stack.run("secret", "set", "--for", "api", "--yes", stdin=SECRET)

    read = aws_client("secretsmanager").get_secret_value
    assert read(SecretId=stack.outputs["ProfileApiSecretArn"])["SecretString"] == SECRET
    assert read(SecretId=stack.outputs["WebhookSecretArn"])["SecretString"] == before


def test_without_hydration_there_is_no_key_for_the_api(cloud: Cloud) -> None:
    stack = OperatedStack(cloud, hydrating=False)

    told = stack.run("secret", "set", "--for", "api", "--yes", stdin=SECRET, code=1)

    assert "SyncIntervalMinutes=60" in told.err


# ---------------------------------------------------------------- send


class Endpoint:
    """IngestFunction behind urllib3."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._one_at_a_time = threading.Lock()  # as Lambda gives a worker its requests
        self.bodies: list[bytes] = []

    def request(
        self, method: str, url: str, *, body: bytes, headers: dict[str, str]
    ) -> urllib3.HTTPResponse:
        assert (method, url) == ("POST", "https://webhooks.test/webhooks/getprofile")
        self.bodies.append(body)
        event = make_api_gateway_event(body, authorization=None, headers=headers)
        with self._one_at_a_time:
            answer = self._handler(event, make_context())
        return urllib3.HTTPResponse(
            answer["body"].encode(), status=answer["statusCode"], preload_content=True
        )


@pytest.fixture
def endpoint(ingest: Handler, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    found = Endpoint(ingest)
    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: found)
    return found


@pytest.fixture
def ingesting(endpoint: Endpoint, cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


def json_lines(ran: Ran) -> list[dict[str, Any]]:
    """What gpw printed, which stands behind the function's own log."""
    document: list[dict[str, Any]] = json.loads(ran.out[ran.out.index("\n[\n") :])
    return document


def test_the_sample_is_the_one_of_getprofiles_documentation() -> None:
    assert sample("profile.updated") == SAMPLE


def test_send_posts_a_new_event_and_tells_the_answer(
    ingesting: OperatedStack, cloud: Cloud
) -> None:
    ran = ingesting.run("send", "--yes", "--json")

    [answer] = json_lines(ran)
    [queued] = cloud.messages("EventsQueue")
    assert (answer["status"], answer["body"]) == (200, "OK")
    assert json.loads(queued.body)["id"] == answer["event_id"] != SAMPLE["id"]
    assert SECRET not in everything(ran)


def test_send_can_deliver_as_badly_as_senders_do(ingesting: OperatedStack, cloud: Cloud) -> None:
    ran = ingesting.run("send", "--duplicate", "--stale", "--malformed", "--yes", "--json")

    events = [json.loads(message.body) for message in cloud.messages("EventsQueue")]
    assert [answer["status"] for answer in json_lines(ran)] == [200, 200, 200, 400]
    assert events[0] == events[1]
    assert events[2]["created_at"] < events[0]["created_at"]
    assert [m.attributes["reason"] for m in cloud.messages("DeadLetterQueue")] == ["invalid_event"]


@pytest.mark.parametrize(("options", "profiles"), [([], 30), (["--profile-id", "p-one"], 1)])
def test_many_events_are_of_different_profiles_unless_one_is_named(
    options: list[str], profiles: int, ingesting: OperatedStack, cloud: Cloud
) -> None:
    ran = ingesting.run("send", "--count", "30", *options, "--yes")

    events = [json.loads(message.body) for message in cloud.messages("EventsQueue")]
    assert len({event["id"] for event in events}) == 30
    assert len({event["data"]["profile_id"] for event in events}) == profiles
    assert "200 30 times" in ran.out


@pytest.mark.parametrize("event_type", sorted(DATA | EVENT_TYPES))
def test_each_known_type_has_a_sample_that_is_accepted(
    event_type: str, ingesting: OperatedStack, cloud: Cloud
) -> None:
    ingesting.run("send", "--type", event_type, "--yes")

    [queued] = cloud.messages("EventsQueue")
    event = parse_event(queued.body)
    assert event.event == event_type
    assert event.data


@pytest.mark.parametrize(
    ("event_type", "named", "data"),
    [
        ("session.ended", {}, {}),
        (
            "session.ended",
            {"profile-id": "p", "status": "odd"},
            {"profile_id": "p", "status": "odd"},
        ),
        ("profile.deleted", {}, {"profile_id": "12345"}),
    ],
)
def test_a_type_without_a_sample_gets_the_envelope_and_what_is_named(
    event_type: str,
    named: dict[str, str],
    data: dict[str, str],
    ingesting: OperatedStack,
    cloud: Cloud,
) -> None:
    options = [word for name, value in named.items() for word in (f"--{name}", value)]
    ingesting.run("send", "--type", event_type, "--tenant", "t-1", *options, "--yes")

    [queued] = cloud.messages("EventsQueue")
    event = json.loads(queued.body)
    assert (event["event"], event["tenant_id"], event["data"]) == (event_type, "t-1", data)


def test_a_file_is_sent_as_it_is(ingesting: OperatedStack, endpoint: Endpoint) -> None:
    ingesting.run("send", "tests/samples/profile.updated.json", "--yes")

    assert endpoint.bodies == [Path("tests/samples/profile.updated.json").read_bytes()]


def test_standard_input_is_sent_as_it_is_and_a_refusal_exits_1(
    ingesting: OperatedStack, endpoint: Endpoint
) -> None:
    ingesting.run("send", "-", "--yes", stdin=b"\xff{", code=1)

    assert endpoint.bodies == [b"\xff{"]


def test_send_asks_before_it_sends_to_aws(ingesting: OperatedStack, cloud: Cloud) -> None:
    ingesting.run("send", code=2)

    assert cloud.messages("EventsQueue") == []


@pytest.mark.parametrize(
    "options",
    [
        ["missing.json"],
        ["-", "--stale"],
        ["-", "--type", "profile.deleted"],
        ["--count", "2", "--duplicate"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    ingesting: OperatedStack, options: list[str]
) -> None:
    ingesting.run("send", *options, "--yes", code=2)


def test_send_without_a_usable_secret_says_how_to_set_one(
    ingesting: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(f"{SECRET}\n")

    told = ingesting.run("send", "--yes", code=1)

    assert "stray newline" in told.err
    assert "gpw secret set" in told.err
    assert SECRET not in everything(told)


def test_an_endpoint_that_does_not_answer_is_reported_without_the_secret(
    stack: OperatedStack, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead:
        def request(self, *_: object, **sent: Any) -> None:
            raise urllib3.exceptions.HTTPError(f"no answer to {sent}")

    cloud.set_secret(SECRET)
    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: Dead())

    told = stack.run("send", "--yes", code=1)

    assert "does not answer" in told.err
    assert SECRET not in everything(told)


# ---------------------------------------------------------------- pause, resume


def state_of_consumer(stack: OperatedStack) -> str:
    [mapping] = aws_client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return str(mapping["State"])


def test_pause_stops_the_consumer_and_resume_starts_it(stack: OperatedStack) -> None:
    stack.put("EventsQueueUrl", "{}")

    paused = stack.run("pause", "--yes", "--json").document
    between = state_of_consumer(stack)
    resumed = stack.run("resume", "--yes", "--json").document

    assert paused == {"state": "Disabled", "events_waiting": 1}
    assert between == "Disabled"
    assert resumed["state"] == state_of_consumer(stack) == "Enabled"


def test_pause_needs_a_yes(stack: OperatedStack) -> None:
    stack.run("pause", code=2)
    stack.run("pause", stdin="n\n", code=1)

    assert state_of_consumer(stack) == "Enabled"


def test_pausing_what_is_paused_asks_nothing_and_is_well(stack: OperatedStack) -> None:
    stack.run("pause", "--yes")

    assert "disabled" in stack.run("pause").out


def test_a_consumer_that_does_not_stop_in_time_is_reported(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpw.operations.pause.WAIT_SECONDS", -1)
    monkeypatch.setattr(
        "moto.awslambda.models.EventSourceMapping.get_configuration",
        lambda mapping: {"UUID": mapping.uuid, "State": "Disabling"},
    )

    assert "still disabling" in stack.run("pause", "--yes", code=1).err
