"""Events of the history as a table on the terminal, for `gpw status` and `gpw events`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from gpw.cli.output import Output
from gpw.stack.text import OUTCOME_STYLES, identifier
from gpw.stack.when import ago


def show_events(out: Output, items: Sequence[dict[str, Any]]) -> None:
    """Print a table of events of the history."""
    now = datetime.now(UTC)
    out.table(
        ["created", "ago", "outcome", "type", "status", "tenant", "profile", "id"],
        [
            [
                item["created_at"][:19].replace("T", " "),
                ago(datetime.fromisoformat(item["created_at"]), now),
                Text(str(item["outcome"]), OUTCOME_STYLES.get(item["outcome"], "")),
                identifier(item["event"]),
                _status(item),
                identifier(item["tenant_id"]),
                identifier(item.get("profile_id", "")),
                identifier(item["event_id"]),
            ]
            for item in items
        ],
    )


def _status(item: dict[str, Any]) -> str:
    data = item.get("data")
    return identifier(data.get("status", "")) if isinstance(data, dict) else ""
