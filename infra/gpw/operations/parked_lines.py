"""What a scan did not check, and an erasure, in words for the terminal and the browser."""

from gpw.operations.erase import OUT_OF_REACH, Found
from gpw.operations.lines import Line, bad, count_line, good, unsure
from gpw.operations.mentions import Mention
from gpw.operations.scanning import Unchecked
from gpw.stack.queues import HOLD_SECONDS
from gpw.stack.text import identifier

SHOWN_UNSURE = 20  # --json lists all
UNREADABLE_SECRET = unsure("You may not read the secret, so it is unknown which ones carry it.")


# ---------------------------------------------------------------- messages that were not checked


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


# ---------------------------------------------------------------- erasure

_KEPT = {
    Mention.SHARED: "they name other profiles too, whose data would go with them. To remove them "
    "all the same, pass --shared",
    Mention.UNSURE: "they mention the id but may be about somebody else. Check them yourself "
    "(docs/data.md says how)",
    Mention.UNREADABLE: "they are not JSON, so nobody can tell whom they mention. Check them "
    "yourself (docs/data.md says how)",
}


def erasure(found: Found, verb: str) -> list[Line]:
    """What was found, or what was erased."""
    counts = [
        (int(found.state), "state"),
        (None if found.full_profile is None else int(found.full_profile), "full profile"),
        (found.events, "events in the history"),
        (found.dead_letters, "dead letters"),
        (found.held, "held deliveries"),
        (found.hydration_messages, "messages in the hydration queue"),
    ]
    return [
        Line(f"{verb}:"),
        *(Line(count_line(count, what)) for count, what in counts if count is not None),
    ]


def erasure_rest(left: Found, *, erased: bool) -> list[Line]:
    """What the last check says about what is left, and what no erasure reaches."""
    lines = []
    for why, text in _KEPT.items():
        if kept := [one for one in left.unsure if one.why is why]:
            lines.append(unsure(f"{len(kept)} not removed, because {text}:"))
            lines += [
                Line(f"  {one.what:>18}  {identifier(one.name)}") for one in kept[:SHOWN_UNSURE]
            ]
            if (more := len(kept) - SHOWN_UNSURE) > 0:
                lines.append(Line(f"  {'':>18}  and {more} more: --json lists all"))
    lines += [
        unsure(
            f"{count} in {queue} could not be checked (in flight, delayed or new; the count can "
            "be a minute old). If one is about this profile, it restores the data. Run this again "
            "when the queue is empty or idle (gpw doctor)"
        )
        for queue, count in left.unseen.items()
    ]
    if left.certain and not left.count:
        again = "Checked again" if erased else "Checked everything"
        lines.append(
            good(
                f"{again}: nothing in the tables and queues mentions the profile, and SQS counts "
                "no message that was not checked. Its counts can be a minute old, so run it again "
                "tomorrow."
            )
        )
    return [
        *lines,
        Line("This command can't reach:"),
        *(Line(f"  - {line}") for line in OUT_OF_REACH),
    ]
