"""Events of the history as a table on the terminal, for `gpw status` and `gpw events`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from gpw.cli.fitting import Column
from gpw.cli.output import Output
from gpw.stack.text import OUTCOME_STYLES, identifier
from gpw.stack.when import ago

# At 80 columns, `ago` (6), the outcome (8) and the gaps (10) leave 56 for type, tenant, profile and
# id. The minimums of all but `status` fit; the longest type of GetProfile has 24 characters.
COLUMNS = (
    Column("created", dropped=1),
    Column("ago"),
    Column("outcome"),
    Column("type", least=24),
    Column("status", least=8, dropped=2),
    Column("tenant", least=8, dropped=3),
    Column("profile", least=8),
    Column("id", least=14),
)


def show_events(out: Output, items: Sequence[dict[str, Any]]) -> None:
    """Print a table of events of the history, each on one line of a terminal."""
    now = datetime.now(UTC)
    out.lines(
        COLUMNS,
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
