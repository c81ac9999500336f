"""The cost of the last 24 hours at AWS's list prices, estimated as `gpw cost` does."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpw.console.fill import Fill
from gpw.console.store import Store
from gpw.history.selection import Selection
from gpw.operations.cost import deployed_settings, dollars_a_month, price_list_on_file
from gpw.operations.pricing import MONTH_DAYS, MonthlyTraffic

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Day:
    """An estimate. events: of the last 24 hours; a_month: of a month of such days."""

    events: int
    a_month: int
    dollars: float
    dollars_a_month: float
    prices: str
    command: str


def unknown(fill: Fill, store: Store, live_problem: str, now: datetime) -> str:
    """Why the number of events is unknown; empty if it is known."""
    if fill.running:
        return "The history is still being read."
    if fill.problem or fill.first is None:
        return "The history could not be read."
    if fill.first > now - DAY:
        return f"The memory has only the events of the last {fill.since}. Read 24h or more."
    if store.dropped or store.unreadable:
        return "The memory does not have all events of the last 24 hours."
    if live_problem:
        return "New events are not arriving now, so some are missing."
    return ""


def estimate(store: Store, parameters: Mapping[str, str], now: datetime) -> Day:
    """The cost of the last day, as a share of a month of such days.

    parameters: the stack's. Raises: OperatorError.
    """
    events = store.count(Selection(since=now - DAY, by="received_at"))
    chosen, assignments = deployed_settings(frozenset(parameters.items()))
    traffic = MonthlyTraffic(round(events * MONTH_DAYS))
    price_list = price_list_on_file()
    dollars = dollars_a_month(traffic, chosen)
    words = ["cost", "--events", str(traffic.events)]
    return Day(
        events=events,
        a_month=traffic.events,
        dollars=dollars / MONTH_DAYS,
        dollars_a_month=dollars,
        prices=f"{price_list.region}, {price_list.date}",
        command="gpw " + shlex.join(words + [w for one in assignments for w in ("--set", one)]),
    )
