"""Tables of events fit the terminal: one line an event, and no word is broken."""

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from gpw.cli.fitting import elided
from gpw.cli.output import PIPE_WIDTH, Output
from gpw.commands.event_table import show_events
from receiver.domain.outcome import Outcome

UUID = "3f0c8f5e-9d3b-4c5e-8a55-0b2f6f5d1e77"
LONGEST = "evt_" + "0123456789" * 12 + "_end"


def event(**more: Any) -> dict[str, Any]:
    return {
        "created_at": "2023-10-01T12:00:00.000000Z",
        "outcome": Outcome.RECORDED.value,
        "event": "profile.summary_updated",
        "data": {"status": "summarizing"},
        "tenant_id": "tenant-of-a-long-name",
        "profile_id": "profile-1234567890",
        "event_id": UUID,
    } | more


def shown(width: int, *items: dict[str, Any], terminal: bool = True) -> list[str]:
    out, text = Output(), io.StringIO()
    out.console = Console(
        file=text, width=width, force_terminal=terminal, markup=False, color_system=None
    )
    show_events(out, items)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 140])
def test_each_event_is_one_line_of_the_terminal_whatever_its_ids_are(width: int) -> None:
    wide = event(tenant_id="テナント" * 20, profile_id="x" * 128, event_id=LONGEST)

    heading, *lines = shown(width, event(), wide, event(event="x." + "y" * 126))

    assert len(lines) == 3
    assert all(cell_len(line) <= width for line in (heading, *lines))
    assert lines[1].rstrip().endswith("_end")
    assert "…" in lines[1]


def test_80_columns_say_how_long_ago_and_140_the_time_and_the_status_too() -> None:
    assert shown(80, event())[0].split() == ["ago", "outcome", "type", "tenant", "profile", "id"]
    assert shown(140, event())[0].split() == [
        *("created", "ago", "outcome", "type", "status", "tenant", "profile", "id")
    ]


def test_short_ids_are_whole_at_80_columns() -> None:
    [_heading, line] = shown(80, event(event_id="evt_00186", profile_id="12345", tenant_id="acme"))

    assert {"profile.summary_updated", "acme", "12345", "evt_00186"} <= {*line.split()}


def test_a_uuid_is_whole_at_140_columns() -> None:
    assert UUID in shown(140, event(tenant_id="acme", profile_id="12345"))[1]


def test_a_pipe_gets_every_column_and_every_id_whole() -> None:
    [_heading, line] = shown(PIPE_WIDTH, event(event_id=LONGEST), terminal=False)

    assert line.split()[-1] == LONGEST
    assert "2023-10-01 12:00:00" in line


@pytest.mark.parametrize("ellipsis", ["…", "..."])
def test_an_elided_text_keeps_both_ends_and_its_width(ellipsis: str) -> None:
    text = elided(LONGEST, 12, ellipsis)

    assert cell_len(text) == 12
    assert (text[0], text[-1]) == ("e", "d")
