"""`gpw show`: shows one event by its id, wherever it is."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from gpw.cli.command import Gpw, command
from gpw.cli.options import ProfileOption, TenantOption
from gpw.cli.output import Output
from gpw.commands.item_table import show_item
from gpw.history.selection import Selection
from gpw.operations.one_event import NEEDS, Whereabouts, find
from gpw.operations.trace import Step
from gpw.stack.errors import FAILED
from gpw.stack.text import identifier


@command(example="gpw show evt_00186", needs=NEEDS)
def show(
    gpw: Gpw,
    *,
    event: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id.")],
    tenant: TenantOption = None,
    profile_id: ProfileOption = None,
) -> None:
    """Show one event by its id, wherever it is, with its way through the system.

    It searches the history, the dead letters, the held deliveries, and the functions' log lines of
    the last 24 hours. Without --tenant (and --profile-id, if the event has a profile), it scans the
    whole history unless those log lines name them.

    Exits with 1 if the event is nowhere.
    """
    Selection(tenant=tenant, profile=profile_id)  # a profile needs its tenant
    out, found = gpw.out, find(gpw.target, gpw.out, event, tenant, profile_id)
    out.document(found.document())
    if story := found.story:
        show_item(out, story.item)
    _show_way(out, story.way if story else found.logged)
    _show_parked(out, found)
    if story and story.newer:
        newer = identifier(story.newer["event_id"])
        out.say("")
        out.say(f"Stale, because the newer event {newer} was applied before it.")
    if found.waits:
        out.say("Accepted, but not processed yet: it waits in the events queue.")
    if found.unchecked:
        out.note(f"The queues hold {found.unchecked} messages that this scan could not see.")
    if not found:
        out.say(out.marks[False], f" No event has the id {identifier(event)}")
        raise typer.Exit(FAILED)


def _show_way(out: Output, way: Iterable[Step]) -> None:
    rows: list[list[str | Text]] = [
        [Text(f"{one.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], "dim"), one.after, one.what, one.detail]
        for one in way
    ]
    if rows:
        out.say("")
        out.table(["at", "after", "what", "detail"], rows)


def _show_parked(out: Output, found: Whereabouts) -> None:
    for one in found.letters:
        letter = one.letter
        out.say("")
        out.say(out.marks[False], f" Dead letter: {letter.reason}. {letter.detail}")
        out.say(f"  redrive: {one.fate}")
        out.hint(f"  gpw dlq show {letter.message_id}")
    for held in found.held:
        out.say("")
        out.hint(out.marks[None], f" Held delivery {held.message_id}: gpw held ls shows its secret")
