"""Erases one person's data and checks what is left, with the result in words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gpw.operations.erase import OUT_OF_REACH, Found, find, remove
from gpw.operations.lines import Line, bad, count_line, good, unsure
from gpw.operations.mentions import Mention
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target
from gpw.stack.text import identifier

SHOWN_UNSURE = 20  # --json lists all
_KEPT = {
    Mention.SHARED: "they name other profiles too, whose data would go with them. To remove them "
    "all the same, pass --shared",
    Mention.UNSURE: "they mention the id but may be about somebody else. Check them yourself "
    "(docs/data.md says how)",
    Mention.UNREADABLE: "they are not JSON, so nobody can tell whom they mention. Check them "
    "yourself (docs/data.md says how)",
}
_NOTHING = (
    "nothing in the tables and queues mentions the profile, and SQS counts no message that was not "
    "checked. Its counts can be a minute old, so run it again tomorrow."
)


@dataclass(frozen=True)
class Erasure:
    """An erasure, or a check of what one would remove.

    found: what was removed, or would be. left: what the last check found. erased: whether anything
    was removed.
    """

    found: Found
    left: Found
    erased: bool

    @property
    def remaining(self) -> int:
        """The number of records that should have been removed."""
        return self.left.count if self.erased else 0

    @property
    def well(self) -> bool:
        return self.left.certain and not self.remaining

    def document(self) -> dict[str, Any]:
        return {
            "erased": self.erased,
            "found": self.found.document(),
            "left": self.left.document() if self.erased else None,
            "out_of_reach": OUT_OF_REACH,
        }

    def notes(self) -> list[Line]:
        if not self.remaining:
            return []
        return [bad(f"{self.remaining} restored or remaining: run it again")]

    def lines(self) -> list[Line]:
        """What the last check says about what is left, and what no erasure reaches."""
        lines = [*_unsure(self.left), *_unseen(self.left), *_sweeping(self.left)]
        if self.left.certain and not self.left.count:
            again = "Checked again" if self.erased else "Checked everything"
            lines.append(good(f"{again}: {_NOTHING}"))
        return [
            *lines,
            Line("This command can't reach:"),
            *(Line(f"  - {line}") for line in OUT_OF_REACH),
        ]


def _unsure(left: Found) -> list[Line]:
    lines = []
    for why, text in _KEPT.items():
        if kept := [one for one in left.unsure if one.why is why]:
            lines.append(unsure(f"{len(kept)} not removed, because {text}:"))
            lines += [
                Line(f"  {one.what:>18}  {identifier(one.name)}") for one in kept[:SHOWN_UNSURE]
            ]
            if (more := len(kept) - SHOWN_UNSURE) > 0:
                lines.append(Line(f"  {'':>18}  and {more} more: --json lists all"))
    return lines


def _unseen(left: Found) -> list[Line]:
    return [
        unsure(
            f"{count} in {queue} could not be checked (in flight, delayed or new; the count can "
            "be a minute old). If one is about this profile, it restores the data. Run this again "
            "when the queue is empty or idle (gpw doctor)"
        )
        for queue, count in left.unseen.items()
    ]


def _sweeping(left: Found) -> list[Line]:
    if not left.sweeping:
        return []
    return [
        unsure(
            "A sweep runs. If it read the profile before that was deleted at GetProfile, it "
            "restores the data. Run this again when the sweep is complete (gpw doctor)"
        )
    ]


def check(
    target: Target, reporter: Reporter, tenant: str, profile: str, *, shared: bool = False
) -> Erasure:
    """Find what an erasure would remove. shared: as for `find`."""
    found = find(target, reporter, tenant, profile, shared=shared)
    return Erasure(found, found, erased=False)


def erase(
    target: Target,
    reporter: Reporter,
    tenant: str,
    profile: str,
    *,
    shared: bool = False,
    show: Callable[[Iterable[Line]], None],
) -> Erasure:
    """Remove one person's data, and check again. show: gets what was removed, before the check."""
    removed = remove(target, reporter, tenant, profile, shared=shared)
    show(counts(removed, "Erased"))
    left = find(target, reporter, tenant, profile, shared=shared, settle=True)
    return Erasure(removed, left, erased=True)


def counts(found: Found, verb: str) -> list[Line]:
    """What was found, or what was erased."""
    numbers = [
        (int(found.state), "state"),
        (None if found.full_profile is None else int(found.full_profile), "full profile"),
        (found.events, "events in the history"),
        (found.dead_letters, "dead letters"),
        (found.held, "held deliveries"),
        (found.hydration_messages, "messages in the hydration queue"),
        (1 if found.missed else None, "note that it is missing at GetProfile"),
    ]
    return [
        Line(f"{verb}:"),
        *(Line(count_line(count, what)) for count, what in numbers if count is not None),
    ]
