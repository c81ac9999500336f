"""Estimates the bill line by line, and compares it with a naive receiver."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from gpw.operations import pricing
from gpw.operations.pricing import (
    WINDOW_SECONDS,
    Charge,
    CostSettings,
    Figures,
    MonthlyTraffic,
    Price,
    bill,
    charged,
    naive_bill,
    table_units,
    total,
    variations,
    with_both,
)
from gpw.operations.stack_settings import Template, settings
from gpw.stack.files import MONITORING, TEMPLATE
from gpw.stack.template import parse_template

PRICES = Path(pricing.__file__).with_name("prices.toml")
FIGURES = PRICES.with_name("measured.json")
IN_REPOSITORY = "infra/gpw/operations"
NAIVE_APIS = {"HTTP API": "http_api_request", "REST API": "rest_api_request"}

README_EVENTS = {"none": 0, "10,000": 10_000, "1 million": 1_000_000, "100 million": 100_000_000}


@dataclass(frozen=True)
class PriceList:
    """The content of prices.toml."""

    region: str
    date: date
    prices: Mapping[str, Price]


@dataclass(frozen=True)
class Estimate:
    """The estimated bill, in dollars per month.

    totals and changes (the effect of each setting): at list prices, and after the free allowance.
    """

    traffic: MonthlyTraffic
    charges: Sequence[Charge]
    totals: Mapping[str, tuple[float, float]]
    changes: Mapping[str, tuple[float, float]]

    def per_million(self, dollars: float, *, sign: str = "") -> str:
        if self.traffic.events < 100_000:
            return ""  # fixed costs would dominate it
        return f"{dollars / self.traffic.events * 1e6:{sign},.2f}"


# ---------------------------------------------------------------- the files


def price_list_on_file() -> PriceList:
    content = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    return PriceList(
        content.pop("region"),
        content.pop("date"),
        {
            name: Price(one["per"], [(limit, price) for limit, price in one["tiers"]], one["free"])
            for name, one in content.items()
        },
    )


def dollars_a_month(traffic: MonthlyTraffic, chosen: CostSettings) -> float:
    """The bill at list prices."""
    return total(bill(traffic, chosen, figures_on_file()), price_list_on_file().prices)[0]


def added_dollars(traffic: MonthlyTraffic) -> float:
    """What traffic adds to the bill, by the list and the template's defaults."""
    chosen = settings_on_file()
    without = dollars_a_month(replace(traffic, events=0), chosen)
    return dollars_a_month(traffic, chosen) - without


def figures_on_file() -> Figures:
    content = json.loads(FIGURES.read_text(encoding="utf-8"))
    return {name: value for name, (value, _source) in content["figures"].items()}


def settings_on_file(parameters: Mapping[str, str] | None = None) -> CostSettings:
    """The settings in template.yaml. parameters: values that replace its defaults."""
    return settings(template_on_file(parameters), _yaml(MONITORING))


@cache
def deployed_settings(parameters: frozenset[tuple[str, str]]) -> tuple[CostSettings, list[str]]:
    """A stack's settings, and the values for --set that give them.

    parameters: the stack's; those that this version does not have are ignored.
    Raises: OperatorError, for a value that this version does not accept.
    """
    template, monitoring = _yaml(TEMPLATE), _yaml(MONITORING)
    given = {name: value for name, value in parameters if name in template["Parameters"]}
    default = settings(Template(template), monitoring)
    matter = {
        name: value
        for name, value in sorted(given.items())
        if settings(Template(template, {name: value}), monitoring) != default
    }
    chosen = settings(Template(template, matter), monitoring)
    return chosen, [f"{name}={value}" for name, value in matter.items()]


def template_on_file(parameters: Mapping[str, str] | None = None) -> Template:
    return Template(_yaml(TEMPLATE), parameters)


def _yaml(path: Path) -> Any:
    return parse_template(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- the estimate


def estimate(
    traffic: MonthlyTraffic, chosen: CostSettings, figures: Figures, prices: Mapping[str, Price]
) -> Estimate:
    lines = bill(traffic, chosen, figures)
    at_rest = bill(replace(traffic, events=0), chosen, figures)
    naive = {
        f"a naive receiver, {api}": naive_bill(traffic, chosen, figures, api=price)
        for api, price in NAIVE_APIS.items()
    }
    bills = {"this receiver": lines, **naive, "this receiver at rest": at_rest}
    now, now_after = total(lines, prices)
    changes = {}
    for name, changed in variations(chosen, traffic.rate, figures).items():
        then, then_after = total(bill(traffic, changed, figures), prices)
        changes[name] = (then - now, then_after - now_after)
    totals = {what: total(one, prices) for what, one in bills.items()}
    return Estimate(traffic, charged(lines, prices), totals, changes)


def notes(traffic: MonthlyTraffic, chosen: CostSettings, figures: Figures) -> list[str]:
    """Why a stack with these settings would not take the traffic."""
    found = []
    if traffic.rate > chosen.requests_per_second:
        found.append(
            f"RequestsPerSecond is {chosen.requests_per_second}, so API Gateway would refuse some "
            f"of {traffic.rate:,.0f} events per second; docs/performance.md says what to raise."
        )
    units = table_units(traffic.rate, figures)
    if 0 < chosen.write_units < units:
        found.append(
            f"WriteUnits is {chosen.write_units}, but {traffic.rate:,.1f} events per second take "
            f"{units:,.0f} of each table: the queue would grow, and lose events after 4 days."
        )
    return found


def money(dollars: float) -> str:
    return f"{dollars:,.2f}"


def readme_table() -> str:
    """README's table of costs, in Markdown."""
    prices, figures, chosen = price_list_on_file().prices, figures_on_file(), settings_on_file()
    rows = [
        "| events a month | dollars a month | after AWS's free allowance | per million events "
        "| with both settings | after the allowance | naive receiver: HTTP API | REST API |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for shown, events in README_EVENTS.items():
        traffic = MonthlyTraffic(events)
        found = estimate(traffic, chosen, figures, prices)
        dollars, after = found.totals["this receiver"]
        both = total(bill(traffic, with_both(chosen, traffic.rate, figures), figures), prices)
        naive = [money(found.totals[f"a naive receiver, {api}"][0]) for api in NAIVE_APIS]
        cells = [shown, money(dollars), money(after), found.per_million(dollars)]
        cells += [*map(money, both), *naive]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def settings_table() -> str:
    """The capacity page's table of the settings that cost less, in Markdown."""
    prices, figures, chosen = price_list_on_file().prices, figures_on_file(), settings_on_file()
    window = f"`ConsumerBatchWindowSeconds={WINDOW_SECONDS}`"
    rows = [
        f"| events a month | defaults | {window} | `WriteUnits` | both | after the allowance |",
        "|---|---|---|---|---|---|",
    ]
    for shown, events in README_EVENTS.items():
        traffic = MonthlyTraffic(events)
        both = with_both(chosen, traffic.rate, figures)
        gathering = replace(chosen, batch_window_seconds=both.batch_window_seconds)
        provisioned = replace(chosen, write_units=both.write_units)
        defaults, gathered, units, after = (
            total(bill(traffic, one, figures), prices)
            for one in (chosen, gathering, provisioned, both)
        )
        cells = [shown, money(defaults[0]), money(gathered[0])]
        cells += [f"{both.write_units}: {money(units[0])}", *map(money, after)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
