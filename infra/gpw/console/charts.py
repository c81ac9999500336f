"""Pictures as SVG; their colours are the style sheet's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from gpw.stack.text import plain

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 1000, 200, 36, 22, 10
TIMELINE_HEIGHT = 96
MAX_MARKS = 200  # events on a timeline


def bars(minutes: Sequence[tuple[datetime, Counter[str]]], *stacks: Sequence[str]) -> Markup:
    """For each minute bars beside each other. stacks: of each bar the names of what is in it."""
    highest = max((sum(c[name] for name in stack) for _, c in minutes for stack in stacks)) or 1
    scale = (HEIGHT - TOP - BOTTOM) / highest
    step = (WIDTH - LEFT) / len(minutes)
    wide = (step - 4) / len(stacks)
    series = [name for stack in stacks for name in stack]
    totals = ", ".join(f"{sum(c[name] for _, c in minutes)} {name}" for name in series)
    parts = [
        _open(WIDTH, HEIGHT, f"Events in each of the last {len(minutes)} minutes: {totals}"),
        *_grid(highest),
    ]
    for number, (minute, counts) in enumerate(minutes):
        x = LEFT + number * step
        told = ", ".join(f"{counts[name]} {name}" for name in series if counts[name])
        parts.append(Markup("<g><title>{} {}</title>").format(f"{minute:%H:%M}", told or "nothing"))
        parts.append(_rect("hover", x, TOP, step, HEIGHT - TOP - BOTTOM))
        for place, stack in enumerate(stacks):
            y = float(HEIGHT - BOTTOM)
            for name in filter(counts.get, stack):
                height = counts[name] * scale
                y -= height
                parts.append(_rect(name, x + 2 + place * wide, y, wide - 1, height))
        parts.append(Markup("</g>"))
        if number % 5 == 0:
            parts.append(_text("tick", x, HEIGHT - 6, f"{minute:%H:%M}"))
    return Markup("").join([*parts, Markup("</svg>")])


@dataclass(frozen=True)
class Mark:
    """An event on a timeline. at: when it happened; link: its page."""

    at: datetime
    outcome: str
    label: str
    link: str


def timeline(marks: Sequence[Mark]) -> Markup:
    """A profile's events along time, each outcome on a line of its own. marks: oldest first."""
    marks = marks[-MAX_MARKS:]
    lanes = ["applied", "stale", "recorded"]
    first, last = marks[0].at, marks[-1].at
    seconds = (last - first).total_seconds() or 1.0
    parts = [_open(WIDTH, TIMELINE_HEIGHT, f"{len(marks)} events from {first} to {last}")]
    for number, lane in enumerate(lanes):
        y = 18 + number * 24
        parts.append(_text("lane", 0, y + 4, lane))
        parts.append(
            Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
                80, y, WIDTH - 10, y
            )
        )
    for mark in marks:
        x = 86 + (mark.at - first).total_seconds() / seconds * (WIDTH - 106)
        y = 18 + (lanes.index(mark.outcome) if mark.outcome in lanes else 2) * 24
        parts.append(
            Markup(
                '<a href="{}" aria-label="{}"><title>{}</title>'
                '<circle class="mark {}" cx="{:.1f}" cy="{}" r="6"/></a>'
            ).format(mark.link, plain(mark.label), plain(mark.label), mark.outcome, x, y)
        )
    parts.append(_text("tick", 86, TIMELINE_HEIGHT - 4, f"{first:%Y-%m-%d %H:%M:%S}"))
    if last != first:
        parts.append(
            _text("tick end", WIDTH - 10, TIMELINE_HEIGHT - 4, f"{last:%Y-%m-%d %H:%M:%S}")
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _grid(highest: int) -> list[Markup]:
    found = []
    for share in (0.0, 0.5, 1.0):
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        found.append(
            Markup('<line class="grid" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(
                LEFT, y, WIDTH, y
            )
        )
        if (value := highest * share) == int(value):
            found.append(_text("tick end", LEFT - 6, y + 4, str(int(value))))
    return found


def _open(width: int, height: int, label: str) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="group" aria-label="{}">').format(
        width, height, label
    )


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, width, height
    )


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        kind, x, y, escape(text)
    )
