"""`gpw cost`: estimates the bill line by line, and compares it with a naive receiver."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.output import Output
from gpw.operations.cost import (
    FIGURES,
    IN_REPOSITORY,
    PRICES,
    Estimate,
    PriceList,
    estimate,
    figures_on_file,
    money,
    price_list_on_file,
    settings_on_file,
)
from gpw.operations.pricing import RATE_PROFILES, MonthlyTraffic
from gpw.stack.errors import USAGE, OperatorError

_MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


class RateProfile(StrEnum):
    STEADY = "steady"
    OFFICE = "office"
    BURSTS = "bursts"


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
            f"of {traffic.rate:,.0f} events per second; docs/performance.md says what to raise."
        )
    found = estimate(traffic, chosen, figures, price_list.prices)
    gpw.out.document(_document(price_list, found))
    _show(gpw.out, price_list, found)


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


# ---------------------------------------------------------------- output


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


def _show(out: Output, price_list: PriceList, found: Estimate) -> None:
    traffic = found.traffic
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


def _quantity(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
