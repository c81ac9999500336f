"""Alarms, dashboard and saved queries; and what the reference and the runbook say of them."""

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from samtranslator.yaml_helper import yaml_parse

from gpw.stack.queues import HOLD_SECONDS
from infra import dashboard
from receiver.ingest.time_limit import DEADLINE_SECONDS
from tests.template.cloudformation import ACCOUNT, Deployment
from tests.template.cloudwatch import Series, history, raised, state
from tests.template.written import written_metrics

type Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
RUNBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8")
PACKAGES = ("ingest", "consumer", "publisher", "hydrator")

ALARM = "AWS::CloudWatch::Alarm"
QUERY = "AWS::Logs::QueryDefinition"
FREE_DASHBOARD_METRICS = 50
DAY, WEEK = (
    86_400,
    604_800,
)  # how far an alarm may look back: a day, or with hours as periods a week

# From AWS's documentation: namespace, its dimension, the resource that this names, the metrics.
AWS_METRICS: dict[str, tuple[str, str, set[str]]] = {
    "AWS/ApiGateway": (
        "ApiId",
        "AWS::Serverless::HttpApi",
        {"4xx", "5xx", "Count", "DataProcessed", "IntegrationLatency", "Latency"},
    ),
    "AWS/DynamoDB": (
        "TableName",
        "AWS::DynamoDB::Table",
        {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"},
    ),
    "AWS/Lambda": (
        "FunctionName",
        "AWS::Serverless::Function",
        {"Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    ),
    "AWS/Logs": ("LogGroupName", "AWS::Logs::LogGroup", {"IncomingBytes", "IncomingLogEvents"}),
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfEmptyReceives",
            "NumberOfMessagesReceived",
            "NumberOfMessagesSent",
        },
    ),
}


@pytest.fixture(scope="module")
def source() -> str:
    return dashboard.MONITORING.read_text("utf-8")


@pytest.fixture(scope="module")
def monitoring(source: str) -> Json:
    parsed: Json = yaml_parse(source)
    return parsed


@pytest.fixture(scope="module")
def alarms(monitoring: Json) -> dict[str, Json]:
    return of_type(monitoring, ALARM)


def of_type(document: Json, kind: str) -> dict[str, Json]:
    """The properties of all resources of a type, by logical id."""
    found = {n: r["Properties"] for n, r in document["Resources"].items() if r["Type"] == kind}
    assert found, f"no {kind}"
    return found


def watched(alarm: Json) -> list[Json]:
    """The metrics that an alarm is about: one, or those of its expression. Each with its period."""
    if "Metrics" not in alarm:
        return [alarm]
    stats = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    return [stat["Metric"] | {"Period": stat["Period"]} for stat in stats]


def looks_back(alarm: Json, silence_hours: int) -> int:
    """Seconds that an alarm decides by."""
    periods = alarm["EvaluationPeriods"]
    [period] = {one["Period"] for one in watched(alarm)}
    count = silence_hours if periods == {"Ref": "SilenceHours"} else periods
    return int(period * count)


def sweeping(monitoring: Json, minutes: int) -> Json:
    """monitoring.yaml with what it looks up by the minutes between two sweeps."""

    def looked_up(node: Any) -> Any:
        match node:
            case {"Fn::FindInMap": [name, {"Ref": "SyncIntervalMinutes"}, key]}:
                return monitoring["Mappings"][name][str(minutes)][key]
            case dict():
                return {name: looked_up(member) for name, member in node.items()}
            case list():
                return [looked_up(member) for member in node]
            case _:
                return node

    found: Json = looked_up(monitoring)
    return found


@pytest.mark.parametrize("minutes", [15, 60, 360, 1440])
def test_sync_is_late_after_three_sweeps_and_behind_after_two_of_three(
    template: Json, monitoring: Json, minutes: int
) -> None:
    found = of_type(sweeping(monitoring, minutes), ALARM)
    behind, stopped = found["SyncBehindAlarm"], found["SyncStoppedAlarm"]

    assert behind["Period"] == stopped["Period"] == minutes * 60
    assert (behind["DatapointsToAlarm"], behind["EvaluationPeriods"]) == (2, 3)
    assert stopped["Threshold"] == 3 * minutes * 60_000
    for document in (template, monitoring):
        allowed = document["Parameters"]["SyncIntervalMinutes"]["AllowedValues"]
        assert {str(one) for one in allowed} == {"0", *monitoring["Mappings"]["Sweeps"]}


def short(alarm: Json) -> str:
    """The alarm's name after the stack's."""
    name = alarm["AlarmName"]["Fn::Sub"]
    assert name.startswith("${StackName}-")
    return str(name.removeprefix("${StackName}-"))


# ---------------------------------------------------------------- the nested stack


def test_the_nested_stack_is_handed_exactly_the_parameters_that_it_declares(
    template: Json, monitoring: Json
) -> None:
    nested = template["Resources"]["Monitoring"]["Properties"]

    assert (ROOT / nested["TemplateURL"]).samefile(dashboard.MONITORING)
    assert nested["Parameters"].keys() == monitoring["Parameters"].keys()


def test_every_parameter_of_the_nested_stack_is_used(monitoring: Json) -> None:
    text = json.dumps(monitoring)
    used = set(re.findall(r'"Ref": "(\w+)"|\$\{(\w+)[}.]', text))

    assert monitoring["Parameters"].keys() - {name for pair in used for name in pair} == set()


def test_the_nested_stack_needs_no_capability_of_its_own(monitoring: Json) -> None:
    kinds = {resource["Type"] for resource in monitoring["Resources"].values()}

    assert "Transform" not in monitoring  # CAPABILITY_AUTO_EXPAND
    assert not [kind for kind in kinds if kind.startswith("AWS::IAM::")]  # CAPABILITY_IAM


def test_the_two_templates_allow_the_same_hours_of_silence(
    template: Json, monitoring: Json
) -> None:
    limits = [
        (p["SilenceHours"]["MinValue"], p["SilenceHours"]["MaxValue"])
        for p in (template["Parameters"], monitoring["Parameters"])
    ]

    assert limits[0] == limits[1] == (0, WEEK // 3600)


def test_optional_resources_have_a_condition(template: Json, monitoring: Json) -> None:
    conditional = {
        name: resource["Condition"]
        for name, resource in monitoring["Resources"].items()
        if "Condition" in resource and resource["Type"] != QUERY
    }

    assert conditional == {
        "AlarmMail": "Mail",
        "SilenceAlarm": "Silence",
        "DeadLettersAlarm": "OnAws",
        "SyncBehindAlarm": "Sync",
        "SyncStoppedAlarm": "Sync",
        "Dashboard": "ShowDashboard",
    }
    assert template["Parameters"]["CreateDashboard"]["Default"] == "true"
    assert template["Parameters"]["AlarmEmail"]["Default"] == ""
    assert template["Parameters"]["SilenceHours"]["Default"] == 0


# ---------------------------------------------------------------- alarms


def test_an_alarm_watches_one_metric_unless_the_reference_says_that_it_needs_two(
    alarms: dict[str, Json],
) -> None:
    # CloudWatch charges by metric: an alarm on an expression counts for several.
    numbers = {short(alarm): len(watched(alarm)) for alarm in alarms.values()}
    [said] = re.findall(r"watches one metric, except (.+?), which watch two\.", REFERENCE)

    assert {n for n, count in numbers.items() if count > 1} == set(re.findall("`(.+?)`", said))
    assert set(numbers.values()) == {1, 2}


def test_an_expression_uses_the_metrics_that_are_given_to_it_and_is_the_one_result(
    alarms: dict[str, Json],
) -> None:
    for name, alarm in alarms.items():
        given = alarm.get("Metrics", [])
        expressions = [one for one in given if "Expression" in one]
        used = {i for one in expressions for i in re.findall(r"\b[a-z]+\b", one["Expression"])}

        assert len(expressions) == (1 if given else 0), name
        assert used == {one["Id"] for one in given if "MetricStat" in one}, name
        assert all(one.get("ReturnData", True) == ("Expression" in one) for one in given), name


def test_an_alarm_is_named_as_the_stack_and_its_logical_id(alarms: dict[str, Json]) -> None:
    kebab = {n: re.sub(r"(?<!^)(?=[A-Z])", "-", n).lower() for n in alarms}

    assert {n: f"{short(a)}-alarm" for n, a in alarms.items()} == kebab


def test_every_alarm_says_what_it_means_and_what_to_do_first(alarms: dict[str, Json]) -> None:
    for name, alarm in alarms.items():
        description = alarm["AlarmDescription"]
        text = description["Fn::Sub"] if isinstance(description, dict) else description
        meaning, separator, first = text.partition(" First: ")

        assert separator, name
        assert len(meaning) > 30, name
        assert len(first) > 30, name
        assert len(text) <= 1024  # CloudWatch's most


def test_every_alarm_notifies_the_topic(alarms: dict[str, Json]) -> None:
    actions = {name: alarm.get("AlarmActions") for name, alarm in alarms.items()}

    assert [name for name, told in actions.items() if told != [{"Ref": "AlarmTopic"}]] == []


def test_every_alarm_decides_what_missing_data_means_and_why(
    alarms: dict[str, Json], source: str
) -> None:
    decided = re.findall(r"^      TreatMissingData: (\w+) # \S.+$", source, re.MULTILINE)

    assert [alarm["TreatMissingData"] for alarm in alarms.values()] == decided
    # Not `breaching`: CloudWatch looks further back than asked before it believes in a gap.
    assert set(decided) <= {"notBreaching", "ignore"}


def test_no_alarm_evaluates_a_longer_time_than_cloudwatch_allows(
    monitoring: Json, template: Json
) -> None:
    longest = template["Parameters"]["SilenceHours"]["MaxValue"]
    for name, alarm in of_type(sweeping(monitoring, 1440), ALARM).items():
        hourly = all(one["Period"] >= 3600 for one in watched(alarm))

        assert looks_back(alarm, longest) <= (WEEK if hourly else DAY), name


def test_a_slow_response_comes_before_both_time_limits_of_a_response(
    alarms: dict[str, Json],
) -> None:
    threshold = alarms["IngestSlowAlarm"]["Threshold"]

    assert threshold < dashboard.EXPECTED_WITHIN_MS
    assert threshold < DEADLINE_SECONDS * 1000


def test_the_oldest_event_was_retried_once_and_sqs_still_counts_its_age(
    alarms: dict[str, Json], stack: Json
) -> None:
    alarm = alarms["OldestEventAlarm"]
    retried_after = stack["Resources"]["EventsQueue"]["Properties"]["VisibilityTimeout"]
    left_out_after = 2 * retried_after  # at its third receive SQS leaves a message out

    lasting = alarm["Period"] * alarm["DatapointsToAlarm"]
    assert retried_after < alarm["Threshold"] <= left_out_after - lasting


def test_the_publisher_is_reported_behind_long_before_lambda_gives_up_its_records(
    alarms: dict[str, Json], template: Json
) -> None:
    events = template["Resources"]["PublisherFunction"]["Properties"]["Events"]
    given_up_after = events["History"]["Properties"]["MaximumRecordAgeInSeconds"]

    assert alarms["PublisherBehindAlarm"]["Threshold"] / 1000 <= given_up_after / 24


# ---------------------------------------------------------------- the alarm on held deliveries

COUNTED_HOURS = 6  # SQS's metrics of a queue end so long after it was last used


def held_states(alarms: dict[str, Json], counts: Series, beyond: int) -> list[str]:
    """The alarm's state at the end of each hour. counts: None while SQS does not count."""
    alarm = alarms["HeldDeliveriesAlarm"]
    length = alarm["EvaluationPeriods"] + beyond
    states = ["INSUFFICIENT_DATA"]
    for now in range(1, len(counts) + 1):
        points = ([None] * length + list(counts[:now]))[-length:]
        states.append(state(alarm, points, states[-1]))
    return states[1:]


@pytest.mark.parametrize("beyond", [0, 2, 5])
def test_one_delivery_that_nobody_looks_at_raises_the_alarm_until_somebody_does(
    alarms: dict[str, Json], beyond: int
) -> None:
    forgotten = [None, None, *[1.0] * COUNTED_HOURS, *[None] * 48]
    released = [1.0, 0.0, 0.0]

    states = held_states(alarms, [*forgotten, *released], beyond)

    assert states.index("ALARM") == 5  # in the fourth hour
    assert set(states[5 : len(forgotten) + 1]) == {"ALARM"}
    assert states[-1] == "OK"


@pytest.mark.parametrize("beyond", [0, 2, 5])
def test_what_is_released_within_the_hours_raises_no_alarm(
    alarms: dict[str, Json], beyond: int
) -> None:
    counts = [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, *[None] * 12]

    assert "ALARM" not in held_states(alarms, counts, beyond)


def test_the_alarm_on_held_deliveries_decides_while_sqs_counts_and_long_before_they_are_deleted(
    alarms: dict[str, Json], template: Json
) -> None:
    alarm = alarms["HeldDeliveriesAlarm"]
    kept = template["Resources"]["HeldQueue"]["Properties"]["MessageRetentionPeriod"]

    assert looks_back(alarm, 0) + alarm["Period"] < COUNTED_HOURS * 3600
    assert looks_back(alarm, 0) <= kept / 24
    assert alarm["Period"] > 2 * HOLD_SECONDS  # a scan that hides them does not look like a release


# ---------------------------------------------------------------- the alarm on silence

HOURS = 6
BEFORE_THE_STACK: Series = [None] * 20
ANY_CLOUDWATCH = pytest.mark.parametrize(
    ("beyond", "fills_empty"),  # what its documentation leaves open
    list(itertools.product([0, 2, 10], [True, False])),
)


def silence(alarms: dict[str, Json]) -> Json:
    return alarms["SilenceAlarm"] | {"EvaluationPeriods": HOURS}


def counted(series: Series) -> Series:
    """What SQS says of the events queue for each hour of a series: it is there, and empty."""
    return [0.0] * len(series)


@ANY_CLOUDWATCH
def test_a_new_stack_that_gets_no_event_is_reported_after_the_hours_and_not_before(
    alarms: dict[str, Json], beyond: int, *, fills_empty: bool
) -> None:
    quiet: Series = [None] * 24
    metrics = {
        "accepted": BEFORE_THE_STACK + quiet,
        "waiting": BEFORE_THE_STACK + counted(quiet),
    }

    states = history(silence(alarms), metrics, beyond=beyond, fills_empty=fills_empty)

    assert raised(states) == [len(BEFORE_THE_STACK) + HOURS - 1]
    assert states[-1] == "ALARM"  # as long as it lasts


@ANY_CLOUDWATCH
def test_silence_is_reported_at_the_end_of_its_last_hour_and_ends_with_the_next_event(
    alarms: dict[str, Json], beyond: int, *, fills_empty: bool
) -> None:
    events: Series = [3.0, None, 1.0, *[None] * (HOURS + 8), 1.0, None]
    metrics = {
        "accepted": BEFORE_THE_STACK + events,
        "waiting": BEFORE_THE_STACK + counted(events),
    }

    states = history(silence(alarms), metrics, beyond=beyond, fills_empty=fills_empty)

    last_event = len(BEFORE_THE_STACK) + 2
    assert raised(states) == [last_event + HOURS]
    assert states[-2:] == ["OK", "OK"]


def test_one_hour_less_than_silence_hours_raises_no_alarm(alarms: dict[str, Json]) -> None:
    events: Series = [1.0, *[None] * (HOURS - 1)] * 5
    metrics = {"accepted": events, "waiting": counted(events)}

    assert raised(history(silence(alarms), metrics)) == []


def test_a_paused_consumer_neither_raises_nor_ends_silence(alarms: dict[str, Json]) -> None:
    # SQS stops counting for a queue that nobody polls: after 6 hours, unless something is sent.
    accepted: Series = [1.0] * 3 + [None] * 40
    waiting: Series = [0.0] * 12 + [None] * 31

    states = history(silence(alarms), {"accepted": accepted, "waiting": waiting})

    assert raised(states) == [3 + HOURS - 1]
    assert states[-1] == "ALARM"


# ---------------------------------------------------------------- the alarm on dead letters

QUIET: Series = [None] * 12  # an hour in which SQS counts nothing for the queue at rest
KNOWN: Series = [
    5.0
] * 12  # an hour in which it counts letters that sent their mail at its beginning
LATE = 3  # periods of 5 minutes: SQS's numbers of a queue that was at rest come 15 minutes late


def letters(waiting: Series, sent: dict[int, float] | None = None) -> dict[str, Series]:
    """What SQS counts for the dead-letter queue. sent: by period; else zero, where it counts."""
    zeros: Series = [None if value is None else 0.0 for value in waiting]
    return {
        "waiting": waiting,
        "sent": [(sent or {}).get(n, value) for n, value in enumerate(zeros)],
    }


@ANY_CLOUDWATCH
@pytest.mark.parametrize("late", [0, LATE])
@pytest.mark.parametrize("sent", [{12: 1.0}, {}], ids=["sent", "moved by SQS"])
def test_the_first_dead_letter_in_an_idle_queue_sends_an_email(
    alarms: dict[str, Json], sent: dict[int, float], late: int, beyond: int, *, fills_empty: bool
) -> None:
    metrics = letters(QUIET + [1.0] * 20, sent)
    alarm = alarms["DeadLettersAlarm"]

    states = history(alarm, metrics, late=late, beyond=beyond, fills_empty=fills_empty)

    assert raised(states) == [12 + late]
    assert states[-1] == "OK"  # although the letter is still there


@ANY_CLOUDWATCH
@pytest.mark.parametrize("sent", [{12: 1.0, 32: 1.0}, {}], ids=["sent", "moved by SQS"])
def test_a_new_cause_after_the_end_of_the_last_one_sends_another_email(
    alarms: dict[str, Json], sent: dict[int, float], beyond: int, *, fills_empty: bool
) -> None:
    metrics = letters(KNOWN + [6.0] * 20 + [7.0] * 20, sent)
    alarm = alarms["DeadLettersAlarm"]

    states = history(alarm, metrics, beyond=beyond, fills_empty=fills_empty)

    assert raised(states)[1:] == [12, 32]


def test_a_continuing_cause_sends_one_email(alarms: dict[str, Json]) -> None:
    growing: Series = [float(n // 4) for n in range(60)]  # one letter every 20 minutes

    assert len(raised(history(alarms["DeadLettersAlarm"], letters(growing)))) == 1


def test_a_dead_letter_that_arrives_as_another_is_deleted_raises_the_alarm(
    alarms: dict[str, Json],
) -> None:
    metrics = letters([*[0.0] * 5, *[1.0] * 20], {5: 1.0, 15: 1.0})

    assert raised(history(alarms["DeadLettersAlarm"], metrics)) == [5, 15]


@pytest.mark.parametrize("fills_empty", [True, False])
@pytest.mark.parametrize("beyond", [2, 10])  # of AWS's own example, and more
@pytest.mark.parametrize(
    "waiting",
    [
        [*[5.0] * 10, *[None] * 30],  # nobody touches the queue, so SQS stops counting
        [*[5.0] * 10, None, *[5.0] * 20],  # a gap
        [4.0, 2.0, *[0.0] * 20],  # a purge
    ],
    ids=["rest", "gap", "purge"],
)
def test_dead_letters_that_stay_or_are_removed_send_no_email(
    alarms: dict[str, Json], waiting: Series, beyond: int, *, fills_empty: bool
) -> None:
    metrics = letters(KNOWN + waiting)
    alarm = alarms["DeadLettersAlarm"]

    states = history(alarm, metrics, beyond=beyond, fills_empty=fills_empty)

    assert raised(states)[1:] == []


def test_the_alarm_on_dead_letters_outlasts_the_delay_of_sqs(alarms: dict[str, Json]) -> None:
    alarm = alarms["DeadLettersAlarm"]
    [period] = {one["Period"] for one in watched(alarm)}

    assert alarm["DatapointsToAlarm"] == 1
    # The delay, the arrival's own period, and the one that it is compared with.
    assert looks_back(alarm, 0) >= 15 * 60 + 2 * period


# ---------------------------------------------------------------- metrics


def listed() -> dict[str, tuple[set[str], bool]]:
    """The reference's metrics: the packages that each is from, and whether it is by reason."""
    section = REFERENCE.split("\n## Metrics\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)`( \*)? \| ([\w, ]+) \|", section, re.MULTILINE)
    return {name: (set(where.split(", ")), bool(star)) for name, star, where in rows}


def named(alarms: dict[str, Json], widgets: list[Json]) -> Iterator[tuple[str, str, Json]]:
    """Namespace, name and dimensions of every metric of the alarms and the dashboard."""
    for alarm in alarms.values():
        for one in watched(alarm):
            dimensions = {d["Name"]: filled(d["Value"]) for d in one.get("Dimensions", [])}
            yield filled(one["Namespace"]), one["MetricName"], dimensions
    for metric in metrics_of(widgets):
        match metric:
            case [str(namespace), str(name), *pairs, dict()]:
                yield namespace, name, dict(itertools.batched(pairs, 2, strict=True))
            case [{"expression": str(expression)}]:
                pattern = (
                    r"SEARCH\('\{(\w+),service,reason\} MetricName=\"(\w+)\" service=\"(.+)\"'"
                )
                if search := re.match(pattern, expression):
                    yield search[1], search[2], {"service": search[3], "reason": "any"}


def filled(value: Any) -> str:
    """A value as the dashboard's text has it."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": text}:
            return str(text)
    return str(value)


def metrics_of(widgets: list[Json]) -> list[list[Any]]:
    return [metric for widget in widgets for metric in widget["properties"].get("metrics", [])]


@pytest.fixture(scope="module")
def widgets(monitoring: Json) -> list[Json]:
    """All of the dashboard's, with the parameters still as `${...}`."""
    always, hydration = dashboard.always_and_hydration(monitoring)
    return always + hydration


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_lists_exactly_the_metrics_that_a_function_emits(package: str) -> None:
    written = {name: star for name, (where, star) in listed().items() if package in where}

    assert written == written_metrics(package)


def test_the_reference_names_only_existing_functions() -> None:
    assert set().union(*(where for where, _ in listed().values())) == set(PACKAGES)


def test_the_reference_lists_every_own_metric_that_an_alarm_or_widget_uses(
    alarms: dict[str, Json], widgets: list[Json]
) -> None:
    ours = [(n, d) for space, n, d in named(alarms, widgets) if space == dashboard.NAMESPACE]
    metrics = listed()

    assert len(ours) > 20
    for name, dimensions in ours:
        assert name in metrics
        assert dimensions.pop("service") == "${StackName}", name
        assert dimensions.keys() <= ({"reason"} if metrics[name][1] else set()), name


def test_a_reason_that_is_watched_is_one_that_ingest_gives(
    alarms: dict[str, Json], widgets: list[Json]
) -> None:
    reasons = {d["reason"] for _, _, d in named(alarms, widgets) if "reason" in d} - {"any"}
    responses = (ROOT / "functions" / "receiver" / "ingest" / "response.py").read_text("utf-8")

    assert reasons == {"wrong_secret"}
    assert '"wrong_secret"' in responses


def test_every_metric_of_aws_exists_and_is_of_a_resource_of_that_kind(
    alarms: dict[str, Json], widgets: list[Json], template: Json
) -> None:
    handed = template["Resources"]["Monitoring"]["Properties"]["Parameters"]
    of_aws = [one for one in named(alarms, widgets) if one[0].startswith("AWS/")]

    assert len(of_aws) > 20
    for namespace, name, dimensions in of_aws:
        dimension, kind, known = AWS_METRICS[namespace]
        [(key, value)] = dimensions.items()
        parameter = value.removeprefix("${").removesuffix("}")

        assert name in known
        assert key == dimension
        assert template["Resources"][resource_in(handed[parameter])]["Type"] == kind


def test_a_metric_of_the_access_log_is_one_that_a_filter_writes(
    alarms: dict[str, Json], widgets: list[Json], monitoring: Json
) -> None:
    written = {
        (filled(to["MetricNamespace"]), to["MetricName"])
        for one in of_type(monitoring, "AWS::Logs::MetricFilter").values()
        for to in one["MetricTransformations"]
    }
    others = [
        one
        for one in named(alarms, widgets)
        if one[0] != dashboard.NAMESPACE and not one[0].startswith("AWS/")
    ]

    assert len(others) == 2  # the alarm and the dashboard
    assert {(space, name) for space, name, _ in others} == written
    assert [dimensions for *_, dimensions in others] == [{}, {}]
    for space, name in written:
        assert f"`{name}`" in REFERENCE
        assert space.replace("${StackName}", "STACK") in REFERENCE


def test_the_filter_counts_what_the_access_log_says_of_429_and_the_function_never_answers(
    template: Json, monitoring: Json
) -> None:
    line = template["Resources"]["HttpApi"]["Properties"]["AccessLogSettings"]["Format"]
    [counted] = of_type(monitoring, "AWS::Logs::MetricFilter").values()
    sources = "".join(
        p.read_text("utf-8") for p in (ROOT / "functions/receiver/ingest").rglob("*.py")
    )

    assert json.loads(line)["status"] == "$context.status"  # within quotes, so a text
    assert counted["FilterPattern"] == '{ $.status = "429" }'
    assert counted["LogGroupName"] == {"Ref": "HttpApiLogGroup"}
    assert not re.search(r"\b429\b|TOO_MANY_REQUESTS", sources)


def resource_in(argument: Any) -> str:
    """The resource whose name a parameter gets, be it only on a condition."""
    match argument:
        case {"Fn::If": [_, then, ""]}:
            return resource_in(then)
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), "QueueName"]}:
            return name
        case _:
            raise AssertionError(argument)


# ---------------------------------------------------------------- dashboard


def test_the_body_is_that_of_the_definition(source: str) -> None:
    assert dashboard.written(source) == source, "run: make docs"


ACCESS_LOG = "/aws/vendedlogs/my-stack/http-api"
WITHOUT_HYDRATION = dict.fromkeys(["HydratorFunction", "HydrationQueue", "HydratorLogGroup"], "")


def nested(
    monitoring: Json,
    *,
    silence: bool = True,
    hydrate: bool = True,
    on_aws: bool = True,
    partition: str = "aws",
) -> Deployment:
    """The nested stack. What a parameter names is called like the parameter."""
    parameters = {
        **{name: name for name in monitoring["Parameters"]},
        "SilenceHours": 6 if silence else 0,
        "SyncIntervalMinutes": 60 if hydrate else 0,
        "CreateDashboard": "true",
        "Account": ACCOUNT if on_aws else "000000000000",
        "HttpApiLogGroup": ACCESS_LOG,
        **({} if hydrate else WITHOUT_HYDRATION),
    }
    return Deployment(monitoring, parameters, partition)


def body_of(deployment: Deployment) -> Json:
    """The dashboard's body as CloudFormation fills it in."""
    body: Json = json.loads(deployment.resources["Dashboard"]["Properties"]["DashboardBody"])
    return body


@pytest.mark.parametrize("silence", [True, False])
@pytest.mark.parametrize("hydrate", [True, False])
@pytest.mark.parametrize("on_aws", [True, False])
def test_the_body_is_valid_json_with_any_options(
    monitoring: Json, widgets: list[Json], *, silence: bool, hydrate: bool, on_aws: bool
) -> None:
    always, hydration = dashboard.always_and_hydration(monitoring)

    body = body_of(nested(monitoring, silence=silence, hydrate=hydrate, on_aws=on_aws))

    assert len(body["widgets"]) == len(always) + (len(hydration) if hydrate else 0)
    assert ("SilenceAlarm" in json.dumps(body)) is (silence and on_aws)
    assert ("DeadLettersAlarm" in json.dumps(body)) is on_aws
    assert ("HydratorLogGroup" in json.dumps(body)) is hydrate


def test_rows_fill_the_grid_so_that_nothing_moves_up(widgets: list[Json]) -> None:
    width: dict[int, int] = {}
    for widget in widgets:
        width[widget["y"]] = width.get(widget["y"], 0) + widget["width"]

    assert {y: sum_ for y, sum_ in width.items() if sum_ != dashboard.COLUMNS} == {}


def test_the_dashboard_is_within_the_free_tier(widgets: list[Json]) -> None:
    assert len([m for m in metrics_of(widgets) if len(m) > 1]) <= FREE_DASHBOARD_METRICS
    assert len(widgets) <= 500


def test_every_expression_uses_metrics_of_its_own_widget(widgets: list[Json]) -> None:
    for widget in widgets:
        metrics = widget["properties"].get("metrics", [])
        ids = [metric[-1]["id"] for metric in metrics if "id" in metric[-1]]
        expressions = [m[0]["expression"] for m in metrics if isinstance(m[0], dict)]
        plain = [e for e in expressions if not e.startswith("SEARCH(")]

        assert len(ids) == len(set(ids))
        assert sorted(ids) == sorted(re.match(r"\w+", e)[0] for e in plain)  # type: ignore[index]


def test_the_dashboard_shows_every_alarm(monitoring: Json, alarms: dict[str, Json]) -> None:
    body = body_of(nested(monitoring))
    [shown] = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]

    assert sorted(shown) == sorted(alarms)


def test_gigabyte_seconds_are_calculated_with_the_functions_memory(
    template: Json, widgets: list[Json]
) -> None:
    factors = {
        float(m[0]["expression"].rpartition("*")[2])
        for m in metrics_of(widgets)
        if isinstance(m[0], dict) and "* " in m[0]["expression"]
    }
    memory = {
        r["Properties"]["MemorySize"] / 1024
        for r in template["Resources"].values()
        if r["Type"] == "AWS::Serverless::Function"
    }

    assert factors == memory == {0.5}


# ---------------------------------------------------------------- saved queries


def opened(link: str) -> tuple[str, list[str]]:
    """The query and the log groups that the console reads out of a link."""
    detail = unquote(unquote(link.partition("$3FqueryDetail$3D")[2].replace("$", "%")))
    fields = re.fullmatch(r"~\((.+)~source~\((.+)\)\)", detail)
    assert fields
    text = fields[1].partition("~editorString~'")[2]
    groups = fields[2].removeprefix("~'").split("~'")
    return unquote(text.replace("*", "%")), [unquote(group.replace("*", "%")) for group in groups]


def links_of(deployment: Deployment) -> dict[str, str]:
    """The links to the saved queries, by their titles."""
    [text] = [
        w["properties"]["markdown"]
        for w in body_of(deployment)["widgets"]
        if w["height"] == 4 == w["y"] and w["type"] == "text"
    ]
    return dict(re.findall(r"^- \[(.+)\]\((\S+)\)$", text, re.MULTILINE))


@pytest.mark.parametrize("hydrate", [True, False])
def test_a_link_opens_the_saved_query_on_its_log_groups(monitoring: Json, *, hydrate: bool) -> None:
    links = links_of(nested(monitoring, silence=False, hydrate=hydrate))
    saved = {}
    for query in of_type(monitoring, QUERY).values():
        groups = [
            ACCESS_LOG if name == "HttpApiLogGroup" else name
            for group in query["LogGroupNames"]
            if "Ref" in group or hydrate
            for name in [group["Ref"] if "Ref" in group else group["Fn::If"][1]["Ref"]]
        ]
        title = query["Name"]["Fn::Sub"].removeprefix("${StackName}/")
        saved[title] = (query["QueryString"], groups)

    assert {title: opened(link) for title, link in links.items()} == saved
    assert not re.search(r"[()'\s]", "".join(links.values()))  # would end a link in Markdown


@pytest.mark.parametrize(
    ("partition", "host"),
    [
        ("aws", "console.aws.amazon.com"),
        ("aws-cn", "console.amazonaws.cn"),
        ("aws-us-gov", "console.amazonaws-us-gov.com"),
    ],
)
def test_every_link_leads_to_the_console_of_the_stacks_partition_and_region(
    monitoring: Json, partition: str, host: str
) -> None:
    deployment = nested(monitoring, partition=partition)
    links = [*links_of(deployment).values(), deployment.outputs["DashboardUrl"]]

    starts = {link.partition("#")[0] for link in links}

    assert starts == {f"https://{host}/cloudwatch/home?region={deployment.region}"}


def test_no_other_file_has_a_link_to_the_console() -> None:
    paths = [ROOT / "template.yaml", *(ROOT / "infra").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    hosts = re.compile(r"console\.(aws\.amazon|amazonaws)")

    assert {p.name for p in paths if hosts.search(p.read_text("utf-8"))} == {"dashboard.py"}


def test_resources_that_the_local_cloud_lacks_exist_everywhere_else(monitoring: Json) -> None:
    conditions = {
        r.get("Condition")
        for r in monitoring["Resources"].values()
        if r["Type"] == QUERY or (r["Type"] == ALARM and "Metrics" in r["Properties"])
    }
    on_aws = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Account"}, "000000000000"]}]}

    assert conditions == {"OnAws", "Silence"}
    assert monitoring["Conditions"]["OnAws"] == on_aws
    assert {"Condition": "OnAws"} in monitoring["Conditions"]["Silence"]["Fn::And"]


def test_each_saved_query_searches_for_messages_that_a_function_logs(monitoring: Json) -> None:
    sources = "".join(p.read_text("utf-8") for p in (ROOT / "functions").rglob("*.py"))
    texts = [q["QueryString"] for q in of_type(monitoring, QUERY).values()]
    exact = set(re.findall(r'message = "([^"]+)"', "".join(texts)))

    assert exact == {"request refused"}
    assert '"request refused"' in sources


def test_the_query_for_dead_letters_finds_the_lines_that_count_one_and_no_other(
    monitoring: Json,
) -> None:
    """By the metric in the line: of the refused requests, only some have become dead letters."""
    query = of_type(monitoring, QUERY)["DeadLettersQuery"]["QueryString"]

    assert re.findall(r"^\| filter (.+)$", query, re.MULTILINE) == ["DeadLettered > 0"]
    assert all("DeadLettered" in written_metrics(one) for one in ("ingest", "publisher"))


# ---------------------------------------------------------------- REFERENCE and runbook


def sections(heading: str) -> dict[str, str]:
    """The runbook's sections under a heading, by their own."""
    part = RUNBOOK.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL))


def dead_letter_reasons() -> set[str]:
    """What classes of errors give as their reason, but for the base of all."""
    return {
        statement.value.value
        for path in (ROOT / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name != "EventError"
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and getattr(statement.targets[0], "id", "") == "reason"
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    }


def test_the_runbook_has_a_section_for_each_alarm_that_says_what_to_do(
    alarms: dict[str, Json],
) -> None:
    written = sections("Alarms")

    assert set(written) == {short(alarm) for alarm in alarms.values()}
    for name, text in written.items():
        for part in ("**Means:** ", "**Look:** ", "**Do:** "):
            assert part in text, name


def test_the_runbook_has_a_section_for_each_reason_of_a_dead_letter() -> None:
    assert set(sections("Dead letters")) == dead_letter_reasons() | {"no reason"}


def test_the_runbook_explains_every_reason_for_503() -> None:
    given = {
        call.args[0].value
        for path in (ROOT / "functions" / "receiver" / "ingest").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", "") == "unavailable"
        and isinstance(call.args[0], ast.Constant)
    }
    explained = re.findall(r"^\| `(\w+)` \|", sections("Alarms")["ingest-failed"], re.MULTILINE)

    assert given
    assert set(explained) == given


def test_the_reference_lists_every_alarm(alarms: dict[str, Json]) -> None:
    section = REFERENCE.split("\n## Alarms\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| .+ \| (all is well|stays)", section, re.MULTILINE)
    meaning = {"notBreaching": "all is well", "ignore": "stays"}

    assert sorted(rows) == sorted(
        (short(alarm), meaning[alarm["TreatMissingData"]]) for alarm in alarms.values()
    )
