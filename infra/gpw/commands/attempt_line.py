"""An attempt to forward an event as a line on the terminal, for `gpw listen`."""

from rich.text import Text

from gpw.cli.output import Output
from gpw.listening.attempts import Attempt
from gpw.listening.forward import Form
from gpw.stack import printable_json
from gpw.stack.text import OUTCOME_STYLES
from gpw.stack.when import duration


def show(out: Output, attempt: Attempt, whole: Form | None) -> None:
    """Print an attempt. whole: include the event itself, in this form."""
    told = attempt.document(whole)
    out.line(told)
    out.say(attempt_line(attempt))
    if whole and not out.as_json:
        for line in printable_json.dumps(told["body"], indent=2).splitlines():
            out.say(line)


def attempt_line(attempt: Attempt) -> Text:
    """The attempt as one line for people. `Output` makes it safe to show."""
    event, result = attempt.event, attempt.result
    status = str(result.status or ("ok" if result.well else "failed"))
    notes = [
        "" if event.receipt else "from the history",
        "replayed" if event.replayed else "",
        "data omitted" if event.incomplete else "",
    ]
    parts = [event.type, event.tenant, event.profile or "", event.id, *notes]
    return Text.assemble(
        (f"{attempt.at:%H:%M:%S} ", "dim"),
        (f"{status:<6} ", "green" if result.well else "bold red"),
        (f"{duration(result.seconds):>7} #{attempt.number}  ", "dim"),
        (f"{event.outcome:<8} ", OUTCOME_STYLES.get(event.outcome, "")),
        "  ".join(part for part in parts if part),
        (f"  {result.error or result.response[:200]}", "" if result.error else "dim"),
    )
