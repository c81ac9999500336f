"""Computes the monthly cost from prices, settings and measured figures, without I/O.

Where AWS documents no exact number, the estimate uses the higher one, and a comment says so.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

MONTH_HOURS = 730
MONTH_SECONDS = MONTH_HOURS * 3600
MONTH_DAYS = MONTH_HOURS / 24
GB = 2**30
CHUNK = 64 * 1024  # bytes that SQS and EventBridge bill as one request
WRITE_UNIT, READ_UNIT = 1024, 4096  # bytes
WINDOW_SECONDS = 5  # of a batch window to compare with none
FULL_PROCESSOR_MB = 1769  # memory size at which a function gets one full processor
OWN_METRICS, HYDRATION_METRICS, SYNC_METRICS = 5, 3, 2  # written under normal traffic
FREE_UNITS = 25  # provisioned write units, and as many read units, that AWS gives each account
UTILIZATION = 0.85  # of provisioned units, on average; what exceeds them waits in the queue
PROVISIONED_TABLES = 2  # ProfilesTable and EventsTable
HYDRATION_CONCURRENCY = 2  # the hydrator's maximum concurrency, SQS's minimum

RATE_PROFILES = {  # hours per month in which all events arrive, evenly distributed
    "steady": MONTH_HOURS,
    "office": 176,  # 22 days of 8 hours
    "bursts": 7.3,  # 1 % of the time
}

type Figures = Mapping[str, float]


@dataclass(frozen=True)
class Price:
    """A price. per: the number of units that it is for. tiers: (up to units per month, price).

    free: units per month that AWS permanently gives each account.
    """

    per: float
    tiers: Sequence[tuple[float, float]]
    free: float = 0

    def dollars(self, units: float) -> float:
        """The list price of a month's units."""
        total, below = 0.0, 0.0
        for limit, price in self.tiers:
            total += max(0.0, min(units, limit) - below) / self.per * price
            below = limit
        return total


@dataclass(frozen=True)
class CostSettings:
    """The template's settings that affect the cost. memory_mb: by function, such as "ingest".

    sync_minutes: between two sweeps; 0 for none. sync_alarm_metrics: of the alarms about sweeps.
    write_units: provisioned for each of the two tables, with as many read units; 0 pays for each
    write.
    No parameter turns history, bus or backups off; they are settings here only to price them.
    """

    architecture: str
    requests_per_second: int
    memory_mb: Mapping[str, int]
    consumer_batch: int
    batch_window_seconds: int
    consumer_concurrency: int
    publisher_batch: int
    write_units: int
    retention_days: int
    archive_days: int
    log_retention_days: int
    log_events: bool
    platform_logs: bool
    secret_cache_seconds: int
    hydrate: bool
    sync_minutes: int
    alarm_metrics: int
    sync_alarm_metrics: int
    dashboards: int
    tracing: bool
    backups: bool
    history: bool = True
    bus: bool = True

    @property
    def calls_api(self) -> bool:
        """Whether the stack has a hydrator, with its queue and the secret for GetProfile's API."""
        return self.hydrate or self.sync_minutes > 0


@dataclass(frozen=True)
class MonthlyTraffic:
    """A month's accepted deliveries. stale, duplicates: shares of them.

    Each profile has events_per_profile events per month; one of them makes it ready.
    profile_bytes: the size of a full profile as it is stored, without the item's other attributes.
    """

    events: int
    active_hours: float = MONTH_HOURS
    stale: float = 0.0
    duplicates: float = 0.0
    event_bytes: int = 220
    events_per_profile: float = 3.0
    profile_bytes: int = 8192

    @property
    def active_seconds(self) -> float:
        return self.active_hours * 3600

    @property
    def rate(self) -> float:
        """Events per second in the active hours."""
        return self.events / self.active_seconds


@dataclass(frozen=True)
class Line:
    """A line of the bill. price: a name in the price table."""

    what: str
    price: str
    quantity: float


@dataclass(frozen=True)
class Charge:
    """A line with its list price, and its share of the price after the free allowance."""

    line: Line
    dollars: float
    after_free: float


# ---------------------------------------------------------------- durations and batch sizes


def billed_ms(cpu_ms: float, wait_ms: float, memory_mb: int) -> int:
    """The billed duration. cpu_ms: on a full processor; less memory gets a part of one."""
    return math.ceil(cpu_ms * max(1.0, FULL_PROCESSOR_MB / memory_mb) + wait_ms)


def ingest_ms(settings: CostSettings, f: Figures) -> int:
    return billed_ms(f["ingest_cpu_ms"], f["ingest_wait_ms"], settings.memory_mb["ingest"])


def consumer_ms(events: float, settings: CostSettings, f: Figures) -> int:
    """The duration of a batch of different profiles."""
    rounds = math.ceil(events / f["consumer_concurrent_writes"])
    cpu = f["consumer_batch_cpu_ms"] + events * f["consumer_event_cpu_ms"]
    return billed_ms(cpu, rounds * f["consumer_write_ms"], settings.memory_mb["consumer"])


def publisher_ms(events: float, settings: CostSettings, f: Figures) -> int:
    calls = math.ceil(events / 10)
    cpu = f["publisher_batch_cpu_ms"] + events * f["publisher_event_cpu_ms"]
    return billed_ms(cpu, calls * f["publisher_call_ms"], settings.memory_mb["publisher"])


def consumer_limit(settings: CostSettings, f: Figures) -> float:
    """The maximum number of events per second that the consumers can process."""
    batch = settings.consumer_batch
    return settings.consumer_concurrency * batch / consumer_ms(batch, settings, f) * 1000


def consumer_batch(rate: float, settings: CostSettings, f: Figures) -> int:
    """Events in a batch: what one of Lambda's pollers gathers in the batch window, and at least the
    smallest number that keeps up."""
    pollers = min(f["idle_pollers"], settings.consumer_concurrency)
    gathered = 1 + int(rate * settings.batch_window_seconds / pollers)
    for size in range(gathered, settings.consumer_batch):
        if settings.consumer_concurrency * size / consumer_ms(size, settings, f) * 1000 >= rate:
            return size
    return settings.consumer_batch


def table_units(rate: float, f: Figures) -> float:
    """Write units a second of each table. A transaction counts twice: prepare and commit."""
    return 2 * _units(max(f["state_item_bytes"], f["history_item_bytes"])) * rate


def write_units_for(rate: float, f: Figures) -> int:
    """The `WriteUnits` for an average rate; at least half of those that are free."""
    return max(FREE_UNITS // 2, math.ceil(table_units(rate, f) / UTILIZATION))


def publisher_batch(rate: float, settings: CostSettings, f: Figures) -> float:
    per_poll = rate / (f["stream_shards"] * f["stream_polls_per_second"])
    return min(max(1.0, per_poll), settings.publisher_batch)


def traces(invocations: float, active_seconds: float, f: Figures) -> float:
    """The number of recorded traces: the first request of each second and a share of the others.

    Each function is sampled separately, because a consumer's trace is only linked to its sender's.
    """
    seconds = active_seconds * _share_with_any(invocations / active_seconds)
    first = min(invocations, seconds * f["traces_per_second"])
    return first + (invocations - first) * f["traces_share"]


def _share_with_any(expected: float) -> float:
    """The share of intervals with at least one event. expected: the mean number per interval."""
    return -math.expm1(-expected)


# ---------------------------------------------------------------- the bill


def bill(t: MonthlyTraffic, s: CostSettings, f: Figures) -> list[Line]:
    """The billed usage of a month of traffic, in the order of an event's path."""
    larger = t.event_bytes - f["event_bytes"]
    state_bytes, history_bytes = (f[f"{item}_item_bytes"] + larger for item in ("state", "history"))
    published_bytes = f["published_bytes"] + larger
    distinct = t.events * (1 - t.duplicates)
    applied = t.events * (1 - t.duplicates - t.stale)
    profiles = applied / t.events_per_profile

    size = consumer_batch(t.rate, s, f)
    batches = t.events / size
    published = distinct if s.history and s.bus else 0.0
    stream_size = publisher_batch(t.rate, s, f)
    publishes = published / stream_size
    hydrated = profiles if s.hydrate and s.bus else 0.0
    pollers = min(f["idle_pollers"], s.consumer_concurrency)
    hydration_pollers = min(f["idle_pollers"], HYDRATION_CONCURRENCY) if s.calls_api else 0

    on_demand = not s.write_units  # then the state's table is billed for each read and write
    state_units, history_units = _units(state_bytes), _units(history_bytes)
    if s.history:
        # AWS does not document the cost of a canceled transaction. A refused write costs as much as
        # a successful one.
        transaction = _transaction(state_bytes, history_bytes)
        writes = t.events * transaction + t.events * t.stale * history_units
    else:
        writes = t.events * state_units
    full_bytes = t.profile_bytes + f["full_profile_attributes_bytes"]
    overhead = f["item_overhead_bytes"]
    stored = {
        "profiles": profiles * (state_bytes + overhead),
        "history": distinct * (history_bytes + overhead) * s.retention_days / MONTH_DAYS,
        "full profiles": hydrated * (full_bytes + overhead),
    }
    if not s.history:
        stored["history"] = 0.0

    log_bytes = {
        "API Gateway": t.events * f["access_log_bytes"],
        "ingest": t.events * _logged("ingest", 1, s, f),
        "consumer": batches * _logged("consumer", size, s, f),
        "publisher": publishes * _logged("publisher", stream_size, s, f),
        "hydrator": hydrated * _logged("publisher", 1, s, f),  # its lines are as long
    }
    logged = sum(log_bytes.values()) / GB
    invocations = [t.events, batches, publishes, hydrated]
    environments = max(1, math.ceil(t.rate * ingest_ms(s, f) / 1000))
    secret_reads = min(t.events, environments * t.active_seconds / s.secret_cache_seconds)
    hours_with_events = _share_with_any(t.rate * 3600) * t.active_hours / MONTH_HOURS
    sweeps = MONTH_HOURS * 60 / s.sync_minutes if s.sync_minutes else 0.0
    own_metrics = (OWN_METRICS + HYDRATION_METRICS * s.hydrate) * hours_with_events
    own_metrics += SYNC_METRICS if sweeps else 0  # at any time
    fetch_ms = billed_ms(f["hydrator_cpu_ms"], f["hydrator_wait_ms"], s.memory_mb["hydrator"])

    def gb_seconds(function: str, count: float, ms: float) -> Line:
        cold = count * f["cold_start_share"] * f["cold_start_ms"]
        total = (count * ms + cold) / 1000 * s.memory_mb[function] / 1024
        return Line(f"Lambda: {function}, GB-seconds", _gb_second(s), total)

    lines = [
        Line("API Gateway: requests", "http_api_request", t.events * _chunks(t.event_bytes, 8)),
        Line("data transfer out, GB", "data_out_gb", t.events * f["answer_bytes"] / GB),
        Line("Lambda: ingest, requests", "lambda_request", t.events),
        gb_seconds("ingest", t.events, ingest_ms(s, f)),
        Line("SQS: sent", "sqs_request", t.events * _chunks(t.event_bytes)),
        Line(
            "SQS: received and deleted",
            "sqs_request",
            batches * (_chunks(size * t.event_bytes) + 1),
        ),
        # An upper bound, because a poll ends early when events arrive.
        Line(
            "SQS: long polls of an empty queue",
            "sqs_request",
            (pollers + hydration_pollers) * MONTH_SECONDS / f["long_poll_seconds"],
        ),
        Line("Lambda: consumer, requests", "lambda_request", batches),
        gb_seconds("consumer", batches, consumer_ms(size, s, f)),
        *_capacity(writes, s),
        Line("DynamoDB: profiles, GB", "dynamodb_gb_month", stored["profiles"] / GB),
        Line("DynamoDB: history, GB", "dynamodb_gb_month", stored["history"] / GB),
        Line(
            "DynamoDB: backups, GB",
            "dynamodb_pitr_gb_month",
            sum(stored.values()) / GB if s.backups else 0,
        ),
        Line("Lambda: publisher, requests", "lambda_request", publishes),
        gb_seconds("publisher", publishes, publisher_ms(stream_size, s, f)),
        Line("EventBridge: events", "eventbridge_event", published * _chunks(published_bytes)),
        Line("CloudWatch: logs written, GB", "log_gb", logged),
        Line(
            "CloudWatch: logs kept, GB",
            "log_gb_month",  # an upper bound, because CloudWatch compresses them
            logged * s.log_retention_days / MONTH_DAYS,
        ),
        Line("CloudWatch: metrics", "metric_month", own_metrics),
        Line(
            "CloudWatch: alarms",
            "alarm_metric_month",
            s.alarm_metrics + s.sync_alarm_metrics * (sweeps > 0),
        ),
        Line("CloudWatch: dashboard", "dashboard_month", s.dashboards),
        Line(
            "X-Ray: traces",
            "trace",
            sum(traces(n, t.active_seconds, f) for n in invocations) if s.tracing else 0,
        ),
        Line("Secrets Manager: secrets", "secret_month", 1 + s.calls_api),
        # An upper bound: a read gets the previous value only in the grace period.
        Line("Secrets Manager: reads", "secret_read", 2 * (secret_reads + sweeps)),
        # Of a sweep that reads one page: the message, and about as much work as two fetches.
        Line("SQS: sweeps", "sqs_request", 3 * sweeps),
        Line("Lambda: sweeps, requests", "lambda_request", sweeps),
        gb_seconds("hydrator", sweeps, 2 * fetch_ms),
    ]
    if s.archive_days and s.bus:
        gb = published * published_bytes / GB
        lines += [
            Line("EventBridge: archived, GB", "eventbridge_archived_gb", gb),
            Line(
                "EventBridge: archive, GB",
                "eventbridge_archive_gb_month",
                gb * s.archive_days / MONTH_DAYS,
            ),
        ]
    if s.hydrate:
        lines += [
            Line("SQS: hydration", "sqs_request", 3 * hydrated),
            Line("Lambda: hydrator, requests", "lambda_request", hydrated),
            gb_seconds("hydrator", hydrated, fetch_ms),
            # Of the state and of the stored profile, whole. An upper bound, because the first fetch
            # finds no stored profile.
            Line(
                "DynamoDB: full profiles, read units",
                "dynamodb_read_unit",
                hydrated
                * (_units(state_bytes, READ_UNIT) * on_demand + _units(full_bytes, READ_UNIT)),
            ),
            # The transaction also checks that the profile has a state, which costs as much as
            # writing the state: measured on AWS by martinhicks.dev (its article on conditional
            # transactions), 2026; AWS's guide says that every item is written twice.
            Line(
                "DynamoDB: full profiles, write units",
                "dynamodb_write_unit",
                hydrated * _transaction(*[state_bytes] * on_demand, full_bytes),
            ),
            Line("DynamoDB: full profiles, GB", "dynamodb_gb_month", stored["full profiles"] / GB),
        ]
    return lines


def _capacity(writes: float, s: CostSettings) -> list[Line]:
    """The state's and the history's table. writes: their write units a month."""
    if not s.write_units:
        return [Line("DynamoDB: write units", "dynamodb_write_unit", writes)]
    hours = PROVISIONED_TABLES * s.write_units * MONTH_HOURS
    return [
        Line("DynamoDB: write units, hours", "dynamodb_write_unit_hour", hours),
        Line("DynamoDB: read units, hours", "dynamodb_read_unit_hour", hours),
    ]


def naive_bill(
    t: MonthlyTraffic, s: CostSettings, f: Figures, *, api: str = "http_api_request"
) -> list[Line]:
    """The bill of a receiver as in tutorials: one function that puts the event into a table.

    It has no queue, ordering, history, bus, backups, traces or alarms.
    """
    memory = s.memory_mb["ingest"]
    ms = billed_ms(f["naive_cpu_ms"], f["naive_wait_ms"], memory)
    cold = t.events * f["cold_start_share"] * f["cold_start_ms"]
    state_bytes = f["state_item_bytes"] + t.event_bytes - f["event_bytes"]
    stored = t.events / t.events_per_profile * (state_bytes + f["item_overhead_bytes"])
    logged = t.events * (f["naive_log_bytes"] + f["platform_log_bytes"]) / GB
    reads = min(t.events, t.active_seconds / s.secret_cache_seconds)
    return [
        Line("API Gateway: requests", api, t.events * _chunks(t.event_bytes, 8)),
        Line("data transfer out, GB", "data_out_gb", t.events * f["answer_bytes"] / GB),
        Line("Lambda: requests", "lambda_request", t.events),
        Line("Lambda: GB-seconds", _gb_second(s), (t.events * ms + cold) / 1000 * memory / 1024),
        Line("DynamoDB: write units", "dynamodb_write_unit", t.events * _units(state_bytes)),
        Line("DynamoDB: profiles, GB", "dynamodb_gb_month", stored / GB),
        Line("CloudWatch: logs written, GB", "log_gb", logged),
        Line(
            "CloudWatch: logs kept, GB", "log_gb_month", logged * s.log_retention_days / MONTH_DAYS
        ),
        Line("Secrets Manager: secrets", "secret_month", 1),
        Line("Secrets Manager: reads", "secret_read", reads),
    ]


def charged(lines: Iterable[Line], prices: Mapping[str, Price]) -> list[Charge]:
    """The cost of each line. Tiers and free allowance apply to all lines with the same price."""
    lines = list(lines)
    used: dict[str, float] = defaultdict(float)
    for line in lines:
        used[line.price] += line.quantity
    charges = []
    for line in lines:
        price, units = prices[line.price], used[line.price]
        share = line.quantity / units if units else 0.0
        billed = price.dollars(max(0.0, units - price.free))
        charges.append(Charge(line, price.dollars(units) * share, billed * share))
    return charges


def total(lines: Iterable[Line], prices: Mapping[str, Price]) -> tuple[float, float]:
    """Dollars per month: at list prices, and after the free allowance."""
    charges = charged(lines, prices)
    return sum(c.dollars for c in charges), sum(c.after_free for c in charges)


# ---------------------------------------------------------------- the effect of a setting


def with_both(s: CostSettings, rate: float, f: Figures) -> CostSettings:
    """The settings with a batch window and with write units for an average rate."""
    return replace(s, batch_window_seconds=WINDOW_SECONDS, write_units=write_units_for(rate, f))


def variations(s: CostSettings, rate: float, f: Figures) -> dict[str, CostSettings]:
    """Settings that change the cost at an average rate, each changed alone; those already in effect
    are left out."""
    both = with_both(s, rate, f)
    units = both.write_units
    changed = {
        f"ConsumerBatchWindowSeconds={WINDOW_SECONDS}": replace(
            s, batch_window_seconds=WINDOW_SECONDS
        ),
        f"WriteUnits={units}": replace(s, write_units=units),
        "both of these": both,
        "CreateDashboard=false": replace(s, dashboards=0),
        "EventRetentionDays=26": replace(s, retention_days=26),
        "EventRetentionDays=365": replace(s, retention_days=365),
        "LogLevel=WARNING": replace(s, log_events=False),
        "LogRetentionDays=7": replace(s, log_retention_days=7),
        "ArchiveDays=30": replace(s, archive_days=30),
        "HydrateProfiles=true": replace(s, hydrate=True),
        "SyncIntervalMinutes=0": replace(s, sync_minutes=0),
        "on x86_64 *": replace(s, architecture="x86_64"),
        "Tracing=Active": replace(s, tracing=True),
        "without backups *": replace(s, backups=False),
        "without the bus *": replace(s, bus=False),
        "without history and bus *": replace(s, history=False, bus=False),
    }
    return {name: settings for name, settings in changed.items() if settings != s}


def _chunks(size: float, of: int = 1) -> int:
    """The number of requests that a message is billed as. of: the size of one, in 64 KB."""
    return max(1, math.ceil(size / (of * CHUNK)))


def _units(size: float, unit: int = WRITE_UNIT) -> int:
    return max(1, math.ceil(size / unit))


def _transaction(*sizes: float) -> int:
    """The write units of a transaction of items with these sizes: prepared and committed."""
    return 2 * sum(map(_units, sizes))


def _gb_second(s: CostSettings) -> str:
    return f"lambda_gb_second_{s.architecture}"


def _logged(function: str, events: float, s: CostSettings, f: Figures) -> float:
    """The log bytes of one invocation."""
    line = f[f"{function}_line_bytes" if s.log_events else f"{function}_metrics_bytes"]
    platform = f["platform_log_bytes"] if s.platform_logs else 0.0
    return line * events + platform
