"""The estimated bill as a report: its numbers as data and as rows of tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpw.operations.cost import (
    FIGURES,
    IN_REPOSITORY,
    PRICES,
    Estimate,
    PriceList,
    estimate,
    figures_on_file,
    money,
    notes,
    price_list_on_file,
    settings_on_file,
)
from gpw.operations.pricing import MonthlyTraffic
from gpw.stack.errors import USAGE, OperatorError

_MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
FOOTNOTE = (
    "* No template parameter does this. Three things are free: DynamoDB's deletion of expired "
    "events, Lambda's reads of the stream, and encryption with AWS's own keys. The estimate does "
    f"not include a key of your own. Durations and sizes: {IN_REPOSITORY}/{FIGURES.name}; prices "
    f"and their sources: {IN_REPOSITORY}/{PRICES.name}."
)


def event_count(text: str) -> int:
    """Read a number of events, such as 10k. Raises: OperatorError."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([kmb]?)", text.replace(",", "").lower())
    if found is None:
        raise OperatorError(f"{text} is not a number such as 1000, 10k or 2.5M", code=USAGE)
    return round(float(found[1]) * _MULTIPLES[found[2]])


def assignments(given: Sequence[str]) -> dict[str, str]:
    """Read values for template parameters, each as NAME=VALUE. Raises: OperatorError."""
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, sign, _value in pairs if not sign]:
        raise OperatorError(f"--set {wrong[0]} is not NAME=VALUE", code=USAGE)
    return {name: value for name, _sign, value in pairs}


@dataclass(frozen=True)
class CostReport:
    """An estimate with the prices behind it. warnings: why the stack would not take the traffic."""

    price_list: PriceList
    estimate: Estimate
    warnings: list[str]

    def document(self) -> dict[str, Any]:
        found = self.estimate
        return {
            "region": self.price_list.region,
            "date": self.price_list.date.isoformat(),
            "traffic": asdict(found.traffic),
            "lines": [
                asdict(charge.line) | _dollars(charge.dollars, charge.after_free)
                for charge in found.charges
            ],
            "totals": {what: _dollars(*both) for what, both in found.totals.items()},
            "changes": {what: round(dollars, 6) for what, (dollars, _) in found.changes.items()},
            "changes_after_free": {
                what: round(after, 6) for what, (_, after) in found.changes.items()
            },
        }

    @property
    def heading(self) -> str:
        traffic = self.estimate.traffic
        return (
            f"{traffic.events:,} events per month, {_quantity(traffic.rate)} per second for "
            f"{traffic.active_hours:g} hours; dollars at list prices, {self.price_list.region}, "
            f"{self.price_list.date}."
        )

    def bill(self) -> list[list[str]]:
        """The lines of the bill and the totals: what, quantity, dollars per month and million."""
        found = self.estimate
        lines = [
            (charge.line.what, _quantity(charge.line.quantity), charge.dollars, charge.after_free)
            for charge in found.charges
        ]
        totals = [(what, "", *both) for what, both in found.totals.items()]
        return [
            [what, quantity, money(dollars), found.per_million(dollars), money(after)]
            for what, quantity, dollars, after in [*lines, *totals]
        ]

    def changes(self) -> list[list[str]]:
        """The effect of each setting, in dollars per month and per million events."""
        found = self.estimate
        return [
            [what, f"{dollars:+,.2f}", found.per_million(dollars, sign="+"), f"{after:+,.2f}"]
            for what, (dollars, after) in found.changes.items()
        ]


def report(traffic: MonthlyTraffic, parameters: Mapping[str, str]) -> CostReport:
    """Estimate the bill from the project's files. parameters: replace the template's defaults.

    Raises: OperatorError.
    """
    price_list, figures = price_list_on_file(), figures_on_file()
    chosen = settings_on_file(parameters)
    found = estimate(traffic, chosen, figures, price_list.prices)
    return CostReport(price_list, found, notes(traffic, chosen, figures))


def _dollars(dollars: float, after_free: float) -> dict[str, float]:
    return {"dollars": round(dollars, 6), "dollars_after_free": round(after_free, 6)}


def _quantity(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
