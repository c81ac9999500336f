"""What Lambda and CloudWatch read in a line of a function's log."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.functional.cloud import STACK

LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_OF_THE_RUNTIME_CLIENT = {
    "errorMessage", "errorType", "level", "requestId", "stackTrace", "timestamp",
}  # fmt: skip


def problem(line: str, application_level: str) -> str | None:
    """What is wrong with a line; None if it is ours, and Lambda writes it to CloudWatch.

    Ours are log lines, lines of metrics alone, and the runtime client's report of an error.
    """
    try:
        document = json.loads(line)
    except ValueError:
        return "not JSON"
    level = str(document.get("level", "INFO"))  # what Lambda assumes
    only_metrics = "_aws" in document and "message" not in document
    wrong = {
        "of another logger": document.keys() != _OF_THE_RUNTIME_CLIENT
        and document.get("service") != STACK,
        "no level": "level" not in document and not only_metrics,
        "a level that Lambda does not know": level not in LEVELS,
        "a time that Lambda does not read": "level" in document
        and not _RFC3339.fullmatch(str(document.get("timestamp"))),
        "dropped by Lambda": LEVELS.get(level, 0) < LEVELS[application_level],
    }
    return next((name for name, holds in wrong.items() if holds), None)


def problems(lines: Iterable[str], application_level: str) -> dict[str, str]:
    """What is wrong with each line that has a problem."""
    found = {line: problem(line, application_level) for line in lines}
    return {line: wrong for line, wrong in found.items() if wrong}


def metrics(lines: Iterable[str]) -> Counter[str]:
    """The metrics that CloudWatch extracts: sums of counts, and the number of times.

    A metric that is counted by reason is there twice: `Name`, and `Name reason`.
    """
    found: Counter[str] = Counter()
    for line in lines:
        document: dict[str, Any] = json.loads(line)
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                name = metric["Name"]
                value = 1 if metric["Unit"] == "Milliseconds" else document[name]
                for dimensions in directive["Dimensions"]:
                    by = [str(document[one]) for one in dimensions if one != "service"]
                    found[" ".join([name, *by])] += value
    return found


def levels(lines: Iterable[str]) -> set[str]:
    """The levels of the log lines."""
    return {document["level"] for document in map(json.loads, lines) if "level" in document}
