"""Bar charts as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 760, 250, 90  # pixels
ROW, BAR, TOP = 30, 18, 44
COLOURS = {"floor": "#8d99a6", "ours": "#0972d3", "naive": "#d97706"}
_STYLE = """\
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #16191f }
.title { font-size: 14px; font-weight: 600 }
.faint { fill: #687078 }"""


@dataclass(frozen=True)
class Bar:
    """One bar. shown: its value as text. kind: a key of COLOURS."""

    label: str
    value: float
    shown: str
    kind: str = "ours"


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw horizontal bars on one scale that starts at zero. Returns: an SVG."""
    height = TOP + ROW * len(rows) + 8
    longest = max(row.value for row in rows) or 1.0
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
    described = "; ".join(f"{row.label}: {row.shown}" for row in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(f"{title}. {described}")}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="12" y="24">{escape(title)}'
        f'<tspan class="faint" font-weight="400" dx="8">{escape(unit)}</tspan></text>',
    ]
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        length = max(1.0, row.value * scale)
        label = escape(row.label)
        parts += [
            f'<text x="{LABEL_WIDTH - 10}" y="{y + 13}" text-anchor="end">{label}</text>',
            f'<rect x="{LABEL_WIDTH}" y="{y}" width="{length:.0f}" height="{BAR}" rx="2" '
            f'fill="{COLOURS[row.kind]}"/>',
            f'<text x="{LABEL_WIDTH + length + 8:.0f}" y="{y + 13}">{escape(row.shown)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
