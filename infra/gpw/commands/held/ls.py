"""`gpw held ls`."""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.operations.held_queue import LOOK, NOBODY, READ_SECRET, groups
from gpw.operations.lines import held_deliveries
from gpw.operations.parked_lines import UNREADABLE_SECRET, nothing_read, unchecked_held
from gpw.parked.held_deliveries import Group
from gpw.stack.text import identifier
from gpw.stack.when import ago

SHOWN_SOURCES = 3


@command(example="gpw held ls", needs=[*LOOK, *READ_SECRET])
def ls(gpw: Gpw) -> None:
    """List the held deliveries by the secret that they carry.

    A secret is shown as its SHA-256, and as current or previous if the receiver
    accepts it now. Anybody can send a delivery with an unknown secret, so only deliveries with an
    accepted secret are known to be GetProfile's. While the scan runs, it hides the deliveries from
    other readers; it does not change them.
    """
    listed = groups(gpw.target, gpw.out)
    if listed.accepted is None:
        gpw.out.note_lines([UNREADABLE_SECRET])
    gpw.out.note_lines(unchecked_held(listed.unchecked))
    gpw.out.document(listed.document())
    if not listed.found:
        gpw.out.say_lines([nothing_read(listed.unchecked, "held deliveries")])
    for group in listed.found:
        _show(gpw, group, listed.accepted)
    gpw.out.say_lines(listed.advice())


def _show(gpw: Gpw, group: Group, accepted: Mapping[str, str] | None) -> None:
    """Two lines, so that the digest is in one piece on any terminal."""
    now = datetime.now(UTC)
    gpw.out.say(Text(group.token_digest or NOBODY, "bold"), "  ", _secret(group, accepted))
    gpw.out.say(
        f"  {held_deliveries(group.count)}, first {ago(group.first, now)} ago, last "
        f"{ago(group.last, now)} ago, from {_sources(group)}"
    )


def _secret(group: Group, accepted: Mapping[str, str] | None) -> Text:
    if accepted is None:
        return Text("?", "yellow")
    version = accepted.get(group.token_digest)
    return Text(version, "green") if version else Text("not accepted", "red")


def _sources(group: Group) -> str:
    shown = [
        f"{identifier(source) or NOBODY} ({count})"
        for source, count in group.sources.most_common(SHOWN_SOURCES)
    ]
    more = len(group.sources) - SHOWN_SOURCES
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])
