"""Defines the dashboard and generates its body in infra/monitoring.yaml.

Usage: python -m infra.dashboard    (a part of `make docs`)
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gpw.stack.template import parse_template

MONITORING = Path(__file__).with_name("monitoring.yaml")

COLUMNS = 24
NAMESPACE = "GetProfileWebhooks"
EXPECTED_WITHIN_MS = 5000  # GetProfile's documentation

type Json = dict[str, Any]

# CloudFormation substitutes `${...}`: parameters of monitoring.yaml, alarms, and these values that
# body_in_yaml defines.
HYDRATOR_LOGS = "${HydratorLogs}"
HYDRATION = "${Hydration}"
CONSOLE = "${Console}"
ACCESS_LOG = "${AccessLog}"
# https://docs.aws.amazon.com/general/latest/gr/mgmt-console.html, and its Chinese counterpart
CONSOLE_HOST = (
    "!If [China, console.amazonaws.cn, "
    "!If [GovCloud, console.amazonaws-us-gov.com, console.aws.amazon.com]]"
)


@dataclass(frozen=True)
class Widget:
    """A widget. Its position follows from its row."""

    kind: str
    width: int
    properties: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Widgets side by side, from left to right."""

    height: int
    widgets: list[Widget]


# ---------------------------------------------------------------- metrics


def own(name: str, label: str, *, reason: str = "", **options: Any) -> list[Any]:
    """A metric that the functions of this project write."""
    dimensions = ["service", "${StackName}", *(["reason", reason] if reason else [])]
    return [NAMESPACE, name, *dimensions, {"label": label, **options}]


def api(name: str, label: str, **options: Any) -> list[Any]:
    return ["AWS/ApiGateway", name, "ApiId", "${ApiId}", {"label": label, **options}]


def throttled(label: str) -> list[Any]:
    """The requests that API Gateway itself refused, counted in its access log."""
    return [f"{NAMESPACE}/${{StackName}}", "RequestsThrottled", {"label": label}]


def function(name: str, which: str, label: str, **options: Any) -> list[Any]:
    dimension = ["FunctionName", f"${{{which}}}"]
    return ["AWS/Lambda", name, *dimension, {"label": label, **options}]


def queue(name: str, which: str, label: str, **options: Any) -> list[Any]:
    dimension = ["QueueName", f"${{{which}}}"]
    return ["AWS/SQS", name, *dimension, {"label": label, "stat": "Maximum", **options}]


def by_reason(name: str) -> list[Any]:
    """A metric with one curve for each reason."""
    search = f'{{{NAMESPACE},service,reason}} MetricName="{name}" service="${{StackName}}"'
    # `!` tells CloudFormation not to substitute this: CloudWatch does.
    return [{"expression": f"SEARCH('{search}', 'Sum', 300)", "label": "${!PROP('Dim.reason')}"}]


def percentiles(metric: list[Any], *stats: str) -> list[list[Any]]:
    return [[*metric[:-1], {"label": stat, "stat": stat}] for stat in stats]


def in_seconds(metric: list[Any], label: str, identifier: str) -> list[list[Any]]:
    """Show a metric in seconds that AWS records in milliseconds."""
    hidden = [*metric[:-1], {**metric[-1], "id": identifier, "visible": False}]
    return [hidden, [{"expression": f"{identifier} / 1000", "label": label}]]


def gigabyte_seconds(which: str, label: str, identifier: str) -> list[list[Any]]:
    """What Lambda charges for: the duration of all invocations times their memory of 512 MB."""
    hidden = function("Duration", which, label, id=identifier, visible=False)
    return [hidden, [{"expression": f"{identifier} / 1000 * 0.5", "label": label}]]


# ---------------------------------------------------------------- widgets


def graph(title: str, width: int, metrics: list[list[Any]], **options: Any) -> Widget:
    properties: Json = {
        "title": title,
        "view": "timeSeries",
        "region": "${AWS::Region}",
        "stat": "Sum",
        "period": 300,
        "metrics": metrics,
        **options,
    }
    return Widget("metric", width, properties)


def numbers(title: str, width: int, metrics: list[list[Any]], **options: Any) -> Widget:
    return graph(title, width, metrics, view="singleValue", **options)


def text(width: int, *lines: str) -> Widget:
    return Widget("text", width, {"markdown": "\n".join(lines)})


def heading(title: str, explanation: str) -> Row:
    return Row(1, [text(COLUMNS, f"### {title} · {explanation}")])


def lines_at(**values: int) -> Json:
    """Horizontal lines. values: the value of each line by its label, with `_` for spaces."""
    marks = [{"label": label.replace("_", " "), "value": value} for label, value in values.items()]
    return {"horizontal": marks}


def y_axis(label: str) -> Json:
    return {"left": {"label": label, "showUnits": False, "min": 0}}


# ---------------------------------------------------------------- links to the saved queries


def encoded(value: str) -> str:
    """Encode a text for a URL of the AWS console: percent-encoded, with `*` instead of `%`."""
    return quote(value, safe="").replace("~", "%7E").replace("%", "*")


def query_link(query: Json, days: int) -> str:
    """The URL that opens a saved query in Logs Insights.

    query: the properties of an `AWS::Logs::QueryDefinition`. days: the period to query, up to now.
    The console writes parameters as `~(key~'text~…)`, percent-encoded twice, with `$` instead of
    the first `%`.
    """
    opening, closing, tilde, apostrophe = "$2528", "$2529", "$257E", "$2527"
    groups = [group["Ref"] for group in query["LogGroupNames"] if "Ref" in group]
    sources = "".join(f"{tilde}{apostrophe}{log_group(group)}" for group in groups)
    if len(groups) < len(query["LogGroupNames"]):
        sources += HYDRATOR_LOGS
    parts = (
        f"end{tilde}0",
        f"start{tilde}-{days * 86_400}",
        f"timeType{tilde}{apostrophe}RELATIVE",
        f"unit{tilde}{apostrophe}seconds",
        f"editorString{tilde}{apostrophe}{encoded(query['QueryString'])}",
        f"source{tilde}{opening}{sources}{closing}",
    )
    detail = f"{tilde}{opening}{tilde.join(parts)}{closing}"
    home = f"https://{CONSOLE}/cloudwatch/home?region=${{AWS::Region}}"
    return f"{home}#logsV2:logs-insights$3FqueryDetail$3D{detail}"


def log_group(parameter: str) -> str:
    """A log group's name in a link. The access log's has slashes, which have to be encoded."""
    return ACCESS_LOG if parameter == "HttpApiLogGroup" else f"${{{parameter}}}"


def link_list(queries: dict[str, Json]) -> Widget:
    titles = {name: q["Name"]["Fn::Sub"].partition("/")[2] for name, q in queries.items()}
    links = [f"- [{titles[name]}]({query_link(q, days=3)})" for name, q in queries.items()]
    return text(8, "**Look into it** (the last 3 days)", "", *links)


# ---------------------------------------------------------------- the definition


def rows(alarms: Json, queries: dict[str, Json]) -> list[Row]:
    """All rows except those for full profiles.

    alarms: the condition of each alarm, by logical id. queries: the properties of each saved query,
    by logical id.
    """
    waiting = "ApproximateNumberOfMessagesVisible"
    oldest = "ApproximateAgeOfOldestMessage"
    always = [f"${{{name}.Arn}}" for name, condition in alarms.items() if not condition]
    sometimes = [f"${{{name}Arn}}" for name, condition in alarms.items() if condition]
    return [
        Row(
            4,
            [
                numbers(
                    "In this period",
                    14,
                    [
                        own("EventsAccepted", "accepted"),
                        own("EventsApplied", "applied"),
                        api("5xx", "answered 5xx"),
                        own("RequestsRefused", "wrong secret", reason="wrong_secret"),
                        own("DeliveriesHeld", "held"),
                        own("DeadLettered", "dead-lettered"),
                    ],
                    setPeriodToTimeRange=True,
                    sparkline=True,
                ),
                numbers(
                    "Now",
                    10,
                    [
                        queue(waiting, "EventsQueue", "events waiting"),
                        queue(oldest, "EventsQueue", "oldest event, s"),
                        queue(waiting, "HeldQueue", "held"),
                        queue(waiting, "DeadLetterQueue", "dead letters"),
                    ],
                ),
            ],
        ),
        Row(
            4,
            [
                Widget("alarm", 16, {"title": "Alarms", "alarms": [*always, *sometimes]}),
                link_list(queries),
            ],
        ),
        heading("Flow", "from the request to your rules, events per 5 minutes"),
        Row(
            6,
            [
                graph(
                    "Requests",
                    8,
                    [
                        own("EventsAccepted", "accepted"),
                        api("4xx", "refused, 429 included"),
                        throttled("refused with 429"),
                        api("5xx", "failed"),
                    ],
                ),
                graph(
                    "Outcomes",
                    8,
                    [
                        own("EventsApplied", "applied"),
                        own("EventsStale", "stale"),
                        own("EventsRecorded", "recorded"),
                    ],
                    stacked=True,
                ),
                graph(
                    "Published",
                    8,
                    [
                        own("EventsPublished", "published"),
                        own("EventsTrimmed", "published without data"),
                    ],
                ),
            ],
        ),
        heading("Latency", "GetProfile expects a response within 5 s"),
        Row(
            6,
            [
                graph(
                    "Response to the sender, ms",
                    8,
                    percentiles(api("Latency", ""), "p50", "p99"),
                    annotations=lines_at(documented_limit=EXPECTED_WITHIN_MS),
                    yAxis=y_axis("ms"),
                ),
                graph(
                    "Event to state (AppliedAge), ms",
                    8,
                    percentiles(own("AppliedAge", ""), "p50", "p90", "p99"),
                    yAxis=y_axis("ms"),
                ),
                graph(
                    "Lag, s",
                    8,
                    [
                        queue(oldest, "EventsQueue", "oldest event in the queue"),
                        *in_seconds(
                            function("IteratorAge", "PublisherFunction", "", stat="Maximum"),
                            "oldest event not yet published",
                            "age",
                        ),
                    ],
                    yAxis=y_axis("s"),
                ),
            ],
        ),
        heading("Failures", "dead letters are kept, other failures are retried"),
        Row(
            6,
            [
                graph("Refused requests, by reason", 6, [by_reason("RequestsRefused")]),
                graph("Dead-lettered, by reason", 6, [by_reason("DeadLettered")]),
                graph(
                    "Retried",
                    6,
                    [
                        own("RequestsFailed", "requests, 503"),
                        own("MessagesFailed", "messages"),
                        own("PublishFailed", "publishing"),
                    ],
                ),
                graph(
                    "Crashes and throttles",
                    6,
                    [
                        function("Errors", "IngestFunction", "ingest"),
                        function("Errors", "ConsumerFunction", "consumer"),
                        function("Errors", "PublisherFunction", "publisher"),
                        function("Throttles", "IngestFunction", "throttled"),
                    ],
                ),
            ],
        ),
        heading("Cost", "what determines the bill, besides the requests"),
        Row(
            6,
            [
                graph(
                    "Lambda, GB s",
                    6,
                    [
                        *gigabyte_seconds("IngestFunction", "ingest", "ingest"),
                        *gigabyte_seconds("ConsumerFunction", "consumer", "consumer"),
                        *gigabyte_seconds("PublisherFunction", "publisher", "publisher"),
                    ],
                    stacked=True,
                ),
                graph(
                    "DynamoDB, write units",
                    6,
                    [
                        table_writes("ProfilesTable", "state"),
                        table_writes("EventsTable", "history"),
                    ],
                    stacked=True,
                ),
                graph(
                    "SQS, empty receives",
                    6,
                    [queue("NumberOfEmptyReceives", "EventsQueue", "EventsQueue", stat="Sum")],
                ),
                graph(
                    "Logs, bytes",
                    6,
                    [
                        log_bytes("IngestLogGroup", "ingest"),
                        log_bytes("ConsumerLogGroup", "consumer"),
                        log_bytes("PublisherLogGroup", "publisher"),
                    ],
                    stacked=True,
                ),
            ],
        ),
    ]


def table_writes(which: str, label: str) -> list[Any]:
    table = ["TableName", f"${{{which}}}"]
    return ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", *table, {"label": label}]


def log_bytes(which: str, label: str) -> list[Any]:
    return ["AWS/Logs", "IncomingBytes", "LogGroupName", f"${{{which}}}", {"label": label}]


def hydration_rows() -> list[Row]:
    """The last rows, about GetProfile's API. They exist only if it is called."""
    return [
        heading("API", "GetProfile's list compared with the profiles here, and full profiles"),
        Row(
            6,
            [
                graph(
                    "Profiles behind and gone, by sweep",
                    6,
                    [
                        own("ProfilesBehind", "behind", stat="Maximum"),
                        own("ProfilesGone", "gone at GetProfile", stat="Maximum"),
                    ],
                ),
                graph(
                    "Age of the last complete sweep, ms",
                    6,
                    [own("SyncAge", "age", stat="Minimum")],
                    yAxis=y_axis("ms"),
                ),
                graph(
                    "Full profiles",
                    6,
                    [
                        own("ProfilesHydrated", "stored"),
                        own("ProfilesNotFound", "not found"),
                        own("HydrationsFailed", "retried"),
                    ],
                ),
                graph(
                    "Requests to the API, and messages waiting",
                    6,
                    [
                        own("ProfileApiRequests", "requests"),
                        queue(
                            "ApproximateNumberOfMessagesVisible",
                            "HydrationQueue",
                            "messages waiting",
                        ),
                    ],
                ),
            ],
        ),
    ]


# ---------------------------------------------------------------- output


def placed(all_rows: list[Row], top: int = 0) -> list[Json]:
    """The widgets in CloudWatch's format, with the rows one below the other.

    top: the vertical position of the first row.
    """
    widgets: list[Json] = []
    for row in all_rows:
        left = 0
        for widget in row.widgets:
            place = {"x": left, "y": top, "width": widget.width, "height": row.height}
            widgets.append({"type": widget.kind, **place, "properties": widget.properties})
            left += widget.width
        top += row.height
    return widgets


def always_and_hydration(template: Json) -> tuple[list[Json], list[Json]]:
    """The widgets of every dashboard, and those for full profiles only.

    template: monitoring.yaml, parsed.
    """
    queries = {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Logs::QueryDefinition"
    }
    first = rows(alarm_conditions(template), queries)
    return placed(first), placed(hydration_rows(), top=sum(row.height for row in first))


def alarm_conditions(template: Json) -> Json:
    """The condition of each alarm by logical id. None for an alarm that always exists."""
    return {
        name: resource.get("Condition")
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def body_in_yaml(always: list[Json], hydration: list[Json], alarms: Json) -> str:
    """The YAML of the property DashboardBody, with one widget per line.

    alarms: the condition of each alarm, by logical id.
    """

    def dumped(widgets: list[Json], indent: str) -> str:
        lines = [json.dumps(widget, ensure_ascii=False) for widget in widgets]
        return f",\n{indent}".join(lines)

    head = '{"start": "-PT3H", "periodOverride": "inherit", "widgets": ['
    widgets = dumped(always, " " * 10)
    values = ""
    for name, condition in alarms.items():
        if condition:  # without the alarm, the comma before it must go too
            widgets = widgets.replace(f', "${{{name}Arn}}"', f"${{{name}Arn}}")
            arn = f"""!Sub ', "${{{name}.Arn}}"'"""
            values += f'          {name}Arn: !If [{condition}, {arn}, ""]\n'
    return f"""\
      DashboardBody: !Sub
        - |-
          {head}
          {widgets}{HYDRATION}]}}
        - {values.lstrip()}\
          Console: {CONSOLE_HOST}
          AccessLog: !Join ["*2F", !Split ["/", !Ref HttpApiLogGroup]]
          HydratorLogs: !If [CallApi, !Sub "$257E$2527${{HydratorLogGroup}}", ""]
          Hydration: !If
            - CallApi
            - !Sub |-
              ,
              {dumped(hydration, " " * 14)}
            - ""
"""


def written(monitoring: str) -> str:
    """monitoring.yaml with a renewed DashboardBody."""
    template = parse_template(monitoring)
    body = body_in_yaml(*always_and_hydration(template), alarm_conditions(template))
    return re.sub(
        r"^      DashboardBody: .*?(?=^\S|^$)",
        lambda _: body,
        monitoring,
        flags=re.DOTALL | re.MULTILINE,
    )


def main() -> int:
    monitoring = written(MONITORING.read_text(encoding="utf-8"))
    MONITORING.write_text(monitoring, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
