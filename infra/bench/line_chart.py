"""Line charts as SVG: panels one below the other, with a common time axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 760, 70, 16  # pixels
TOP, PANEL, GAP, BOTTOM = 56, 120, 34, 30
POINTS = 200  # per curve at most; of each bucket of samples, only the highest is drawn
COLOURS = ("#0972d3", "#d97706")
_STYLE = """\
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #16191f }
.title { font-size: 14px; font-weight: 600 }
.faint { fill: #687078 }
.grid { stroke: #e3e7e9 }
.band { fill: #d13212; opacity: 0.12 }"""

type Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One quantity over time. lines: the curves by label; a point is a time and a value."""

    title: str
    lines: dict[str, Curve]


def line_chart(title: str, panels: Sequence[Panel], band: tuple[float, float] = (0, 0)) -> str:
    """Draw panels with a common time axis in minutes. band: the time to shade. Returns: an SVG."""
    height = TOP + len(panels) * (PANEL + GAP) + BOTTOM
    end = max(time for panel in panels for line in panel.lines.values() for time, _ in line) or 1
    scale = (WIDTH - LEFT - RIGHT) / end
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
        *_legend(list(panels[0].lines)),
    ]
    for number, panel in enumerate(panels):
        top = TOP + number * (PANEL + GAP) + 14
        highest = _round_up(max(value for line in panel.lines.values() for _, value in line))
        drawn.append(f'<text class="faint" x="{LEFT}" y="{top - 6}">{escape(panel.title)}</text>')
        for part in range(5):
            y = top + PANEL - PANEL * part / 4
            drawn += [
                f'<line class="grid" x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}"/>',
                f'<text class="faint" x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">'
                f"{highest * part / 4:,.0f}</text>"
                if part % 2 == 0
                else "",
            ]
        if band[1] > band[0]:
            drawn.append(
                f'<rect class="band" x="{LEFT + band[0] * scale:.1f}" y="{top}" '
                f'width="{(band[1] - band[0]) * scale:.1f}" height="{PANEL}"/>'
            )
        for line, colour in zip(panel.lines.values(), COLOURS, strict=False):
            points = " ".join(
                f"{LEFT + time * scale:.1f},{top + PANEL * (1 - value / highest):.1f}"
                for time, value in _thinned(line)
            )
            drawn.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
    for part in range(5):
        drawn.append(
            f'<text class="faint" x="{LEFT + end * part / 4 * scale:.0f}" y="{height - 26}" '
            f'text-anchor="middle">{end * part / 4:,.3g}</text>'
        )
    drawn.append(f'<text class="faint" x="{LEFT}" y="{height - 8}">minutes</text>')
    return "\n".join(part for part in [*drawn, "</svg>"] if part) + "\n"


def _legend(labels: Sequence[str]) -> list[str]:
    drawn, x = [], 12.0
    for label, colour in zip(labels, COLOURS, strict=False):
        drawn += [
            f'<rect x="{x:.0f}" y="34" width="10" height="10" fill="{colour}"/>',
            f'<text x="{x + 15:.0f}" y="43">{escape(label)}</text>',
        ]
        x += 40 + 6.5 * len(label)
    return drawn


def _thinned(line: Curve) -> Curve:
    size = max(1, -(-len(line) // POINTS))
    buckets = [line[at : at + size] for at in range(0, len(line), size)]
    return [max(bucket, key=lambda point: point[1]) for bucket in buckets]


def _round_up(value: float) -> float:
    """Round up to the next 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= value)
