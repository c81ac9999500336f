"""What a function's log says as a line on the terminal, for `gpw tail`."""

from rich.text import Text

from gpw.history.log_lines import Seen
from gpw.stack.text import OUTCOME_STYLES, identifier
from gpw.stack.when import duration


def log_line(seen: Seen) -> Text:
    """The line. `Output` makes it safe to show."""
    style = "bold red" if seen.bad else OUTCOME_STYLES.get(seen.outcome or "", "")
    about = [
        identifier(part)
        for part in (seen.event, seen.tenant, seen.profile, seen.event_id, seen.reason, seen.detail)
        if part
    ]
    age = duration(seen.seconds) if seen.seconds is not None else ""
    what = seen.message if seen.bad else seen.outcome or seen.message
    return Text.assemble(
        (f"{seen.at:%H:%M:%S} ", "dim"),
        (f"{seen.function:<9} ", "dim"),
        (f"{what:<13} ", style),
        (f"{age:>7}  ", "dim"),
        "  ".join(about),
    )
