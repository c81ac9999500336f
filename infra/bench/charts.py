"""The charts of docs/performance.md, as SVG."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

COLOURS = {"floor": "#8d99a6", "ours": "#0972d3", "naive": "#d97706"}
WIDTH = 8  # inches
# Text stays text, and the same figures give the same file.
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "getprofile", "font.size": 9}


@dataclass(frozen=True)
class Bar:
    """One bar. shown: its value as text. kind: a key of COLOURS."""

    label: str
    value: float
    shown: str
    kind: str = "ours"


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Draw horizontal bars on one scale that starts at zero. Returns: an SVG."""
    figure = Figure((WIDTH, 0.6 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    # By number: two bars may have the same label.
    drawn = axes.barh(
        range(len(rows)), [row.value for row in rows], color=[COLOURS[row.kind] for row in rows]
    )
    axes.bar_label(drawn, [row.shown for row in rows], padding=4)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_title(f"{title} ({unit})", loc="left")
    return _svg(figure)


def lines(
    title: str,
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    minutes: float,
    outage: tuple[float, float],
) -> str:
    """Draw panels one below the other. Returns: an SVG.

    panels: by title, values by label. minutes: between two values. outage: first and last minute.
    """
    figure = Figure((WIDTH, 2 * len(panels)), layout="constrained")
    for axes, (name, curves) in zip(figure.subplots(len(panels)), panels.items(), strict=True):
        for (label, values), colour in zip(curves.items(), ("C0", "C1"), strict=True):
            axes.plot([minutes * n for n in range(len(values))], values, colour, label=label)
        if outage[1]:
            axes.axvspan(*outage, color="#d13212", alpha=0.12, linewidth=0)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(name, loc="left")
        axes.grid(alpha=0.3)
    axes.legend()
    axes.set_xlabel("minutes")
    figure.suptitle(title)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
