"""What template.yaml promises, held against the code that relies on it."""

import ast
import importlib
import json
import math
import re
import shlex
import tomllib
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.shared import constants as powertools
from botocore.retries.standard import ExponentialBackoff, RetryContext
from botocore.session import Session
from samtranslator.yaml_helper import yaml_parse

import receiver.consumer.store
import receiver.hydrator.hydrate
import receiver.hydrator.hydration
import receiver.ingest.hold
import receiver.ingest.receive
import receiver.ingest.secret
import receiver.publisher.bus
from gpw.parked.dead_letters import QUEUED
from receiver import messages
from receiver.aws import sqs
from receiver.aws.clients import Budget, make_client
from receiver.aws.sqs_record import from_lambda
from receiver.domain.credential import MIN_LENGTH
from receiver.domain.errors import EventError, NotStorableError
from receiver.hydrator.hydrate import delay_seconds
from receiver.hydrator.profile_api import MAX_PAUSE_SECONDS
from receiver.hydrator.transport import CONNECT_SECONDS, REQUEST_SECONDS
from receiver.ingest.receive import PATH
from receiver.ingest.time_limit import DEADLINE_SECONDS
from receiver.lambda_support import batch, deadline
from receiver.lambda_support.settings import Settings
from receiver.publisher.entry import entry
from receiver.publisher.stream import from_stream
from tests.factories import make_item, make_sqs_record, make_stream_record
from tests.template.cloudformation import Deployment
from tests.template.conftest import decided

type Json = dict[str, Any]

STREAM_KEEPS_SECONDS = 24 * 3600  # DynamoDB's documentation
MOST_WITHOUT_A_WINDOW = 10  # Lambda's documentation: a larger batch needs a batch window
SQS_MAXIMUM_CONCURRENCY = (2, 1000)  # Lambda's documentation
NEW_ACCOUNT_CONCURRENCY = 10  # functions that a new AWS account may run at once
SENDER_GIVES_UP_SECONDS = 5  # GetProfile's documentation
NOW = datetime(2026, 1, 1, tzinfo=UTC)

FUNCTION = "AWS::Lambda::Function"
LOG_GROUP = "AWS::Logs::LogGroup"
QUEUE = "AWS::SQS::Queue"
ROLE = "AWS::IAM::Role"
SECRET = "AWS::SecretsManager::Secret"
TABLE = "AWS::DynamoDB::Table"


def resources(document: Json, kind: str) -> dict[str, Json]:
    """All resources of a type by logical ID; a type that nothing has is a mistake in the test."""
    found = {name: r for name, r in document["Resources"].items() if r["Type"] == kind}
    assert found, f"no {kind} in the template"
    return found


def properties(document: Json, kind: str) -> dict[str, Json]:
    return {name: r["Properties"] for name, r in resources(document, kind).items()}


def only(document: Json, kind: str) -> Json:
    [found] = properties(document, kind).values()
    return found


def unlike(expected: Any, found: dict[str, Any]) -> dict[str, Any]:
    """What is not as expected: nothing, when all is well."""
    return {name: value for name, value in found.items() if value != expected}


def mapping(document: Json, function: str) -> Json:
    """The event source mapping of a function."""
    found = properties(document, "AWS::Lambda::EventSourceMapping").values()
    [one] = [m for m in found if target(m["FunctionName"]) == function]
    return one


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def target(intrinsic: Any) -> str:
    """The logical ID that a Ref or a GetAtt points at, with the attribute of the latter.

    Of a Sub, its text without the braces.
    """
    match intrinsic:
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w.]+)\}", r"\1", text)
        case _:
            return str(intrinsic)


def environment(function: Json) -> Json:
    variables: Json = function["Environment"]["Variables"]
    return variables


def settings_class(function: Json) -> type[Settings]:
    """The Settings subclass of the package that the function's handler is in."""
    package = function["Handler"].removesuffix(".handler.lambda_handler")
    module = importlib.import_module(f"{package}.settings")
    [found] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value is not Settings and issubclass(value, Settings)
    ]
    return found


def longest_call(client: Any) -> float:
    """Seconds that one call of a botocore client takes at most: attempts, and waits in between."""
    config = client.meta.config
    attempts = config.retries["total_max_attempts"]
    backoff = ExponentialBackoff(random=lambda: 1.0)
    told_to_wait = SimpleNamespace(headers={"x-amz-retry-after": "3600000"})
    waits = [
        backoff.delay_amount(RetryContext(attempt_number=n, http_response=told_to_wait))
        for n in range(1, attempts)
    ]
    return float(attempts * (config.connect_timeout + config.read_timeout) + sum(waits))


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("function", "queue"),
    [("ConsumerFunction", "EventsQueue"), ("HydratorFunction", "HydrationQueue")],
)
def test_a_message_stays_invisible_for_six_timeouts_and_the_batch_window(
    stack: Json, function: str, queue: str
) -> None:
    timeout = properties(stack, FUNCTION)[function]["Timeout"]
    window = mapping(stack, function)["MaximumBatchingWindowInSeconds"]
    seconds = window if isinstance(window, int) else stack["Parameters"][target(window)]["Default"]

    assert 6 * timeout + seconds == properties(stack, QUEUE)[queue]["VisibilityTimeout"]


def test_with_a_batch_window_an_event_stays_invisible_for_the_longest_one_too(
    transformed: Json,
) -> None:
    gathering = decided(transformed, GatherEvents=True)
    window = gathering["Parameters"]["ConsumerBatchWindowSeconds"]["MaxValue"]
    timeout = properties(gathering, FUNCTION)["ConsumerFunction"]["Timeout"]

    assert 6 * timeout + window == properties(gathering, QUEUE)["EventsQueue"]["VisibilityTimeout"]


def test_ingest_answers_a_second_before_lambda_ends_it_and_before_the_sender_gives_up(
    stack: Json,
) -> None:
    timeout = properties(stack, FUNCTION)["IngestFunction"]["Timeout"]

    assert timeout >= DEADLINE_SECONDS + 1
    assert timeout <= SENDER_GIVES_UP_SECONDS
    assert DEADLINE_SECONDS < SENDER_GIVES_UP_SECONDS - 1


def test_sending_to_sqs_with_its_retry_fits_the_deadline_of_ingest() -> None:
    assert receiver.ingest.receive.QUEUE_BUDGET.longest_seconds <= DEADLINE_SECONDS


def test_reading_both_values_of_the_secret_fits_the_deadline_of_ingest() -> None:
    two_attempts = 2 * receiver.ingest.secret.READ_BUDGET.longest_seconds

    assert two_attempts <= receiver.ingest.secret.READ_SECONDS
    assert (
        receiver.ingest.secret.READ_SECONDS + receiver.ingest.hold.WAIT_SECONDS <= DEADLINE_SECONDS
    )


@pytest.mark.parametrize(
    "budget",
    [
        receiver.ingest.receive.QUEUE_BUDGET,
        receiver.ingest.secret.READ_BUDGET,
        receiver.consumer.store.BUDGET,
        receiver.publisher.bus.BUDGET,
        receiver.hydrator.tables.BUDGET,
        batch.DEAD_LETTER_BUDGET,
        Budget(attempts=7, connect_seconds=0.5, read_seconds=1),
    ],
)
def test_the_sdk_takes_no_longer_for_a_call_than_its_budget_says(budget: Budget) -> None:
    assert longest_call(make_client("sqs", budget)) == budget.longest_seconds


def test_the_consumer_can_begin_writes_for_longer_than_one_write_takes(stack: Json) -> None:
    timeout = properties(stack, FUNCTION)["ConsumerFunction"]["Timeout"]
    longest = receiver.consumer.store.BUDGET.longest_seconds

    assert timeout - deadline.REPORT_SECONDS - longest > longest


def test_every_concurrent_call_has_a_connection_of_its_own() -> None:
    for budget in (receiver.consumer.store.BUDGET, batch.DEAD_LETTER_BUDGET):
        client = make_client("sqs", budget)

        assert client.meta.config.max_pool_connections >= receiver.consumer.store.CONCURRENT_WRITES


def test_the_publisher_has_time_for_several_of_the_longest_calls(stack: Json) -> None:
    timeout = properties(stack, FUNCTION)["PublisherFunction"]["Timeout"]

    assert timeout > 4 * receiver.publisher.bus.BUDGET.longest_seconds


# ---------------------------------------------------------------- sizes


def size(message: sqs.QueueMessage) -> int:
    """Bytes that SQS counts: the body, and of each attribute the name, the type and the value."""
    attributes = message.send_request("url")["MessageAttributes"]
    return len(message.body.encode()) + sum(
        len(f"{name}{attribute['DataType']}{attribute['StringValue']}".encode())
        for name, attribute in attributes.items()
    )


def longest_error(kind: type[EventError]) -> EventError:
    return kind("\U0001f600" * 10_000)


def test_the_code_knows_the_largest_message_that_every_queue_takes(stack: Json) -> None:
    limits = {name: q.get("MaximumMessageSize") for name, q in properties(stack, QUEUE).items()}
    limits.pop("HeldQueue")  # which takes less: see below

    assert unlike(sqs.MAX_MESSAGE_BYTES, limits) == {}


def test_the_largest_body_still_fits_when_escaped_and_quarantined(template: Json) -> None:
    largest = template["Parameters"]["MaxBodyBytes"]["MaxValue"]
    body = "\uffff" * (largest // 3)  # a character of 3 bytes that SQS gets as an escape of 6

    message = messages.accepted(body, NOW)
    quarantined = messages.quarantined(message, longest_error(NotStorableError))

    assert len(message.body) == 2 * len(body.encode())
    assert size(message) < size(quarantined) <= sqs.MAX_MESSAGE_BYTES


@pytest.mark.parametrize("filler", [b"x", b"\x00", b"\xff"], ids=["text", "control", "binary"])
def test_a_refused_body_as_large_as_api_gateway_takes_fits_the_dead_letter_queue(
    filler: bytes,
) -> None:
    body = filler * 10 * 1024 * 1024

    message = messages.refused(body, longest_error(EventError), NOW)

    assert size(message) <= sqs.MAX_MESSAGE_BYTES


# ---------------------------------------------------------------- queues


def test_a_dead_letter_outlives_its_source_because_its_age_counts_from_the_first_enqueueing(
    stack: Json,
) -> None:
    queues = properties(stack, QUEUE)
    source = queues["EventsQueue"]["MessageRetentionPeriod"]

    assert queues["DeadLetterQueue"]["MessageRetentionPeriod"] >= source + 7 * 24 * 3600


def test_the_history_outlives_every_message_so_that_no_redelivery_finds_its_event_forgotten(
    stack: Json,
) -> None:
    """A message can be held, released, quarantined and redriven; each step sends a new message."""
    life = {
        name: queue["MessageRetentionPeriod"] / (24 * 3600)
        for name, queue in properties(stack, QUEUE).items()
    }
    way = ["HeldQueue", "EventsQueue", "DeadLetterQueue", "EventsQueue"]
    retention = stack["Parameters"]["EventRetentionDays"]

    assert retention["MinValue"] == math.ceil(sum(life[queue] for queue in way))
    assert retention["Default"] >= retention["MinValue"]
    assert life["EventsQueue"] == QUEUED / timedelta(days=1)


def test_an_outage_of_five_hours_dead_letters_no_event_that_the_queue_still_keeps(
    stack: Json,
) -> None:
    queue = properties(stack, QUEUE)["EventsQueue"]
    redrive = queue["RedrivePolicy"]
    survived = redrive["maxReceiveCount"] * queue["VisibilityTimeout"]

    assert 5 * 3600 <= survived < queue["MessageRetentionPeriod"]
    assert target(redrive["deadLetterTargetArn"]) == "DeadLetterQueue.Arn"


@pytest.mark.parametrize("filler", [b"x", b"\x00", b"\xff"], ids=["text", "control", "binary"])
def test_the_largest_held_delivery_fits_its_queue_however_it_travels(
    stack: Json, filler: bytes
) -> None:
    queue = properties(stack, QUEUE)["HeldQueue"]
    body = filler * messages.MAX_HELD_BYTES

    header = "\uffff" * 10_000
    message = messages.held(
        body,
        token_digest="f" * 64,
        source_ip="f" * 45,
        received_at=NOW,
        content_type=header,
        content_encoding=header,
    )

    assert messages.original_body(message) == body
    assert size(message) <= queue["MaximumMessageSize"]


def test_the_dead_letter_queue_is_the_end_of_the_way(stack: Json) -> None:
    assert "RedrivePolicy" not in properties(stack, QUEUE)["DeadLetterQueue"]


def test_the_consumer_lets_no_event_wait_for_another_and_reports_each_failed_message(
    stack: Json,
) -> None:
    found = mapping(stack, "ConsumerFunction")

    assert target(found["EventSourceArn"]) == "EventsQueue.Arn"
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found["BatchSize"] == MOST_WITHOUT_A_WINDOW
    window = stack["Parameters"][target(found["MaximumBatchingWindowInSeconds"])]
    assert window["Default"] == 0
    assert "FilterCriteria" not in found  # what a filter refuses is deleted


def test_a_backlog_leaves_half_of_a_new_accounts_concurrency_to_the_other_functions(
    stack: Json,
) -> None:
    limit = mapping(stack, "ConsumerFunction")["ScalingConfig"]["MaximumConcurrency"]
    parameter = stack["Parameters"][target(limit)]

    assert (parameter["MinValue"], parameter["MaxValue"]) == SQS_MAXIMUM_CONCURRENCY
    assert parameter["Default"] <= NEW_ACCOUNT_CONCURRENCY / 2


def test_a_function_may_feed_the_queue_that_invokes_it_if_and_only_if_it_has_to(
    stack: Json,
) -> None:
    # Lambda ends a chain of messages through one function after about 16 rounds unless allowed.
    loops = {
        name: any(
            "sqs:SendMessage" in granted(role).get(target(one["EventSourceArn"]), set())
            for one in properties(stack, "AWS::Lambda::EventSourceMapping").values()
            if target(one["FunctionName"]) == name
        )
        for name, function in properties(stack, FUNCTION).items()
        for role in [properties(stack, ROLE)[target(function["Role"]).removesuffix(".Arn")]]
    }
    allowed = {n: f.get("RecursiveLoop") == "Allow" for n, f in properties(stack, FUNCTION).items()}

    assert any(loops.values())
    assert allowed == loops


def test_the_publisher_gets_each_insertion_and_blocks_the_stream_for_no_longer_than_twelve_hours(
    stack: Json,
) -> None:
    found = mapping(stack, "PublisherFunction")
    [pattern] = [one["Pattern"] for one in found["FilterCriteria"]["Filters"]]

    assert target(found["EventSourceArn"]) == "EventsTable.StreamArn"
    assert json.loads(pattern) == {"eventName": ["INSERT"]}
    assert found["StartingPosition"] == "TRIM_HORIZON"
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found["BisectBatchOnFunctionError"] is True
    assert found["MaximumRecordAgeInSeconds"] == STREAM_KEEPS_SECONDS // 2
    # Lambda's most, so that the age decides: an outage of hours must not use the attempts up.
    assert found["MaximumRetryAttempts"] == 10_000
    assert target(found["DestinationConfig"]["OnFailure"]["Destination"]) == "DeadLetterQueue.Arn"


def test_the_hydrator_is_held_to_as_many_workers_as_share_the_rate_of_requests(
    stack: Json,
) -> None:
    found = mapping(stack, "HydratorFunction")

    assert target(found["EventSourceArn"]) == "HydrationQueue.Arn"
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found["ScalingConfig"] == {"MaximumConcurrency": hydrator_handler().WORKERS}


def hydrator_handler() -> Any:
    """The module, whose import makes clients but calls nobody."""
    settings = {
        "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
        "EVENTS_QUEUE_URL": "https://sqs.example/events",
        "HYDRATION_QUEUE_URL": "https://sqs.example/hydration",
        "PROFILES_TABLE_NAME": "profiles",
        "FULL_PROFILES_TABLE_NAME": "full",
        "SYNC_TABLE_NAME": "sync",
        "SYNC_EVERYTHING_DAYS": "7",
        "PUBLISH_BACKFILL": "false",
        "PROFILE_API_URL": "https://api.example",
        "PROFILE_API_REQUESTS_PER_SECOND": "10",
        "PROFILE_API_SECRET_ID": "key",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        return importlib.import_module("receiver.hydrator.handler")


def test_the_longest_hydration_of_one_profile_fits_into_the_time_of_the_hydrator(
    stack: Json, template: Json
) -> None:
    timeout = properties(stack, FUNCTION)["HydratorFunction"]["Timeout"]
    slowest = template["Parameters"]["ProfileApiRequestsPerSecond"]["MinValue"]
    longest = (
        5 * receiver.hydrator.tables.BUDGET.longest_seconds  # two reads, the API key, two writes
        + hydrator_handler().WORKERS / slowest  # its turn
        + CONNECT_SECONDS
        + REQUEST_SECONDS
    )

    delay = receiver.hydrator.tables.BUDGET.longest_seconds
    assert longest <= timeout - deadline.REPORT_SECONDS - delay


def test_a_batch_of_the_hydrator_is_no_more_than_the_slowest_rate_fetches_in_half_its_time(
    stack: Json, template: Json
) -> None:
    timeout = properties(stack, FUNCTION)["HydratorFunction"]["Timeout"]
    slowest = template["Parameters"]["ProfileApiRequestsPerSecond"]["MinValue"]
    per_worker = slowest / hydrator_handler().WORKERS

    assert mapping(stack, "HydratorFunction")["BatchSize"] <= per_worker * timeout / 2


def test_an_outage_of_the_api_of_five_hours_dead_letters_no_hydration(stack: Json) -> None:
    queue = properties(stack, QUEUE)["HydrationQueue"]
    gaps = range(1, queue["RedrivePolicy"]["maxReceiveCount"])

    assert sum(delay_seconds(Exception(), receives) for receives in gaps) >= 5 * 3600
    assert len(gaps) * queue["VisibilityTimeout"] >= 5 * 3600  # should no delay reach SQS


def test_a_hydration_is_dead_lettered_before_the_queue_deletes_it_for_its_age(stack: Json) -> None:
    queue = properties(stack, QUEUE)["HydrationQueue"]
    gaps = queue["RedrivePolicy"]["maxReceiveCount"] - 1
    day = 24 * 3600

    assert gaps * MAX_PAUSE_SECONDS + day <= queue["MessageRetentionPeriod"]
    assert MAX_PAUSE_SECONDS <= 12 * 3600  # SQS hides no message for longer


def test_a_rule_sends_to_the_hydration_queue_and_what_it_cannot_to_the_dead_letter_queue(
    stack: Json,
) -> None:
    rules = properties(stack, "AWS::Events::Rule")
    policy = only(stack, "AWS::SQS::QueuePolicy")
    [statement] = policy["PolicyDocument"]["Statement"]

    assert rules.keys() == {"ReadyProfileRule", "SyncRule"}
    for rule in rules.values():
        [to] = rule["Targets"]
        assert target(to["Arn"]) == "HydrationQueue.Arn"
        assert target(to["DeadLetterConfig"]["Arn"]) == "DeadLetterQueue.Arn"
    assert list(map(target, policy["Queues"])) == ["HydrationQueue", "DeadLetterQueue"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert "ReadyProfileRule" in json.dumps(statement["Condition"]["ArnEquals"]["aws:SourceArn"])


def test_the_schedule_of_sync_starts_a_sweep_that_the_hydrator_understands(stack: Json) -> None:
    rule = properties(stack, "AWS::Events::Rule")["SyncRule"]
    record = make_sqs_record(rule["Targets"][0]["Input"])

    asked = receiver.hydrator.hydration.parse_request(from_lambda(record))

    assert asked == receiver.hydrator.hydration.SyncRequest()
    assert rule["ScheduleExpression"] == {"Fn::Sub": "rate(${SyncIntervalMinutes} minutes)"}
    assert 1 not in stack["Parameters"]["SyncIntervalMinutes"]["AllowedValues"]  # rate(1 minute)


def test_what_a_pass_has_missed_is_kept_until_the_next_pass(template: Json) -> None:
    days = template["Parameters"]["SyncEverythingDays"]["MaxValue"]

    assert 1.5 * days * 86_400 <= receiver.hydrator.sync_store.KEPT_SECONDS


def test_the_rule_for_ready_profiles_matches_what_the_publisher_publishes(stack: Json) -> None:
    rule = properties(stack, "AWS::Events::Rule")["ReadyProfileRule"]
    published = entry(from_stream(make_stream_record()).item, "bus")
    detail = json.loads(published["Detail"])
    pattern = rule["EventPattern"]

    assert pattern["source"] == [published["Source"]]
    assert pattern["detail-type"] == [published["DetailType"]]
    assert pattern["detail"] == {
        "outcome": [detail["outcome"]],
        "data": {"status": [detail["data"]["status"]]},
    }


def test_nothing_optional_but_sync_is_deployed_by_default(template: Json) -> None:
    defaults = {n: str(p["Default"]) for n, p in template["Parameters"].items()}

    def holds(condition: Json) -> bool:
        match condition:
            case {"Fn::Equals": [{"Ref": str(parameter)}, value]}:
                return bool(defaults[parameter] == str(value))
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::And": inner}:
                return all(map(holds, inner))
            case {"Fn::Or": inner}:
                return any(map(holds, inner))
            case {"Condition": str(name)}:
                return holds(template["Conditions"][name])
        raise ValueError(condition)

    conditions = {n: r["Condition"] for n, r in template["Resources"].items() if "Condition" in r}

    assert {"WebhookDomain", "EventArchive", "FullProfilesTable"} < conditions.keys()
    default = {name for name in conditions.values() if holds({"Condition": name})}
    assert default == {"Sync", "CallApi"}  # which do nothing until the API key is set


# ---------------------------------------------------------------- functions


def test_every_handler_named_in_the_template_exists(stack: Json, repository: Path) -> None:
    for function in properties(stack, FUNCTION).values():
        module, _, name = function["Handler"].rpartition(".")
        path = repository / "functions" / f"{module.replace('.', '/')}.py"
        body = ast.parse(path.read_text("utf-8")).body

        assert name in {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_a_function_gets_exactly_the_variables_that_its_settings_declare(
    template: Json, stack: Json
) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"].keys()

    for name, function in properties(stack, FUNCTION).items():
        declared = {field.upper() for field in settings_class(function).model_fields}

        assert (name, environment(function).keys() - shared) == (name, declared)


def test_a_variable_that_all_functions_share_is_one_that_a_library_reads(template: Json) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"].keys()
    known = {value for value in vars(powertools).values() if isinstance(value, str)}
    known.add(Session.SESSION_VARIABLES["data_path"][1])

    assert set() == shared - known - {"AWS_ENDPOINT_URL"}


@pytest.mark.parametrize("bound", ["Default", "MinValue", "MaxValue"])
def test_settings_accept_every_value_that_a_parameter_can_have(stack: Json, bound: str) -> None:
    for function in properties(stack, FUNCTION).values():
        given = {
            name.lower(): str(stack["Parameters"].get(target(value), {}).get(bound, "text"))
            for name, value in environment(function).items()
        }
        kind = settings_class(function)

        settings = kind.model_validate({name: given[name] for name in kind.model_fields})

        assert {name: given[name] for name in kind.model_fields} == {
            name: str(value) for name, value in settings.model_dump().items()
        }


def test_the_endpoint_is_declared_for_sam_local_and_set_nowhere(stack: Json) -> None:
    endpoints = {
        name: environment(f).get("AWS_ENDPOINT_URL")
        for name, f in properties(stack, FUNCTION).items()
    }

    assert unlike({"Ref": "AWS::NoValue"}, endpoints) == {}


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("kind", [QUEUE, TABLE, SECRET])
def test_what_holds_data_survives_all_but_the_rollback_of_its_own_creation(
    stack: Json, kind: str
) -> None:
    policies = {
        name: (r.get("DeletionPolicy"), r.get("UpdateReplacePolicy"))
        for name, r in resources(stack, kind).items()
    }

    assert unlike(("RetainExceptOnCreate", "Retain"), policies) == {}


def test_every_table_is_on_demand_and_restorable_to_any_second(stack: Json) -> None:
    for table in properties(stack, TABLE).values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_write_units_are_those_of_state_and_history_alone(transformed: Json) -> None:
    provisioned = properties(decided(transformed, Provisioned=True), TABLE)
    modes = {name: table["BillingMode"] for name, table in provisioned.items()}
    units = {
        name: {target(unit) for unit in table["ProvisionedThroughput"].values()}
        for name, table in provisioned.items()
        if "ProvisionedThroughput" in table
    }

    assert modes == {
        "ProfilesTable": "PROVISIONED",
        "EventsTable": "PROVISIONED",
        "FullProfilesTable": "PAY_PER_REQUEST",
        "SyncTable": "PAY_PER_REQUEST",
    }
    assert units == {"ProfilesTable": {"WriteUnits"}, "EventsTable": {"WriteUnits"}}


def test_tables_are_protected_when_the_owner_asks_and_never_while_a_creation_may_fail(
    transformed: Json,
) -> None:
    protected = [
        {n: t["DeletionProtectionEnabled"] for n, t in properties(found, TABLE).items()}
        for found in (decided(transformed, ProtectTables=choice) for choice in (True, False))
    ]

    assert [
        unlike(expected, found) for expected, found in zip((True, False), protected, strict=True)
    ] == [{}, {}]
    assert transformed["Parameters"]["TableDeletionProtection"]["Default"] == "false"


def test_the_history_is_keyed_by_subject_and_version_and_streams_new_images(stack: Json) -> None:
    table = properties(stack, TABLE)["EventsTable"]
    keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}

    assert keys == {"HASH": "subject", "RANGE": "version"}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert set(keys.values()) | {"expires_at"} <= make_item().keys()


@pytest.mark.parametrize("name", ["ProfilesTable", "FullProfilesTable"])
def test_the_profiles_of_one_tenant_are_spread_over_partitions(stack: Json, name: str) -> None:
    table = properties(stack, TABLE)[name]
    keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}

    assert keys == {"HASH": "profile_id", "RANGE": "tenant_id"}


# ---------------------------------------------------------------- encryption

KEY = {"Ref": "KmsKeyArn"}
# By type: the properties that say how a resource is encrypted, without a key and with one. What is
# not listed has no key of one's own: SECURITY.md says what that is.
ENCRYPTION: dict[str, tuple[Json, Json]] = {
    # Both kinds at once are refused, and leaving SQS's own out would not switch it off.
    QUEUE: (
        {"SqsManagedSseEnabled": True},
        {"SqsManagedSseEnabled": False, "KmsMasterKeyId": KEY},
    ),
    TABLE: (
        {},  # AWS's own key, which is not billed; `SSEEnabled` alone would be
        {"SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}},
    ),
    SECRET: ({}, {"KmsKeyId": KEY}),
    LOG_GROUP: ({}, {"KmsKeyId": KEY}),
    "AWS::Events::Archive": ({}, {"KmsKeyIdentifier": KEY}),
}


def encryption(resource: Json) -> Json:
    return {name: v for name, v in resource.items() if re.search("Kms|Sse|SSE", name)}


@pytest.mark.parametrize("kind", ENCRYPTION)
def test_what_holds_data_is_encrypted_with_aws_own_key_or_with_the_one_that_is_given(
    stack: Json, own_key_stack: Json, kind: str
) -> None:
    without, with_key = ENCRYPTION[kind]
    found = [
        {name: encryption(p) for name, p in properties(document, kind).items()}
        for document in (stack, own_key_stack)
    ]

    assert unlike(without, found[0]) == {}
    assert unlike(with_key, found[1]) == {}


def test_no_other_resource_has_the_key(own_key_stack: Json) -> None:
    keyed = {r["Type"] for r in own_key_stack["Resources"].values() if "KmsKeyArn" in json.dumps(r)}

    assert keyed == ENCRYPTION.keys() | {ROLE}


def test_the_bus_logs_errors_without_events(stack: Json) -> None:
    bus = only(stack, "AWS::Events::EventBus")

    assert bus["LogConfig"] == {"Level": "ERROR", "IncludeDetail": "NONE"}


def test_with_a_key_a_role_may_use_it_and_nothing_else_changes(
    stack: Json, own_key_stack: Json
) -> None:
    # To send to a queue and to read a secret, a table, a stream or a queue; SQS's and DynamoDB's
    # documentation name no further action for that.
    use = {"KmsKeyArn": {"kms:Decrypt", "kms:GenerateDataKey"}}
    without = {name: granted(role) for name, role in properties(stack, ROLE).items()}

    with_key = {name: granted(role) for name, role in properties(own_key_stack, ROLE).items()}

    assert with_key == {name: one | use for name, one in without.items()}


def test_the_key_of_the_example_lets_the_services_in_that_call_it_in_their_own_name(
    own_key_stack: Json, repository: Path
) -> None:
    example = yaml_parse((repository / "infra" / "examples" / "own-key.yaml").read_text("utf-8"))
    policy = only(example, "AWS::KMS::Key")["KeyPolicy"]
    actions = {
        target(s["Principal"].get("Service", s["Principal"].get("AWS"))): set(as_list(s["Action"]))
        for s in policy["Statement"]
    }
    [senders] = {
        s["Principal"]["Service"]
        for p in properties(own_key_stack, "AWS::SQS::QueuePolicy").values()
        for s in p["PolicyDocument"]["Statement"]
    }

    # EventBridge sends to encrypted queues, and re-encrypts what it archives.
    assert {"kms:GenerateDataKey", "kms:Decrypt", "kms:ReEncrypt*"} <= actions[senders]
    assert "kms:DescribeKey" in actions[senders]
    logs = actions["logs.${AWS::Region}.${AWS::URLSuffix}"]
    assert {"kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*"} <= logs
    # IAM decides about all others: the functions' roles, whoever deploys, whoever uses gpw.
    assert actions["arn:${AWS::Partition}:iam::${AWS::AccountId}:root"] == {"kms:*"}


def test_nothing_has_a_fixed_name_so_that_two_stacks_never_collide(template: Json) -> None:
    fixed = [
        f"{logical_id}.{key}"
        for logical_id, resource in template["Resources"].items()
        for key, value in resource.get("Properties", {}).items()
        if key.endswith("Name")
        and "Ref" not in value  # the stack's name, or another resource
        and "${AWS::StackName}" not in str(value)
    ]

    assert fixed == []


# ---------------------------------------------------------------- logs


def test_every_function_and_the_access_log_have_a_log_group_of_their_own(stack: Json) -> None:
    written = [
        target(function["LoggingConfig"]["LogGroup"])
        for function in properties(stack, FUNCTION).values()
    ]
    stage = only(stack, "AWS::ApiGatewayV2::Stage")
    written.append(target(stage["AccessLogSettings"]["DestinationArn"]).removesuffix(".Arn"))

    assert sorted(resources(stack, LOG_GROUP)) == sorted(written)


def test_the_access_log_costs_the_regions_policy_for_log_deliveries_nothing(stack: Json) -> None:
    # "Enable logging from AWS services", CloudWatch Logs' user guide
    named = {n: g["LogGroupName"] for n, g in properties(stack, LOG_GROUP).items() if len(g) > 1}

    assert named["HttpApiLogGroup"] == {"Fn::Sub": "/aws/vendedlogs/${AWS::StackName}/http-api"}


def test_the_key_of_the_example_encrypts_every_log_group_of_the_stack(
    stack: Json, repository: Path
) -> None:
    example = yaml_parse((repository / "infra" / "examples" / "own-key.yaml").read_text("utf-8"))
    deployed = Deployment(example, {"ReceiverStackName": "my-stack"})
    [key] = [r for r in deployed.resources.values() if r["Type"] == "AWS::KMS::Key"]
    [allowed] = [
        statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
        for statement in key["Properties"]["KeyPolicy"]["Statement"]
        if "Condition" in statement
    ]
    names = [
        group["LogGroupName"]["Fn::Sub"].replace("${AWS::StackName}", "my-stack")
        if "LogGroupName" in group
        else f"my-stack-{logical_id}-AbCdEfGhIjKl"  # as CloudFormation names it
        for logical_id, group in properties(stack, LOG_GROUP).items()
    ]

    assert [
        name
        for name in names
        if not any(
            fnmatchcase(f"arn:aws:logs:us-east-1:123456789012:log-group:{name}", pattern)
            for pattern in allowed
        )
    ] == []


def test_every_log_has_a_retention(stack: Json) -> None:
    kept = {name: g.get("RetentionInDays") for name, g in properties(stack, LOG_GROUP).items()}

    assert unlike({"Ref": "LogRetentionDays"}, kept) == {}


def test_lambda_drops_no_line_of_ours_and_logs_of_its_own_only_what_went_wrong(
    stack: Json,
) -> None:
    """Metrics are lines too, and those without a level count as INFO."""
    assert stack["Conditions"]["LogDebug"] == {"Fn::Equals": [{"Ref": "LogLevel"}, "DEBUG"]}
    for function in properties(stack, FUNCTION).values():
        for debug, level in ((True, "DEBUG"), (False, "INFO")):
            config = decided(function["LoggingConfig"], LogDebug=debug)
            assert config["ApplicationLogLevel"] == level
            assert (config["LogFormat"], config["SystemLogLevel"]) == ("JSON", "WARN")


def test_the_access_log_is_one_line_of_json_that_nothing_of_the_sender_can_get_into(
    stack: Json,
) -> None:
    line = only(stack, "AWS::ApiGatewayV2::Stage")["AccessLogSettings"]["Format"]

    fields = json.loads(line)

    assert "\n" not in line
    assert "$context.requestId" in fields.values()  # API Gateway wants it
    for value in fields.values():
        assert re.fullmatch(r"\$context\.[A-Za-z.]+", value)
        assert not re.search("header|query|body|path|agent|authorizer|domain", value, re.IGNORECASE)


# ---------------------------------------------------------------- API


def test_the_routes_are_the_webhooks_path_and_one_that_matches_it_with_a_slash(stack: Json) -> None:
    """A route that ends with a slash would be translated by SAM and refused by API Gateway."""
    paths = only(stack, "AWS::ApiGatewayV2::Api")["Body"]["paths"]
    integrations = [
        operation["x-amazon-apigateway-integration"]
        for methods in paths.values()
        for operation in methods.values()
    ]

    assert {path: [*methods] for path, methods in paths.items()} == {
        PATH: ["post"],
        "/webhooks/{proxy+}": ["post"],
    }
    assert {one["payloadFormatVersion"] for one in integrations} == {"2.0"}
    assert all("${IngestFunction.Arn}" in one["uri"]["Fn::Sub"] for one in integrations)
    assert "AWS::ApiGatewayV2::Route" not in {r["Type"] for r in stack["Resources"].values()}


def test_only_these_routes_of_the_api_may_invoke_a_function(stack: Json) -> None:
    found = resources(stack, "AWS::Lambda::Permission").values()
    permissions = [permission["Properties"] for permission in found]
    sources = [permission["SourceArn"]["Fn::Sub"] for permission in permissions]

    assert {target(one["FunctionName"]) for one in permissions} == {"IngestFunction"}
    assert {one["Principal"] for one in permissions} == {"apigateway.amazonaws.com"}
    assert {source.rpartition("${__ApiId__}")[2] for source, _values in sources} == {
        f"/${{__Stage__}}/POST{PATH}",
        "/${__Stage__}/POST/webhooks/*",
    }
    assert {target(values["__ApiId__"]) for _source, values in sources} == {"HttpApi"}


def test_the_api_and_its_own_name_are_reached_by_the_same_kinds_of_addresses(stack: Json) -> None:
    chosen = {"Ref": "IpAddressType"}
    [server] = only(stack, "AWS::ApiGatewayV2::Api")["Body"]["servers"]
    [domain] = only(stack, "AWS::ApiGatewayV2::DomainName")["DomainNameConfigurations"]
    records = resources(stack, "AWS::Route53::RecordSet")
    first, second = (record["Properties"] for record in records.values())

    assert server["x-amazon-apigateway-endpoint-configuration"] == {"ipAddressType": chosen}
    assert server["url"]  # without one, API Gateway warns
    assert domain["IpAddressType"] == chosen
    assert stack["Parameters"]["IpAddressType"]["AllowedValues"] == ["dualstack", "ipv4"]
    assert (first.pop("Type"), second.pop("Type")) == ("A", "AAAA")
    assert first == second
    assert {r["Condition"] for r in records.values()} == {"WriteDns", "WriteIpv6Dns"}


def test_a_warning_about_the_body_of_the_api_stops_no_deployment(stack: Json) -> None:
    assert "FailOnWarnings" not in only(stack, "AWS::ApiGatewayV2::Api")


def test_the_api_is_throttled_by_the_parameters(stack: Json) -> None:
    route = only(stack, "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"]

    assert target(route["ThrottlingRateLimit"]) == "RequestsPerSecond"
    assert target(route["ThrottlingBurstLimit"]) == "RequestBurst"


def test_the_api_counts_nothing_by_route_because_that_is_billed(stack: Json) -> None:
    # By ApiId, AWS counts for nothing, and all that alarms and dashboard show is by ApiId.
    assert (
        "DetailedMetricsEnabled"
        not in only(stack, "AWS::ApiGatewayV2::Stage")["DefaultRouteSettings"]
    )


# ---------------------------------------------------------------- permissions

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
XRAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
RECEIVE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
ALLOWED: dict[str, dict[str, set[str]]] = {  # role: resource: actions
    "IngestRole": {
        "EventsQueue.Arn": {"sqs:SendMessage"},
        "DeadLetterQueue.Arn": {"sqs:SendMessage"},
        "HeldQueue.Arn": {"sqs:SendMessage"},
        "WebhookSecret.Id": {"secretsmanager:GetSecretValue"},
        "IngestLogGroup.Arn": LOGS,
        "*": XRAY,
    },
    "ConsumerRole": {
        "EventsQueue.Arn": RECEIVE,
        "DeadLetterQueue.Arn": {"sqs:SendMessage"},
        "ProfilesTable.Arn": {"dynamodb:PutItem"},
        "EventsTable.Arn": {"dynamodb:PutItem"},
        "ConsumerLogGroup.Arn": LOGS,
        "*": XRAY,
    },
    "PublisherRole": {
        "EventsTable.StreamArn": {
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
        },
        "EventBus.Arn": {"events:PutEvents"},
        "DeadLetterQueue.Arn": {"sqs:SendMessage"},
        "PublisherLogGroup.Arn": LOGS,
        "*": XRAY | {"dynamodb:ListStreams"},
    },
    "HydratorRole": {
        "HydrationQueue.Arn": RECEIVE | {"sqs:ChangeMessageVisibility", "sqs:SendMessage"},
        "EventsQueue.Arn": {"sqs:SendMessage"},
        "DeadLetterQueue.Arn": {"sqs:SendMessage"},
        "ProfilesTable.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:ConditionCheckItem",
            "dynamodb:Scan",
        },
        "FullProfilesTable.Arn": {
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:UpdateItem",
        },
        "SyncTable.Arn": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem"},
        "ProfileApiSecret.Id": {"secretsmanager:GetSecretValue"},
        "HydratorLogGroup.Arn": LOGS,
        "*": XRAY,
    },
}


def statements(role: Json) -> list[Json]:
    return [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]


def granted(role: Json) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for statement in statements(role):
        for resource in as_list(statement["Resource"]):
            found.setdefault(target(resource), set()).update(as_list(statement["Action"]))
    return found


def test_a_role_may_do_exactly_what_its_function_does(stack: Json) -> None:
    roles = properties(stack, ROLE)

    assert {name: granted(role) for name, role in roles.items()} == ALLOWED
    for statement in (one for role in roles.values() for one in statements(role)):
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"


def test_every_function_has_a_role_of_its_own_that_only_lambda_can_take(stack: Json) -> None:
    used = [target(f["Role"]).removesuffix(".Arn") for f in properties(stack, FUNCTION).values()]

    assert sorted(used) == sorted(resources(stack, ROLE))
    for role in properties(stack, ROLE).values():
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]

        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert trust["Action"] == "sts:AssumeRole"


def test_a_role_has_its_inline_policies_and_nothing_else(stack: Json) -> None:
    for name, role in properties(stack, ROLE).items():
        assert (name, set(role)) == (name, {"AssumeRolePolicyDocument", "Policies"})

    elsewhere = {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"}
    assert elsewhere.isdisjoint(r["Type"] for r in stack["Resources"].values())


# ---------------------------------------------------------------- secret


def test_the_secret_is_made_in_the_account_and_long_enough_to_be_accepted(stack: Json) -> None:
    for secret in properties(stack, SECRET).values():
        assert "SecretString" not in secret
        assert secret["GenerateSecretString"]["PasswordLength"] >= 2 * MIN_LENGTH
        assert secret["GenerateSecretString"]["ExcludePunctuation"] is True  # a comma is refused


@pytest.mark.parametrize("name", ["WebhookSecret", "ProfileApiSecret"])
def test_the_block_that_makes_a_secret_never_changes(stack: Json, name: str) -> None:
    """CloudFormation makes a new value whenever anything in GenerateSecretString differs from the
    last deployment, and so overwrites the secret that the owner has set: every webhook would be
    refused. So even a better password needs a new resource, and whoever edits the block must not
    just edit this test."""
    block = properties(stack, SECRET)[name]["GenerateSecretString"]

    assert block == {"PasswordLength": 64, "ExcludePunctuation": True}


def test_the_value_of_the_secret_comes_into_no_place_of_the_template(
    stack: Json, template: Json
) -> None:
    assert "{{resolve:" not in json.dumps(template)
    assert [name for name, p in stack["Parameters"].items() if "NoEcho" in p] == []


def test_only_the_function_that_needs_a_secret_is_told_which_it_is(stack: Json) -> None:
    told = {
        f"{name}.{variable}": target(value)
        for name, function in properties(stack, FUNCTION).items()
        for variable, value in environment(function).items()
        if "Secret." in target(value)
    }

    assert told == {
        "IngestFunction.WEBHOOK_SECRET_ID": "WebhookSecret.Id",
        "HydratorFunction.PROFILE_API_SECRET_ID": "ProfileApiSecret.Id",
    }


# ---------------------------------------------------------------- interface


def test_the_outputs_are_what_a_user_and_the_tools_need(stack: Json) -> None:
    outputs = {name: target(output["Value"]) for name, output in stack["Outputs"].items()}
    generated = f"https://HttpApi.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}{PATH}"
    url = stack["Outputs"]["WebhookUrl"]["Value"]
    del outputs["WebhookUrl"]

    assert outputs.pop("GeneratedWebhookUrl") == generated
    assert target(decided(url, OwnDomain=False)) == generated
    assert target(decided(url, OwnDomain=True)) == f"https://DomainName{PATH}"
    assert outputs == {
        "WebhookSecretArn": "WebhookSecret.Id",  # its ARN, never its value
        "EventsQueueUrl": "EventsQueue",
        "DeadLetterQueueUrl": "DeadLetterQueue",
        "HeldQueueUrl": "HeldQueue",
        "ProfilesTableName": "ProfilesTable",
        "EventsTableName": "EventsTable",
        "EventBusName": "EventBus",
        "FullProfilesTableName": "FullProfilesTable",
        "SyncTableName": "SyncTable",
        "HydrationQueueUrl": "HydrationQueue",
        "ProfileApiSecretArn": "ProfileApiSecret.Id",
        "DashboardUrl": "Monitoring.Outputs.DashboardUrl",
        "DomainTarget": "WebhookDomain.RegionalDomainName",
        "DomainTargetZoneId": "WebhookDomain.RegionalHostedZoneId",
    }
    assert [
        name for name, output in stack["Outputs"].items() if not output.get("Description")
    ] == []


def test_every_parameter_has_a_type_a_description_and_a_default(template: Json) -> None:
    incomplete = [
        name
        for name, parameter in template["Parameters"].items()
        if not {"Type", "Description", "Default"} <= parameter.keys()
    ]

    assert incomplete == []


def test_every_parameter_is_used(template: Json) -> None:
    used = re.findall(r'{"Ref": "(\w+)"}', json.dumps(template))

    assert template["Parameters"].keys() - used == set()


def test_every_number_has_a_lower_limit_and_a_default_within_its_limits(template: Json) -> None:
    for name, parameter in template["Parameters"].items():
        if parameter["Type"] == "Number":
            default, choice = parameter["Default"], parameter.get("AllowedValues")
            low, high = parameter.get("MinValue"), parameter.get("MaxValue", default)

            assert default in choice if choice else low <= default <= high, name


# ---------------------------------------------------------------- samconfig.toml


@pytest.fixture(scope="module")
def samconfig(repository: Path) -> Json:
    parsed = tomllib.loads((repository / "samconfig.toml").read_text("utf-8"))
    return {name: value for name, value in parsed.items() if name != "version"}


def overrides(settings: Json) -> dict[str, str]:
    """The template's parameters that a samconfig environment sets, whatever the command."""
    found: dict[str, str] = {}
    for command in settings.values():
        given = command["parameters"].get("parameter_overrides", [])
        for pair in shlex.split(given) if isinstance(given, str) else given:
            name, separator, value = pair.partition("=")
            assert separator, f"{pair} is not Name=Value"
            found[name] = value
    return found


def test_samconfig_has_the_default_a_production_and_a_local_environment(samconfig: Json) -> None:
    assert samconfig.keys() == {"default", "prod", "local"}


def test_samconfig_sets_only_parameters_that_exist_to_values_that_they_allow(
    samconfig: Json, template: Json
) -> None:
    assert any(map(overrides, samconfig.values()))
    for name, settings in samconfig.items():
        for parameter, value in overrides(settings).items():
            declared = template["Parameters"].get(parameter)

            assert declared is not None, f"{name} sets {parameter}, which the template has not"
            assert value in map(str, declared.get("AllowedValues", [value]))


def test_every_environment_may_create_the_roles_and_no_more(samconfig: Json) -> None:
    allowed = {n: s["deploy"]["parameters"].get("capabilities") for n, s in samconfig.items()}

    assert unlike("CAPABILITY_IAM", allowed) == {}


def test_every_environment_that_builds_allows_the_build_with_uv(samconfig: Json) -> None:
    builds = {n: s["build"]["parameters"] for n, s in samconfig.items() if "build" in s}

    assert "default" in builds
    assert [name for name, build in builds.items() if build.get("beta_features") is not True] == []


def test_production_asks_nothing_and_has_a_stack_of_its_own(samconfig: Json) -> None:
    stacks = [s["global"]["parameters"]["stack_name"] for s in samconfig.values() if "global" in s]

    assert samconfig["prod"]["deploy"]["parameters"]["confirm_changeset"] is False
    assert len(stacks) == len(set(stacks)) >= 2
