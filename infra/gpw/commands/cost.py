"""`gpw cost`: estimates the bill line by line, and compares it with a naive receiver."""

from enum import StrEnum
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.operations.cost_report import FOOTNOTE, assignments, event_count, report
from gpw.operations.pricing import RATE_PROFILES, MonthlyTraffic
from gpw.stack.errors import USAGE, OperatorError


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
    traffic = MonthlyTraffic(
        events=event_count(events),
        active_hours=RATE_PROFILES[rate_profile],
        stale=stale,
        duplicates=duplicates,
        event_bytes=event_bytes,
        profile_bytes=profile_bytes,
    )
    found = report(traffic, assignments(parameters or []))
    for warning in found.warnings:
        gpw.out.note(warning)
    gpw.out.document(found.document())
    gpw.out.say(found.heading)
    gpw.out.say("")
    gpw.out.table(
        ["", "per month", "dollars", "per million events", "after free allowance"], found.bill()
    )
    gpw.out.say("")
    gpw.out.table(
        ["effect of a setting", "dollars per month", "per million events", "after free allowance"],
        found.changes(),
    )
    gpw.out.say("")
    gpw.out.say(FOOTNOTE)
