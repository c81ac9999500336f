import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from receiver.ingest.response import accepted, wrong_secret
from tests.canary import leaks
from tests.factories import (
    make_api_gateway_event,
    make_body,
    make_event,
    make_item,
    make_sqs_record,
    make_stream_record,
)
from tests.functional.cloud import TEMPLATE
from tests.runtime.conftest import (
    CANARIES,
    PRIVATE,
    SECRET,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Lambda,
)
from tests.runtime.lines import LEVELS, levels, metrics, problem, problems
from tests.runtime.worker import Answer, Worker

LOG_LEVELS = TEMPLATE["Parameters"]["LogLevel"]["AllowedValues"]
EVERY_LOG_LEVEL = pytest.mark.parametrize("log_level", LOG_LEVELS)
DONE: dict[str, Any] = {"batchItemFailures": []}
OK = accepted("", previous_secret=False).for_api_gateway()
UNAUTHORIZED = wrong_secret().for_api_gateway()
Deploy = Callable[..., Lambda]


def of_queue(body: str) -> dict[str, Any]:
    return {"Records": [make_sqs_record(body)]}


def of_stream(event_id: str) -> dict[str, Any]:
    item = make_item(make_event(event_id, note=PRIVATE))
    return {"Records": [make_stream_record(item)]}


def published(profile_id: str) -> dict[str, Any]:
    detail = make_event(profile_id=profile_id) | {"outcome": "applied"}
    return of_queue(json.dumps({"detail-type": "profile.updated", "detail": detail}))


def posted(body: str, **options: Any) -> dict[str, Any]:
    options = {"authorization": f"Bearer {SECRET}"} | options
    return make_api_gateway_event(body, **options)


def failed(item: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": item}]}


BODY = make_body(make_event(note=PRIVATE))


@dataclass(frozen=True)
class Script:
    """What is done to a function, and what must come of it, whatever LogLevel is.

    calls: events with their answers; the first meets a cold worker. late: one whose deadline has
    passed. wrong: one that no handler can work with, and the class of the error. last: what the
    function writes after an answer.
    """

    calls: list[tuple[dict[str, Any], dict[str, Any]]]
    late: tuple[dict[str, Any], dict[str, Any]]
    wrong: tuple[dict[str, Any], str]
    metrics: dict[str, int]
    last: str = ""


SCRIPTS = {
    "IngestFunction": Script(
        calls=[
            (posted(BODY), OK),
            (posted(BODY), OK),
            (
                posted(BODY, authorization=f"Bearer {SECRET_ACCESS_KEY}"),
                UNAUTHORIZED,
            ),
        ],
        late=(posted(BODY), OK),  # it has a deadline of its own
        wrong=({"headers": [SECRET]}, "AttributeError"),
        metrics={
            "EventsAccepted": 3,
            "RequestsRefused": 1,
            "RequestsRefused wrong_secret": 1,
            "DeliveriesHeld": 1,
        },
        last="DeliveriesHeld",
    ),
    "ConsumerFunction": Script(
        calls=[
            (of_queue(BODY), DONE),
            (of_queue(make_body(make_event("evt_0", note=PRIVATE))), DONE),
            (of_queue(f'"{PRIVATE}"'), DONE),  # dead-lettered
        ],
        late=(of_queue(make_body(make_event("evt_3"))), failed("message-1")),
        wrong=(
            {"Records": [make_sqs_record() | {"attributes": {"SentTimestamp": PRIVATE}}]},
            "ValueError",
        ),
        metrics={
            "EventsApplied": 1,
            "AppliedAge": 1,
            "EventsStale": 1,
            "DeadLettered": 1,
            "DeadLettered invalid_event": 1,
            "MessagesFailed": 1,
        },
    ),
    "PublisherFunction": Script(
        calls=[(of_stream("evt_1"), DONE), (of_stream("evt_2"), DONE)],
        late=(of_stream("evt_3"), failed(f"{1:021}")),
        wrong=({"Records": [{PRIVATE: PRIVATE}]}, "KeyError"),
        metrics={"EventsPublished": 2, "PublishFailed": 1},
    ),
    "HydratorFunction": Script(
        calls=[
            (published("12345"), DONE),
            (published("without-state"), DONE),
            (of_queue(f'"{PRIVATE}"'), DONE),  # dead-lettered
        ],
        late=(published("12345"), failed("message-1")),
        wrong=(
            {"Records": [make_sqs_record() | {"attributes": {"SentTimestamp": PRIVATE}}]},
            "ValueError",
        ),
        metrics={
            "ProfileApiRequests": 1,
            "ProfileApiLatency": 1,
            "ProfilesHydrated": 1,
            "HydrationsSkipped": 1,
            "DeadLettered": 1,
            "DeadLettered invalid_hydration": 1,
            "HydrationsFailed": 1,
        },
    ),
}
EVERY_FUNCTION = pytest.mark.parametrize("function", SCRIPTS)


def play(function: str, one: Lambda, **variables: str) -> tuple[list[Answer], Worker]:
    """Do to a function what its script says. Returns: the answers, and the worker that ended."""
    script = SCRIPTS[function]
    if function == "HydratorFunction":
        state = {"tenant_id": "abc-tenant", "profile_id": "12345", "version": "2022"}
        one.cloud.put_item(state | {"received_at": "2023-10-01T12:00:01.000000Z"})
    with one.start(function, **variables) as worker:
        answers = [worker.invoke(event) for event, _answer in script.calls]
        answers.append(worker.invoke(script.late[0], seconds_left=-1))
        answers.append(worker.invoke(script.wrong[0]))
        worker.wait_until_written(script.last)
    return answers, worker


# ---------------------------------------------------------------- invocations


@EVERY_LOG_LEVEL
@EVERY_FUNCTION
def test_a_function_answers_and_logs_its_own_lines_with_every_metric_and_no_secret(
    stack: Deploy, function: str, log_level: str
) -> None:
    script, one = SCRIPTS[function], stack(LogLevel=log_level)
    application_level = one.logging_config(function)["ApplicationLogLevel"]

    [*answers, error], worker = play(function, one)

    assert problems(worker.lines, application_level) == {}
    assert [line for line in worker.lines if "library line" in line] == []
    assert leaks([*worker.lines, *map(str, answers), str(error)], *CANARIES) == []
    assert metrics(worker.lines) == script.metrics
    assert all(LEVELS[level] >= LEVELS[log_level] for level in levels(worker.lines))
    expected = [answer for _event, answer in [*script.calls, script.late]]
    assert answers == [Answer("response", answer) for answer in expected]
    assert error.kind == "error"
    assert (error.document["errorType"], error.document["errorMessage"]) == (
        "UnexpectedError",
        script.wrong[1],
    )
    assert "lambda_handler" in str(error.document["stackTrace"])


@pytest.mark.parametrize("level", ["TRACE", "WARN", "FATAL"])
def test_no_log_level_that_lambda_can_be_given_makes_a_library_write(
    stack: Deploy, level: str
) -> None:
    """Somebody may set it in AWS's console."""
    _answers, worker = play("IngestFunction", stack(), AWS_LAMBDA_LOG_LEVEL=level)

    assert problems(worker.lines, "INFO") == {}
    assert leaks(worker.lines, *CANARIES) == []
    assert metrics(worker.lines) == SCRIPTS["IngestFunction"].metrics


@pytest.mark.parametrize("name", ["root", "botocore", "py.warnings"])
def test_a_stack_with_the_name_of_a_logger_logs_no_more(stack: Deploy, name: str) -> None:
    variables = {"POWERTOOLS_SERVICE_NAME": name, "POWERTOOLS_LOG_LEVEL": "DEBUG"}
    _answers, worker = play("IngestFunction", stack(LogLevel="DEBUG"), **variables)

    lines = [line.replace(f'"service":"{name}"', '"service":"my-stack"') for line in worker.lines]
    assert problems(lines, "DEBUG") == {}
    assert leaks(worker.lines, *CANARIES) == []


@EVERY_LOG_LEVEL
def test_what_a_library_writes_is_logged_by_its_place_and_class_without_its_text(
    stack: Deploy, log_level: str
) -> None:
    one = stack(LogLevel=log_level)
    with one.start("IngestFunction", _HANDLER="tests.runtime.talkative.lambda_handler") as worker:
        error = worker.invoke({"note": PRIVATE})

    assert problems(worker.lines, log_level) == {}
    assert leaks([*worker.lines, str(error)], *CANARIES) == []
    assert error.document["errorMessage"] == "ValueError"
    *logged, _error = map(json.loads, worker.lines)
    lines = Counter((line["level"], line["message"], line.get("error")) for line in logged)
    places = {line["detail"].partition(":")[0] for line in logged}
    errors = {("ERROR", "library line", None): 3, ("ERROR", "library line", "KeyError"): 1}
    if log_level == "ERROR":
        assert lines == errors
    else:
        warnings = {
            ("WARNING", "library line", None): 3,
            ("WARNING", "Python warning", "UserWarning"): 1,
        }
        assert lines == errors | warnings
        assert places == {
            "botocore.parsers at talkative.py",
            "urllib3 at talkative.py",
            "root at talkative.py",
            "talkative.py",
        }


def test_an_error_that_nobody_catches_is_logged_by_its_place_and_class_without_its_text(
    stack: Deploy,
) -> None:
    handler = "tests.runtime.talkative.fail_where_nobody_catches"
    one = stack()
    with one.start("IngestFunction", _HANDLER=handler) as worker:
        worker.ask({"note": PRIVATE})
        worker.wait_until_ended()

    assert leaks(worker.lines, *CANARIES) == []
    assert problems(worker.lines, "INFO") == {}
    logged = [json.loads(line) for line in worker.lines]
    uncaught = [line for line in logged if line["message"] == "uncaught error"]
    assert [line["error"] for line in uncaught] == [
        "LookupError",
        "ValueError",
        "KeyboardInterrupt",
    ]
    assert {line["detail"].partition(":")[0] for line in uncaught} == {"talkative.py"}
    assert [line["detail"].partition(":")[0] for line in logged if line not in uncaught] == [
        "botocore.parsers at talkative.py"
    ]


# ---------------------------------------------------------------- initialisation


def test_a_missing_setting_ends_the_initialisation_and_is_named(stack: Deploy) -> None:
    one = stack()
    with ExitStack() as until_all_have_ended:
        workers = [
            until_all_have_ended.enter_context(one.start(function, DEAD_LETTER_QUEUE_URL=None))
            for function in SCRIPTS
        ]
        answers = [worker.answer() for worker in workers]

    for answer, worker in zip(answers, workers, strict=True):
        assert answer.kind == "init/error"
        assert answer.document["errorType"] == "SettingsError"
        assert answer.document["errorMessage"] == "DEAD_LETTER_QUEUE_URL: Field required"
        assert problems(worker.lines, "INFO") == {}


def test_an_unexpected_error_in_the_initialisation_is_reported_without_its_text(
    stack: Deploy,
) -> None:
    one = stack()
    with ExitStack() as until_all_have_ended:
        workers = [
            until_all_have_ended.enter_context(one.start(function, AWS_ENDPOINT_URL=PRIVATE))
            for function in SCRIPTS
        ]
        answers = [worker.answer() for worker in workers]

    for answer, worker in zip(answers, workers, strict=True):
        assert answer.kind == "init/error"
        assert answer.document["errorType"] == "UnexpectedError"
        assert answer.document["errorMessage"] == "ValueError"  # botocore's quotes the endpoint
        assert "make_client" in str(answer.document["stackTrace"])
        assert leaks([*worker.lines, str(answer)], *CANARIES) == []
        assert problems(worker.lines, "INFO") == {}


# ---------------------------------------------------------------- the checks themselves


def test_a_leak_and_another_loggers_line_would_be_found(stack: Deploy) -> None:
    """Otherwise the tests above could not fail."""
    one = stack()
    queue = one.cloud.environment("IngestFunction")["EVENTS_QUEUE_URL"]
    event = {"queue": queue, "note": PRIVATE}
    with one.start(
        "IngestFunction",
        _HANDLER="tests.runtime.leaky.lambda_handler",
        AWS_LAMBDA_LOG_LEVEL="DEBUG",
    ) as worker:
        error = worker.invoke(event)

    for canary in (PRIVATE, SESSION_TOKEN):
        assert leaks(worker.lines, canary)
    assert leaks([str(error)], PRIVATE)
    assert not leaks(worker.lines, SECRET_ACCESS_KEY)  # as SECURITY.md says of 0.2.0
    assert set(problems(worker.lines, "DEBUG").values()) == {"of another logger"}


OURS = {
    "level": "INFO",
    "message": "event accepted",
    "timestamp": "2023-10-01T12:00:00.000+00:00",
    "service": "my-stack",
}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (OURS, None),
        (OURS | {"level": "WARNING"}, None),
        ({"service": "my-stack", "_aws": {}, "EventsApplied": 1}, None),
        (OURS | {"level": "DEBUG"}, "dropped by Lambda"),
        (OURS | {"level": "LOUD"}, "a level that Lambda does not know"),
        (OURS | {"timestamp": "2023-10-01 12:00:00"}, "a time that Lambda does not read"),
        (OURS | {"service": "other"}, "of another logger"),
        ({"service": "my-stack", "message": "event accepted", "_aws": {}}, "no level"),
    ],
)
def test_a_line_is_checked_as_lambda_reads_it(line: Any, wrong: str | None) -> None:
    assert problem(json.dumps(line), "INFO") == wrong


def test_text_is_not_json() -> None:
    assert problem("Traceback (most recent call last):", "INFO") == "not JSON"
