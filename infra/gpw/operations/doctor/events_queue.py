"""Whether events are processed as fast as they arrive."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gpw.operations.checks import Check
from gpw.stack.permissions import on
from gpw.stack.queues import Depth, depth
from gpw.stack.target import Target
from gpw.stack.when import duration

OLD_SECONDS = 300  # an event that waits for longer is not just part of a burst

NEEDS = [
    *on("EventsQueueUrl", "sqs:GetQueueAttributes"),
    *on("*", "cloudwatch:GetMetricStatistics"),
]


def look(target: Target) -> Iterator[Check]:
    url = target.output("EventsQueueUrl")
    yield moves(depth(target.client("sqs"), url), oldest_age(target, url))


def oldest_age(target: Target, url: str) -> float | None:
    """How many seconds the oldest message of a queue has waited; None without a metric."""
    if target.local:
        return None
    now = datetime.now(UTC)
    answer = target.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None


def moves(found: Depth, age: float | None) -> Check:
    """Whether the queue moves. age: of its oldest message, in seconds; None if it is unknown."""
    old = age is not None and age > OLD_SECONDS and found.total > 0
    return Check(
        "events queue",
        not old,
        f"{found.waiting} waiting, {found.in_flight} being processed"
        + (f", the oldest for {duration(age)}" if age else ""),
        "is the consumer paused or failing? gpw resume; gpw tail --errors" if old else "",
    )
