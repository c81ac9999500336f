"""Measures how many bytes of logs one event causes in all functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpw.stack.template import parse_template
from infra.bench.environment import ROOT, Bench
from infra.bench.workloads import BATCH

# The workloads of each function: for one event per invocation, and for a full batch.
FUNCTIONS = {
    "IngestFunction": ("ingest", None),
    "ConsumerFunction": ("consumer_alone", "consumer"),
    "PublisherFunction": ("publisher_alone", "publisher"),
}

# Examples from Lambda's developer guide: "Lambda log formats" and, for the line that only traced
# functions log, "Visualize Lambda function invocations using AWS X-Ray".
PLATFORM_TEXT = [
    "START RequestId: 79b4f56e-95b1-4643-9700-2807f4e68189 Version: $LATEST",
    "END RequestId: 79b4f56e-95b1-4643-9700-2807f4e68189",
    "REPORT RequestId: 79b4f56e-95b1-4643-9700-2807f4e68189\tDuration: 12.34 ms\t"
    "Billed Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 85 MB\t",
]
PLATFORM_TRACED = (
    "XRAY TraceId: 1-5e34a614-10bdxmplf1fb44f07bc535a1\tSegmentId: 07f5xmpl2d1f6f85\tSampled: true"
)
PLATFORM_JSON = [
    '{"time":"2024-03-13T18:56:24.046Z","type":"platform.start","record":{"requestId":'
    '"79b4f56e-95b1-4643-9700-2807f4e68189","version":"$LATEST"}}',
    '{"time":"2024-03-13T18:56:24.058Z","type":"platform.report","record":{"requestId":'
    '"79b4f56e-95b1-4643-9700-2807f4e68189","metrics":{"durationMs":12.34,'
    '"billedDurationMs":13,"memorySizeMB":512,"maxMemoryUsedMB":85},"status":"success"}}',
]

# What API Gateway logs for an accepted event.
ACCESS_LOG_VALUES = {
    "requestId": "MH4zXjSuFiAEPbQ=",
    "requestTime": "01/Oct/2023:12:00:01 +0000",
    "identity.sourceIp": "203.0.113.10",
    "routeKey": "POST /webhooks/getprofile",
    "protocol": "HTTP/1.1",
    "status": "200",
    "responseLength": "2",
    "responseLatency": "21",
    "integrationLatency": "18",
    "integration.status": "200",
    "error.responseType": "-",
}


@dataclass(frozen=True)
class LogBytes:
    """Log bytes per event. alone: with one event per invocation. batched: with ten."""

    source: str
    lines: str
    alone: float
    batched: float


def measure(bench: Bench, endpoint: str) -> list[LogBytes]:
    """Measure the log lines of an event that is accepted, applied and published.

    Does not include overhead that CloudWatch may add to each line.
    """
    template = parse_template((ROOT / "template.yaml").read_text("utf-8"))
    access = len(access_line(template).encode())
    found = [LogBytes("HttpApi", "access log", access, access)]
    for function, (alone, batched) in FUNCTIONS.items():
        own = _own(bench, alone, endpoint)
        per_event = _own(bench, batched, endpoint) / BATCH if batched else own
        found.append(LogBytes(function, "its own", own, per_event))
        platform = sum(len(line.encode()) for line in platform_lines(template, function))
        share = platform / BATCH if batched else platform
        found.append(LogBytes(function, "Lambda's lines", platform, share))
    return found


def total(rows: list[LogBytes]) -> tuple[float, float]:
    """The sums of `alone` and of `batched`."""
    return sum(row.alone for row in rows), sum(row.batched for row in rows)


def platform_lines(template: Mapping[str, Any], function: str) -> list[str]:
    """The lines that Lambda itself logs for a successful invocation, by LoggingConfig."""
    own = template["Resources"][function]["Properties"].get("LoggingConfig", {})
    config = template["Globals"]["Function"].get("LoggingConfig", {}) | own
    if config.get("LogFormat", "Text") == "Text":
        return [*PLATFORM_TEXT, PLATFORM_TRACED] if _is_traced(template) else PLATFORM_TEXT
    return [] if config.get("SystemLogLevel", "INFO") == "WARN" else PLATFORM_JSON


def _is_traced(template: Mapping[str, Any]) -> bool:
    """Whether the functions are traced. If a parameter decides, its default counts."""
    mode = template["Globals"]["Function"].get("Tracing", "PassThrough")
    if isinstance(mode, Mapping):
        mode = template["Parameters"][mode["Ref"]]["Default"]
    return bool(mode == "Active")


def access_line(template: Mapping[str, Any]) -> str:
    """A line of the access log.

    Raises: KeyError, for a variable that ACCESS_LOG_VALUES does not have.
    """
    settings = template["Resources"]["HttpApi"]["Properties"]["AccessLogSettings"]
    return re.sub(
        r"\$context\.(\w+(?:\.\w+)*)", lambda found: ACCESS_LOG_VALUES[found[1]], settings["Format"]
    )


def _own(bench: Bench, workload: str, endpoint: str) -> float:
    """The bytes that one warm call logs: half of the difference between three calls and one."""
    one, three = (bench.run(workload, calls, endpoint).logged for calls in (1, 3))
    lengths = [sum(len(line.encode()) for line in log.splitlines()) for log in (one, three)]
    return (lengths[1] - lengths[0]) / 2
