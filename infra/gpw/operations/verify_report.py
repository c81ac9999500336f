"""The report of `gpw verify`, for an issue: without secret, account id or payload."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gpw.operations.checks import Check
from gpw.operations.latency import Latencies
from gpw.operations.proof.removal import Removed
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.text import plain
from gpw.stack.when import duration

# Parameters whose values identify nobody. For others, the report says only whether they are set.
SHOWN = {
    "RequestsPerSecond",
    "RequestBurst",
    "MaxBodyBytes",
    "OnlyOwnDomain",
    "IpAddressType",
    "ConsumerMaximumConcurrency",
    "SecretCacheSeconds",
    "PreviousSecretGraceHours",
    "HeldDeliveriesPerMinute",
    "EventRetentionDays",
    "ArchiveDays",
    "HydrateProfiles",
    "ProfileApiRequestsPerSecond",
    "SyncIntervalMinutes",
    "SyncEverythingDays",
    "PublishBackfill",
    "TableDeletionProtection",
    "LogRetentionDays",
    "LogLevel",
    "Tracing",
    "SilenceHours",
}
PERCENTILES = (50, 99)
HEADINGS = ("latency", "events", "p50", "p99")  # of the latencies
MARKS = {True: "✓", False: "✗", None: "?"}

_NAMES = re.compile(r"arn:[^\s,;]*|https?://[^\s,;]*|\b\d{12}\b")


@dataclass
class Report:
    """The results of a run. latencies: in seconds, by what they measure."""

    version: str
    where: str
    at: datetime
    parameters: Mapping[str, str]
    checks: list[Check] = field(default_factory=list)
    latencies: dict[str, Latencies] = field(default_factory=dict)
    removed: Removed = field(default_factory=Removed)

    @property
    def well(self) -> bool:
        return all(check.well is not False for check in self.checks) and not self.removed.left

    def rows(self) -> list[list[str]]:
        """The latencies as table rows: what they measure, count, p50, p99."""
        return [
            [what, str(one.count), *(_shown(one.percentile(n)) for n in PERCENTILES)]
            for what, one in self.latencies.items()
        ]

    def document(self) -> dict[str, Any]:
        return {
            "well": self.well,
            "version": self.version,
            "where": self.where,
            "checks": [vars(check) for check in self.checks],
            "milliseconds": {
                what: one.milliseconds(PERCENTILES) | {"events": one.count}
                for what, one in self.latencies.items()
            },
            "removed": self.removed.describe(),
            "left": self.removed.left,
        }

    def markdown(self) -> str:
        lines = [
            "# gpw verify",
            "",
            f"gpw {self.version}, {anonymous(self.where)}, {self.at:%Y-%m-%d %H:%M} UTC: "
            f"{'nothing is wrong' if self.well else 'something is wrong'}.",
            "",
            *_table(
                ("", "check", "found"),
                [
                    (MARKS[one.well], one.what, f"{one.found}{f' → {one.fix}' if one.fix else ''}")
                    for one in self.checks
                ],
            ),
            "",
            *_table(HEADINGS, self.rows()),
            "",
            *_table(("parameter", "value"), sorted(shown_parameters(self.parameters).items())),
            "",
            f"Removed: {self.removed.describe()}.",
            *[f"Not removed: {_cell(text)}." for text in self.removed.left],
        ]
        return "\n".join(lines) + "\n"


def check_file(path: Path) -> None:
    """Check that a report can be written. Raises: OperatorError."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise OperatorError(f"{path} can't be written", "name a file", code=USAGE)


def write(report: Report, path: Path) -> None:
    """Write a report. Raises: OperatorError."""
    try:
        path.write_text(report.markdown(), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}", code=USAGE) from None


def shown_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """The stack's parameters, without values that may identify somebody."""
    return {
        name: value if name in SHOWN else "(set)" if value else "(empty)"
        for name, value in parameters.items()
    }


def anonymous(text: str) -> str:
    """A text without ARNs, URLs and account ids."""
    return _NAMES.sub("(withheld)", text)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [headings, ["---"] * len(headings), *([_cell(one) for one in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _cell(text: str) -> str:
    return plain(anonymous(text)).replace("\\", "\\\\").replace("|", "\\|")


def _shown(seconds: float | None) -> str:
    return "?" if seconds is None else duration(seconds)
