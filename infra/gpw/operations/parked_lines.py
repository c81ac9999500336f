"""What a scan did not check, in words for the terminal and the browser."""

from gpw.operations.lines import Line, bad, good, unsure
from gpw.operations.scanning import Unchecked
from gpw.stack.queues import HOLD_SECONDS

UNREADABLE_SECRET = unsure("You may not read the secret, so it is unknown which ones carry it.")


def unchecked_dead_letters(unchecked: Unchecked) -> list[Line]:
    return _unchecked(unchecked, "dead letters", "Redrive or purge some of these (--limit)")


def unchecked_held(unchecked: Unchecked) -> list[Line]:
    fix = "Delete those that are not GetProfile's (gpw held purge --unknown)"
    return _unchecked(unchecked, "held deliveries", fix)


def nothing_read(unchecked: Unchecked, what: str) -> Line:
    """What a scan says that found nothing. what: what it looked for, in the plural."""
    if unchecked:
        return unsure(f"SQS returned no {what}.")
    return good(f"SQS returned no {what}, and counts about 0 more.")


def _unchecked(unchecked: Unchecked, what: str, fix: str) -> list[Line]:
    """what: the messages, in the plural. fix: how to reduce their number."""
    again = "Its counts can be a minute old; run it again to be sure."
    lines = []
    if unchecked.at_limit:
        lines.append(
            bad(
                f"About {unchecked.missed} more {what} could not be checked: SQS returns no more "
                f"than about 120,000 at once. {fix}, then run it again."
            )
        )
    elif unchecked.missed:
        lines.append(unsure(f"SQS counts {unchecked.missed} more {what} than it returned. {again}"))
    if unchecked.hidden:
        lines.append(
            unsure(
                f"SQS counts {unchecked.hidden} more {what} that another command hides, for up to "
                f"{HOLD_SECONDS // 60} minutes. {again}"
            )
        )
    return lines
