"""What the runbook says about an alarm, or about the reason of a dead letter."""

import re
from functools import cache

from gpw.stack.files import RUNBOOK


@cache
def sections() -> dict[str, str]:
    """The runbook's sections about dead letters, by reason."""
    return _part("Dead letters")


@cache
def alarms() -> dict[str, str]:
    """The runbook's sections about alarms, by the name that follows the stack's."""
    return _part("Alarms")


def _part(heading: str) -> dict[str, str]:
    text = RUNBOOK.read_text(encoding="utf-8")
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.split(r"^### (.+)$", part, flags=re.MULTILINE)
    return dict(zip(found[1::2], (one.strip() for one in found[2::2]), strict=True))


def about(reason: str) -> str:
    """The section of a reason; that of `no reason` for those that the runbook does not name."""
    found = sections()
    return found.get(reason, found.get("no reason", ""))
