"""CloudWatch's metric math and alarms, as far as monitoring.yaml uses them and AWS documents them.

From the user guide: "Using math expressions with CloudWatch metrics", "Alarm evaluation", and
"Configuring how CloudWatch alarms treat missing data". A time series is a list of one value for
each period, the oldest first; None where there is no data.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

type Series = list[float | None]


def evaluated(expression: str, metrics: Mapping[str, Series], *, fills_empty: bool) -> Series:
    """The time series that an expression makes of metrics of equal length.

    fills_empty: whether FILL fills a series without any data point. The documentation does not say.
    """
    # CloudWatch's operators bind less than a comparison, Python's do not: parentheses are wanted.
    python = re.sub(r"\bOR\b", "|", expression)

    def value(node: ast.expr) -> Any:  # noqa: PLR0911  one for each thing that there is
        match node:
            case ast.Name(id="REPEAT"):
                return "REPEAT"
            case ast.Name(id=name):
                return metrics[name]
            case ast.Constant(value=number):
                return number
            case ast.Call(func=ast.Name(id="FILL"), args=[series, filler]):
                return fill(value(series), value(filler), fills_empty=fills_empty)
            case ast.Call(func=ast.Name(id="DIFF"), args=[series]):
                return difference(value(series))
            case ast.Call(func=ast.Name(id="IF"), args=arguments):
                return choice(*map(value, arguments))
            case ast.Compare(left=left, ops=[ast.Gt() | ast.GtE() as than], comparators=[right]):
                return compared(value(left), than, value(right))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return either(value(left), value(right))
        raise ValueError(f"not known to this evaluator: {ast.unparse(node)}")

    result: Series = value(ast.parse(python, mode="eval").body)
    return result


def fill(series: Series, filler: float | str, *, fills_empty: bool) -> Series:
    """Missing values become a number, or (REPEAT) the last actual value before them."""
    if filler == "REPEAT":
        filled: Series = []
        for value in series:
            filled.append(filled[-1] if value is None and filled else value)
        return filled
    if not fills_empty and all(value is None for value in series):
        return series
    return [float(filler) if value is None else value for value in series]


def difference(series: Series) -> Series:
    """Each value less the one before it in the series; the first has none before it."""
    found: Series = []
    previous: float | None = None
    for value in series:
        found.append(None if value is None or previous is None else value - previous)
        previous = previous if value is None else value
    return found


def compared(series: Series, than: ast.Gt | ast.GtE, limit: float) -> Series:
    """1 where a value is greater than the limit (or equal to it), else 0."""

    def holds(value: float) -> bool:
        return value > limit or (isinstance(than, ast.GtE) and value == limit)

    return [None if value is None else float(holds(value)) for value in series]


def either(one: Series, other: Series) -> Series:
    """Where only one of them has a value, the other counts as 0."""
    return [
        None if a is None and b is None else float(bool(a or b))
        for a, b in zip(one, other, strict=True)
    ]


def choice(condition: Series, then: Series | float, otherwise: float | None = None) -> Series:
    """Where the condition is missing, so is the result; a missing value that it picks is 0."""

    def picked(place: int, holds: float | None) -> float | None:
        if holds is None:
            return None
        if not holds:
            return otherwise
        return (then[place] or 0.0) if isinstance(then, list) else then

    return [picked(place, holds) for place, holds in enumerate(condition)]


def state(alarm: Mapping[str, Any], points: Sequence[float | None], before: str) -> str:
    """What an alarm's state becomes. points: all of the evaluation range, which is at least as long
    as EvaluationPeriods; how much longer, CloudWatch does not say. before: the state so far."""
    periods = alarm["EvaluationPeriods"]
    needed = alarm.get("DatapointsToAlarm", periods)
    threshold = alarm["Threshold"]
    existing = [point for point in points if point is not None][-periods:]
    breaching = sum(
        {
            "GreaterThanOrEqualToThreshold": point >= threshold,
            "LessThanThreshold": point < threshold,
        }[alarm["ComparisonOperator"]]
        for point in existing
    )
    missing = periods - len(existing)
    if breaching >= needed:
        return "ALARM"
    if missing and alarm["TreatMissingData"] == "breaching" and breaching + missing >= needed:
        return "ALARM"
    if missing and alarm["TreatMissingData"] == "ignore" and breaching == len(existing):
        return before
    return "OK"


def history(
    alarm: Mapping[str, Any],
    metrics: Mapping[str, Series],
    *,
    late: int = 0,
    beyond: int = 2,
    fills_empty: bool = True,
) -> list[str]:
    """An alarm's state at the end of each period.

    late: periods after which a data point can be seen. beyond: how many more periods CloudWatch
    retrieves than EvaluationPeriods.
    """
    [expression] = [m["Expression"] for m in alarm["Metrics"] if "Expression" in m]
    length = len(next(iter(metrics.values())))
    range_of = alarm["EvaluationPeriods"] + beyond
    states: list[str] = []
    for now in range(1, length + 1):
        seen: dict[str, Series] = {}
        for name, series in metrics.items():
            known = [v if n < now - late else None for n, v in enumerate(series[:now])]
            seen[name] = ([None] * range_of + known)[-range_of:]
        points = evaluated(expression, seen, fills_empty=fills_empty)
        states.append(state(alarm, points, states[-1] if states else "INSUFFICIENT_DATA"))
    return states


def raised(states: Sequence[str]) -> list[int]:
    """The periods in which an alarm goes to ALARM, which is when it sends a mail."""
    before = ["INSUFFICIENT_DATA", *states]
    return [n for n, (a, b) in enumerate(zip(before, states, strict=False)) if b == "ALARM" != a]
