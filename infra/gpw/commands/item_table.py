"""An item of a table, attribute by attribute, for `gpw status` and `gpw show`."""

from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from gpw.cli.output import Output
from gpw.stack import printable_json
from gpw.stack.text import identifier
from gpw.stack.when import ago

FIRST = ("event_id", "event", "outcome", "tenant_id", "profile_id", "status", "version")


def show_item(out: Output, item: dict[str, Any]) -> None:
    """Print an item, with its names first."""
    now = datetime.now(UTC)
    rows: list[list[str | Text]] = []
    first = [n for n in FIRST if n in item]
    for name in (*first, *sorted(item.keys() - set(first))):
        value = item[name]
        shown = printable_json.dumps(value) if isinstance(value, dict | list) else identifier(value)
        if name.endswith("_at") and isinstance(value, str):
            shown += f"  ({ago(datetime.fromisoformat(shown), now)} ago)"
        rows.append([Text(name, "dim"), shown])
    out.table(["attribute", "value"], rows)
