"""Draws the layout of a CloudWatch dashboard from its widgets."""

import math
import re
from html import escape
from typing import Any

type Json = dict[str, Any]

UNIT_WIDTH, UNIT_HEIGHT = 46, 30  # pixels of one column, and of one unit of height
GAP = 6
PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_STYLE = """\
text { font-family: system-ui, sans-serif; fill: #16191f }
.title { font-size: 13px; font-weight: 600 }
.small { font-size: 10px }
.faint { font-size: 11px; fill: #687078 }
.link { font-size: 12px; fill: #0972d3 }
.number { font-size: 22px }
.box { fill: #ffffff; stroke: #d5dbdb }
.grid { stroke: #eaeded }"""


def draw(widgets: list[Json], columns: int) -> str:
    """Draw each widget in its position with its title and legend. The curves are invented."""
    width = columns * UNIT_WIDTH
    height = max(widget["y"] + widget["height"] for widget in widgets) * UNIT_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="The dashboard\'s layout">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>',
        *(part for widget in widgets for part in _widget(widget)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _widget(widget: Json) -> list[str]:
    left, top = widget["x"] * UNIT_WIDTH + GAP // 2, widget["y"] * UNIT_HEIGHT + GAP // 2
    width = widget["width"] * UNIT_WIDTH - GAP
    height = widget["height"] * UNIT_HEIGHT - GAP
    match widget["type"], widget["properties"]:
        case "text", {"markdown": str(markdown)} if widget["height"] == 1:
            return [f'<g transform="translate({left} {top})">', *_heading(markdown), "</g>"]
        case "text", {"markdown": str(markdown)}:
            inner = _links(markdown)
        case "alarm", properties:
            inner = [
                _text(10, 20, "title", properties["title"]),
                *_alarms(properties["alarms"], width),
            ]
        case _, {"view": "singleValue"} as properties:
            inner = [_text(10, 20, "title", properties["title"]), *_numbers(properties, width)]
        case _, properties:
            inner = [
                _text(10, 20, "title", properties["title"]),
                *_graph(properties, width, height),
            ]
    box = f'<rect class="box" width="{width}" height="{height}" rx="6"/>'
    return [f'<g transform="translate({left} {top})">', box, *inner, "</g>"]


def _heading(markdown: str) -> list[str]:
    title, _, explanation = markdown.removeprefix("### ").partition(" · ")
    explained = f'{escape(title)}<tspan class="faint" dx="8">{escape(explanation)}</tspan>'
    return [f'<text class="title" x="4" y="17">{explained}</text>']


def _links(markdown: str) -> list[str]:
    title, *rest = [line for line in markdown.splitlines() if line]
    lines = [_text(10, 20, "title", title.replace("**", ""))]
    for number, line in enumerate(rest):
        label = _LINK.sub(r"\1", line).removeprefix("- ")
        lines.append(_text(14, 40 + 19 * number, "link", f"• {label}"))
    return lines


def _alarms(arns: list[str], width: int) -> list[str]:
    names = [re.sub(r"^\$\{(\w+?)Alarm\.?Arn\}$", r"\1", arn) for arn in arns]
    in_a_row = 5
    step = (width - 20) // in_a_row
    drawn = []
    for number, name in enumerate(names):
        x, y = 10 + number % in_a_row * step, 32 + number // in_a_row * 36
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        drawn += [
            f'<rect x="{x}" y="{y}" width="{step - 6}" height="28" rx="4" fill="#1d8102"/>',
            f'<text class="small" x="{x + 8}" y="{y + 18}" style="fill: #ffffff">{words}</text>',
        ]
    return drawn


def _numbers(properties: Json, width: int) -> list[str]:
    labels = _labels(properties)
    step = (width - 20) // len(labels)
    drawn = []
    for number, label in enumerate(labels):
        x, colour = 10 + number * step, PALETTE[number % len(PALETTE)]
        drawn += [
            f'<rect x="{x}" y="36" width="4" height="54" fill="{colour}"/>',
            _text(x + 12, 50, "faint", label),
            _text(x + 12, 78, "number", "123"),
        ]
    return drawn


def _graph(properties: Json, width: int, height: int) -> list[str]:
    labels = _labels(properties)
    shift = sum(map(ord, properties["title"]))  # so that no two graphs look alike
    left, top, right, bottom = 12, 32, width - 12, height - 34
    drawn = [
        f'<line class="grid" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>'
        for y in range(top, bottom + 1, (bottom - top) // 3)
    ]
    for mark in properties.get("annotations", {}).get("horizontal", []):
        drawn += [
            f'<line x1="{left}" y1="{top + 8}" x2="{right}" y2="{top + 8}" '
            'stroke="#d13212" stroke-dasharray="5 3"/>',
            _text(left + 4, top + 4, "faint", f"{mark['label']}: {mark['value']}"),
        ]
    x = left
    for number, label in enumerate(labels):
        colour = PALETTE[number % len(PALETTE)]
        points = _curve(number, shift, (left, right), (top + 16, bottom))
        drawn += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<rect x="{x}" y="{height - 21}" width="9" height="9" fill="{colour}"/>',
            _text(x + 13, height - 12, "small", label),
        ]
        x += 22 + round(5.5 * len(label))
    return drawn


def _curve(number: int, shift: int, across: tuple[int, int], down: tuple[int, int]) -> str:
    left, width = across[0], across[1] - across[0]
    height = down[1] - down[0]
    base = down[1] - height * (0.25 + 0.6 / (number + 1.2))
    points = []
    for step in range(25):
        wave = math.sin(step / 3.1 + number * 2 + shift) + 0.5 * math.sin(step / 1.3 + shift * 3)
        points.append(f"{left + width * step / 24:.0f},{base + height * 0.12 * wave:.0f}")
    return " ".join(points)


def _labels(properties: Json) -> list[str]:
    options = [metric[-1] for metric in properties["metrics"]]
    shown = [one["label"] for one in options if one.get("visible", True)]
    return ["one curve per reason" if "PROP(" in label else label for label in shown]


def _text(x: int, y: int, style: str, content: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}">{escape(content)}</text>'
