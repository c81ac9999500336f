"""Calculates at which rate of events each limit is reached.

The inputs are the template's settings, measured durations and AWS's quotas.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gpw.operations.pricing import (
    GB,
    MONTH_SECONDS,
    CostSettings,
    Figures,
    MonthlyTraffic,
    bill,
    consumer_batch,
    consumer_limit,
    consumer_ms,
    ingest_ms,
    publisher_batch,
    publisher_ms,
    table_units,
)

QUOTAS = Path(__file__).with_name("quotas.toml")
RATES = (10, 1_000, 10_000)
HEADROOM = 1.5  # consumers for 1.5 times the rate, so that a backlog drains at half the rate
HIGHEST = 1_000_000.0  # events a second; a limit not reached by then counts as never reached
REQUESTS_PER_ENVIRONMENT = 10  # a second; source: the page of quota lambda_scaling

type Quotas = Mapping[str, float]


@dataclass(frozen=True)
class CapacityLimit:
    """A resource that traffic uses.

    used: how much a rate of events uses. available: how much there is. remedy: what to raise.
    """

    name: str
    used: Callable[[float], float]
    available: float
    unit: str
    remedy: str

    @property
    def highest_rate(self) -> float:
        """Events a second at which the limit is reached."""
        low, high = 0.0, HIGHEST
        while high - low > 1e-3:
            middle = (low + high) / 2
            low, high = (middle, high) if self.used(middle) <= self.available else (low, middle)
        return low


@dataclass(frozen=True)
class HotKey:
    """Traffic that all goes to one partition key. rate: the events a second that the key allows."""

    traffic: str
    rate: float
    why: str


def quotas_on_file() -> Quotas:
    """The quotas of quotas.toml, by name."""
    content = tomllib.loads(QUOTAS.read_text(encoding="utf-8"))
    return {name: quota["value"] for name, quota in content.items()}


def limits(s: CostSettings, f: Figures, q: Quotas) -> list[CapacityLimit]:
    """All limits, in the order in which a growing rate reaches them."""

    def at_once(rate: float) -> float:
        return environments(rate, s, f, publishers=f["stream_shards"])

    def invocations(rate: float) -> float:
        return rate + rate / consumer_batch(rate, s, f) + rate / publisher_batch(rate, s, f)

    def state_units(rate: float) -> float:
        return table_units(rate, f)

    def same_rate(rate: float) -> float:
        return rate

    consumed = consumer_limit(s, f)
    raise_concurrency = "Lambda quota *Concurrent executions*"
    warm_up = "warm throughput of both tables, before the traffic starts"
    found = [
        CapacityLimit(
            "`RequestsPerSecond`",
            same_rate,
            s.requests_per_second,
            "requests a second",
            "`RequestsPerSecond`, `RequestBurst`",
        ),
        CapacityLimit(
            "API Gateway, account and region",
            same_rate,
            q["api_gateway_rate"],
            "requests a second",
            "API Gateway quota *Throttle rate*",
        ),
        CapacityLimit(
            "Lambda concurrency",
            at_once,
            q["lambda_concurrency"],
            "functions running at once",
            raise_concurrency,
        ),
        CapacityLimit(
            "Lambda concurrency, new account",
            at_once,
            q["lambda_concurrency_new"],
            "functions running at once",
            raise_concurrency,
        ),
        CapacityLimit(
            "Lambda requests, all functions",
            invocations,
            q["lambda_concurrency"] * REQUESTS_PER_ENVIRONMENT,
            "requests a second",
            raise_concurrency,
        ),
        CapacityLimit(
            "Lambda requests, new account",
            invocations,
            q["lambda_concurrency_new"] * REQUESTS_PER_ENVIRONMENT,
            "requests a second",
            raise_concurrency,
        ),
        CapacityLimit(
            "`ConsumerMaximumConcurrency`",
            same_rate,
            consumed,
            "events a second",
            "`ConsumerMaximumConcurrency`; until then events wait in the queue",
        ),
        CapacityLimit(
            "SQS, messages in flight",
            lambda rate: min(rate, consumed) * _consumer_ms(rate, s, f) / 1000,
            q["sqs_in_flight"],
            "messages",
            "not needed: consumers hold few messages at once",
        ),
        CapacityLimit(
            "DynamoDB, a new table",
            state_units,
            q["dynamodb_new_table"],
            "write units a second",
            warm_up,
        )
        if not s.write_units
        else CapacityLimit(
            "`WriteUnits`",
            state_units,
            s.write_units,
            "write units a second",
            "`WriteUnits`; until then events wait in the queue",
        ),
        CapacityLimit(
            "DynamoDB, table quota",
            state_units,
            q["dynamodb_table"],
            "write units a second",
            "DynamoDB quota *Table-level write throughput*",
        ),
        CapacityLimit(
            "Stream and publisher, a new table",
            same_rate,
            f["stream_shards"] * _per_shard(s, f) * q["stream_parallelization"],
            "events a second",
            "`ParallelizationFactor` of PublisherFunction (edit template.yaml), more memory, or "
            + warm_up
            + "; until then events are published late",
        ),
        CapacityLimit(
            "EventBridge PutEvents, us-east-1",
            same_rate,  # cautious: AWS counts requests, and a request has up to 10 events
            q["eventbridge_put"],
            "events a second",
            "EventBridge quota *PutEvents throttle limit*",
        ),
    ]
    return sorted(found, key=lambda limit: limit.highest_rate)


def environments(rate: float, s: CostSettings, f: Figures, *, publishers: float) -> float:
    """The average number of functions that run at once. publishers: the maximum of publishers."""
    consumers = rate / consumer_batch(rate, s, f) * _consumer_ms(rate, s, f) / 1000
    publishing = publisher_batch(rate, s, f)
    return (
        rate * ingest_ms(s, f) / 1000
        + min(consumers, s.consumer_concurrency)
        + min(rate / publishing * publisher_ms(publishing, s, f) / 1000, publishers)
    )


def concurrency_for(rate: float, s: CostSettings, f: Figures) -> int:
    """The ConsumerMaximumConcurrency for a rate with HEADROOM; at least the default."""
    one = consumer_limit(replace(s, consumer_concurrency=1), f)
    return max(s.consumer_concurrency, math.ceil(rate * HEADROOM / one))


def shards_for(rate: float, f: Figures, q: Quotas) -> int:
    """The number of stream shards of a table that takes the rate: one for each partition."""
    partitions = math.ceil(table_units(rate, f) / q["dynamodb_partition"])
    return max(int(f["stream_shards"]), partitions)


def parallelization_for(rate: float, s: CostSettings, f: Figures, q: Quotas) -> int:
    """The ParallelizationFactor at which the publisher keeps up with the rate."""
    return math.ceil(rate / (shards_for(rate, f, q) * _per_shard(s, f)))


def hot_keys(s: CostSettings, f: Figures, q: Quotas) -> list[HotKey]:
    """The highest rates when all traffic is for one tenant or one profile."""
    partition = q["dynamodb_partition"]
    one_at_a_time = 1000 / f["consumer_write_ms"]
    batch = s.consumer_batch
    full = (
        partition / (2 + (batch - 1)) * batch
    )  # 2 units for the transaction, 1 for each other event
    return [
        HotKey(
            "one tenant, many profiles",
            math.inf,
            "no additional limit: both tables spread the load by profile",
        ),
        HotKey(
            "one tenant, events without a profile",
            partition,
            "all share one key in EventsTable, one write unit each",
        ),
        HotKey(
            "one profile, one event per batch",
            min(one_at_a_time, partition / 2),
            f"transactions on one item run one after the other, {f['consumer_write_ms']:g} ms each",
        ),
        HotKey(
            f"one profile, batches of {batch}",
            min(full, one_at_a_time * batch),
            f"one transaction per batch; the history shares one key: {2 + batch - 1} write units "
            f"for {batch} events",
        ),
    ]


# ---------------------------------------------------------------- Markdown


def limits_table(s: CostSettings, f: Figures, q: Quotas) -> str:
    rows = [
        "| limit | default | reached at, events a second | what to raise |",
        "|---|---|---|---|",
    ]
    for limit in limits(s, f, q):
        rate = limit.highest_rate
        reached = f"{rate:,.0f}" if rate < HIGHEST - 1 else "never"
        rows.append(
            f"| {limit.name} | {limit.available:,.0f} {limit.unit} | {reached} | {limit.remedy} |"
        )
    return "\n".join(rows) + "\n"


def rates_table(s: CostSettings, f: Figures, q: Quotas) -> str:
    rows = [
        f"| at | {' | '.join(f'{rate:,} events a second' for rate in RATES)} |",
        f"|---|{'---|' * len(RATES)}",
    ]

    def row(what: str, cell: Callable[[int], str]) -> None:
        rows.append(f"| {what} | {' | '.join(cell(rate) for rate in RATES)} |")

    def met(rate: int) -> str:
        names = [limit.name for limit in limits(s, f, q) if limit.highest_rate < rate * 1.000001]
        return "; ".join(names) or "none"

    def units(rate: int) -> str:
        used = table_units(rate, f)
        return f"{used:,.0f}" + (", set warm throughput" if used > q["dynamodb_new_table"] else "")

    def functions(rate: int) -> str:
        raised = replace(s, consumer_concurrency=concurrency_for(rate, s, f))
        publishers = shards_for(rate, f, q) * parallelization_for(rate, s, f, q)
        return f"{math.ceil(environments(rate, raised, f, publishers=publishers)):,}"

    row("limits reached with the defaults, in order", met)
    row("`RequestsPerSecond`", lambda rate: f"{max(s.requests_per_second, math.ceil(rate * 2)):,}")
    row("`ConsumerMaximumConcurrency`", lambda rate: f"{concurrency_for(rate, s, f)}")
    row("functions running at once, on average", functions)
    row("write units a second, each table", units)
    row("`ParallelizationFactor`", lambda rate: f"{parallelization_for(rate, s, f, q)}")
    row("log, GB a day", lambda rate: f"{rate * 86_400 * _log_bytes(rate, s, f) / GB:,.1f}")
    return "\n".join(rows) + "\n"


def hot_keys_table(s: CostSettings, f: Figures, q: Quotas) -> str:
    rows = ["| all traffic is for | events a second | why |", "|---|---|---|"]
    for hot in hot_keys(s, f, q):
        rate = "no limit" if math.isinf(hot.rate) else f"{hot.rate:,.0f}"
        rows.append(f"| {hot.traffic} | {rate} | {hot.why} |")
    return "\n".join(rows) + "\n"


def quotas_table() -> str:
    rows = ["| quota | default | AWS's page |", "|---|---|---|"]
    for name, quota in tomllib.loads(QUOTAS.read_text(encoding="utf-8")).items():
        page = quota["source"].rpartition("/")[2]
        rows.append(
            f"| `{name}` | {quota['value']:,} {quota['unit']} | [{page}]({quota['source']}) |"
        )
    return "\n".join(rows) + "\n"


def _consumer_ms(rate: float, s: CostSettings, f: Figures) -> int:
    return consumer_ms(consumer_batch(rate, s, f), s, f)


def _per_shard(s: CostSettings, f: Figures) -> float:
    """Events a second that one publisher handles of one shard."""
    return s.publisher_batch / publisher_ms(s.publisher_batch, s, f) * 1000


def _log_bytes(rate: float, s: CostSettings, f: Figures) -> float:
    """Bytes of one event in the logs of all functions."""
    month = MonthlyTraffic(events=round(rate * MONTH_SECONDS))
    [gb] = [line.quantity for line in bill(month, s, f) if line.price == "log_gb"]
    return gb * GB / month.events
