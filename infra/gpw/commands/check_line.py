"""A check as a line on the terminal, for `gpw doctor` and `gpw verify`."""

from rich.text import Text

from gpw.cli.output import Output
from gpw.operations.checks import Check


def show(out: Output, check: Check) -> None:
    """Print a check as one line, for people."""
    out.hint(
        out.marks[check.well],
        f" {check.what:<12} {check.found}",
        Text(f"  → {check.fix}" if check.fix else "", "yellow"),
    )
