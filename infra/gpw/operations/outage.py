"""Says once that AWS can't be reached, and once that it can be again."""

from datetime import UTC, datetime

from gpw.operations.reporter import Reporter
from gpw.stack.when import ago


class Outage:
    """The outage that an operation survives. again: when it tries again, in words."""

    def __init__(self, reporter: Reporter, again: str) -> None:
        self._reporter = reporter
        self._again = again
        self._since: datetime | None = None

    def began(self, error: Exception) -> None:
        if self._since is None:
            self._since = datetime.now(UTC)
            self._reporter.note(
                f"AWS cannot be reached ({type(error).__name__}); trying again {self._again}."
            )

    def ended(self) -> None:
        if self._since is not None:
            self._reporter.note(
                f"AWS can be reached again, after {ago(self._since, datetime.now(UTC))}."
            )
            self._since = None
