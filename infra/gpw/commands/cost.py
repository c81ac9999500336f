"""`gpw cost`: estimates the bill line by line, and compares it with a naive receiver."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from gpw.cli.command import Gpw, command
from gpw.operations import pricing
from gpw.operations.pricing import (
    RATE_PROFILES,
    Charge,
    CostSettings,
    Figures,
    MonthlyTraffic,
    Price,
    bill,
    charged,
    naive_bill,
    total,
    variations,
)
from gpw.operations.stack_settings import Template, settings
from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.files import MONITORING, TEMPLATE
from gpw.stack.template import parse_template

PRICES = Path(pricing.__file__).with_name("prices.toml")
FIGURES = PRICES.with_name("measured.json")
IN_REPOSITORY = "infra/gpw/operations"
NAIVE_APIS = {"HTTP API": "http_api_request", "REST API": "rest_api_request"}

README_EVENTS = {"none": 0, "1,000": 1_000, "1 million": 1_000_000, "100 million": 100_000_000}

_MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


class RateProfile(StrEnum):
    STEADY = "steady"
    OFFICE = "office"
    BURSTS = "bursts"


@dataclass(frozen=True)
class PriceList:
    """The content of prices.toml."""

    region: str
    date: date
    prices: Mapping[str, Price]


@dataclass(frozen=True)
class Estimate:
    """The estimated bill, in dollars per month.

    totals: at list prices, and after the free allowance. changes: the effect of each setting, at
    list prices.
    """

    traffic: MonthlyTraffic
    charges: Sequence[Charge]
    totals: Mapping[str, tuple[float, float]]
    changes: Mapping[str, float]

    def per_million(self, dollars: float, *, sign: str = "") -> str:
        if self.traffic.events < 100_000:
            return ""  # fixed costs would dominate it
        return f"{dollars / self.traffic.events * 1e6:{sign},.2f}"


@command(example="gpw cost --events 10M --set LogLevel=WARNING", on_stack=False)
def cost(
    gpw: Gpw,
    *,
    events: Annotated[str, typer.Option(help="Events a month: 1000, 10k, 2.5M, 1B.")] = "1M",
    rate_profile: Annotated[
        RateProfile,
        typer.Option(
            help="When they arrive: always, on 22 days of 8 hours, or in 1 % of the time."
        ),
    ] = RateProfile.STEADY,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a template parameter: NAME=VALUE. Can be repeated."),
    ] = None,
    stale: Annotated[
        float, typer.Option(min=0, max=1, help="Share of events that arrive after a newer one.")
    ] = 0.0,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Share of deliveries that repeat an event.")
    ] = 0.0,
    event_bytes: Annotated[
        int, typer.Option(min=1, max=1_048_576, help="Size of a webhook body.")
    ] = 220,
    profile_bytes: Annotated[
        int,
        typer.Option(min=1, max=409_600, help="Size of a stored full profile (HydrateProfiles)."),
    ] = 8192,
) -> None:
    """Estimate the AWS bill from the template's settings, list prices and measured durations.

    The command reads only files of the project, so it needs neither AWS nor a stack. The estimate
    is in dollars at list prices in us-east-1. No template parameter turns off what lines marked *
    describe.
    """
    if stale + duplicates > 1:
        raise OperatorError("--stale and --duplicates add up to more than 1", code=USAGE)
    price_list, figures = price_list_on_file(), figures_on_file()
    chosen = settings_on_file(_assignments(parameters or []))
    traffic = MonthlyTraffic(
        events=count(events),
        active_hours=RATE_PROFILES[rate_profile],
        stale=stale,
        duplicates=duplicates,
        event_bytes=event_bytes,
        profile_bytes=profile_bytes,
    )
    if traffic.rate > chosen.requests_per_second:
        gpw.out.note(
            f"RequestsPerSecond is {chosen.requests_per_second}, so API Gateway would refuse some "
            f"of {traffic.rate:,.0f} events per second; docs/capacity.md says what to raise."
        )
    found = estimate(traffic, chosen, figures, price_list.prices)
    gpw.out.document(_document(price_list, found))
    _show(gpw, price_list, found)


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


def added_dollars(traffic: MonthlyTraffic) -> float:
    """What traffic adds to the bill, by the list and the template's defaults."""
    prices, chosen, figures = price_list_on_file().prices, settings_on_file(), figures_on_file()
    with_it, without = (
        total(bill(one, chosen, figures), prices)[0]
        for one in (traffic, replace(traffic, events=0))
    )
    return with_it - without


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


# ---------------------------------------------------------------- the arguments


def count(text: str) -> int:
    """Read a number of events, such as 10k. Raises: OperatorError."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([kmb]?)", text.replace(",", "").lower())
    if found is None:
        raise OperatorError(f"{text} is not a number such as 1000, 10k or 2.5M", code=USAGE)
    return round(float(found[1]) * _MULTIPLES[found[2]])


def _assignments(given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, sign, _value in pairs if not sign]:
        raise OperatorError(f"--set {wrong[0]} is not NAME=VALUE", code=USAGE)
    return {name: value for name, _sign, value in pairs}


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
    now, _after = total(lines, prices)
    changes = {
        name: total(bill(traffic, changed, figures), prices)[0] - now
        for name, changed in variations(chosen).items()
    }
    totals = {what: total(one, prices) for what, one in bills.items()}
    return Estimate(traffic, charged(lines, prices), totals, changes)


def _document(price_list: PriceList, found: Estimate) -> dict[str, Any]:
    return {
        "region": price_list.region,
        "date": price_list.date.isoformat(),
        "traffic": asdict(found.traffic),
        "lines": [
            asdict(charge.line)
            | {
                "dollars": round(charge.dollars, 6),
                "dollars_after_free": round(charge.after_free, 6),
            }
            for charge in found.charges
        ],
        "totals": {
            what: {"dollars": round(dollars, 6), "dollars_after_free": round(after, 6)}
            for what, (dollars, after) in found.totals.items()
        },
        "changes": {what: round(dollars, 6) for what, dollars in found.changes.items()},
    }


def _show(gpw: Gpw, price_list: PriceList, found: Estimate) -> None:
    out, traffic = gpw.out, found.traffic
    out.say(
        f"{traffic.events:,} events per month, {_quantity(traffic.rate)} per second for "
        f"{traffic.active_hours:g} hours; dollars at list prices, {price_list.region}, "
        f"{price_list.date}."
    )
    out.say("")
    lines = [
        (charge.line.what, _quantity(charge.line.quantity), charge.dollars, charge.after_free)
        for charge in found.charges
    ]
    totals = [(what, "", dollars, after) for what, (dollars, after) in found.totals.items()]
    out.table(
        ["", "per month", "dollars", "per million events", "after free allowance"],
        [
            [what, quantity, money(dollars), found.per_million(dollars), money(after)]
            for what, quantity, dollars, after in [*lines, *totals]
        ],
    )
    out.say("")
    out.table(
        ["effect of a setting", "dollars per month", "per million events"],
        [
            [what, f"{dollars:+,.2f}", found.per_million(dollars, sign="+")]
            for what, dollars in found.changes.items()
        ],
    )
    out.say("")
    out.say(
        "* No template parameter does this. Three things are free: DynamoDB's deletion of expired "
        "events, Lambda's reads of the stream, and encryption with AWS's own keys. The estimate "
        "does not include a key of your own. Durations and sizes: "
        f"{IN_REPOSITORY}/{FIGURES.name}; prices and their sources: {IN_REPOSITORY}/{PRICES.name}."
    )


def money(dollars: float) -> str:
    return f"{dollars:,.2f}"


def _quantity(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def readme_table() -> str:
    """README's table of costs, in Markdown."""
    prices, figures, chosen = price_list_on_file().prices, figures_on_file(), settings_on_file()
    rows = [
        "| events a month | dollars a month | after AWS's free allowance | per million events "
        "| naive receiver: HTTP API | REST API |",
        "|---|---|---|---|---|---|",
    ]
    for shown, events in README_EVENTS.items():
        found = estimate(MonthlyTraffic(events), chosen, figures, prices)
        dollars, after = found.totals["this receiver"]
        naive = [money(found.totals[f"a naive receiver, {api}"][0]) for api in NAIVE_APIS]
        cells = [shown, money(dollars), money(after), found.per_million(dollars), *naive]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
