"""The results of redrive, release, purge and erasure in words, for the terminal and the browser."""

from collections import Counter

from gpw.operations.dead_letters import Redriven
from gpw.operations.erase import OUT_OF_REACH, Found
from gpw.operations.lines import Line, bad, good, unsure
from gpw.operations.release import Released
from gpw.operations.scanning import Purged, Unchecked
from gpw.parked.held_deliveries import EVENTS
from gpw.stack.queues import HOLD_SECONDS

SHORT_DIGEST = 12  # characters of a digest
NOBODY = "(none)"  # shown for the missing digest or address of a message sent by hand
SHOWN_UNSURE = 20  # --json lists all


def dead_letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def held_deliveries(count: int) -> str:
    return "1 held delivery" if count == 1 else f"{count} held deliveries"


def short_digest(digest: str) -> str:
    return digest[:SHORT_DIGEST] or NOBODY


def by_queue(counts: Counter[str]) -> str:
    return ", ".join(f"{count} to {queue}" for queue, count in counts.items())


# ---------------------------------------------------------------- messages that were not checked


def unchecked_dead_letters(unchecked: Unchecked) -> list[Line]:
    return _unchecked(unchecked, "dead letters", "Redrive or purge some of these (--limit)")


def unchecked_held(unchecked: Unchecked) -> list[Line]:
    fix = "Delete those that are not GetProfile's (gpw held purge --unknown)"
    return _unchecked(unchecked, "held deliveries", fix)


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


# ---------------------------------------------------------------- redrive, release, purge


def redriven(result: Redriven, *, dry_run: bool = False) -> list[Line]:
    verb, total = "Would redrive" if dry_run else "Redrove", result.sent.total()
    queues = f" ({by_queue(result.sent)})" if total else ""
    lines = [Line(f"{verb} {dead_letters(total)}{queues}", marked=True, well=not result.failed)]
    lines += counted(result.kept, "kept: ")
    lines += counted(result.failed, "failed, and kept: ")
    if result.twice:
        lines.append(_count(result.twice, "sent, but not deleted: harmless duplicates remain"))
    if result.gone:
        lines.append(
            _count(result.gone, "no longer there: redriven, deleted, or hidden by another scan")
        )
    return lines


def released(result: Released, *, dry_run: bool = False) -> list[Line]:
    verb, sent = "Would release" if dry_run else "Released", held_deliveries(result.sent[EVENTS])
    lines = [Line(f"{verb} {sent}", marked=True, well=not result.failed)]
    lines += counted(result.refused, "refused, and sent to the dead-letter queue: ")
    lines += counted(result.failed, "failed, and kept: ")
    if result.twice:
        lines.append(_count(result.twice, "sent, but not deleted: harmless duplicates remain held"))
    if result.others:
        lines.append(_count(result.others, "kept, because they carry other secrets (gpw held ls)"))
    return lines


def purged_dead_letters(result: Purged, *, dry_run: bool = False) -> list[Line]:
    total = dead_letters(result.deleted.total())
    return _purged(result, total, result.deleted, "redriven", dry_run=dry_run)


def purged_held(result: Purged, *, dry_run: bool = False) -> list[Line]:
    by_digest = Counter[str]()
    for digest, count in result.deleted.items():
        by_digest[short_digest(digest)] += count
    total = held_deliveries(result.deleted.total())
    return _purged(result, total, by_digest, "released", dry_run=dry_run)


def _purged(
    result: Purged, total: str, groups: Counter[str], otherwise: str, *, dry_run: bool
) -> list[Line]:
    lines = [Line(f"{'Would delete' if dry_run else 'Deleted'} {total}"), *counted(groups)]
    if result.gone:
        gone = f"no longer there: {otherwise}, deleted, or hidden by another scan"
        lines.append(_count(result.gone, gone))
    if result.failed:
        lines.append(bad(f"{result.failed} could not be deleted; run it again"))
    return lines


def counted(counts: Counter[str], before: str = "") -> list[Line]:
    """A line for each name, the most frequent first."""
    return [_count(count, f"{before}{name}") for name, count in counts.most_common()]


def _count(count: int, what: str) -> Line:
    return Line(f"  {count:>6}  {what}")


# ---------------------------------------------------------------- erasure


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
        *(_count(count, what) for count, what in counts if count is not None),
    ]


def erasure_rest(left: Found, *, erased: bool) -> list[Line]:
    """What the last check says about what is left, and what no erasure reaches."""
    lines = []
    if left.unsure:
        lines.append(
            unsure(
                f"{len(left.unsure)} not removed, because they mention the id but may be about "
                "somebody else. Check them yourself (docs/data.md says how):"
            )
        )
        lines += [Line(f"  {one.what:>18}  {one.name}") for one in left.unsure[:SHOWN_UNSURE]]
        if (more := len(left.unsure) - SHOWN_UNSURE) > 0:
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
