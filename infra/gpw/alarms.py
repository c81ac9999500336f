"""The stack's alarms."""

from collections.abc import Iterator, Sequence

from infra.gpw.permissions import STACK, Need
from infra.gpw.target import Target

AT_ONCE = 100  # names that CloudWatch takes in one request
# The stack's resources, and those of the stack within it that has the alarms.
ALARMS = (
    *(Need("cloudformation:ListStackResources", one) for one in (STACK, "Monitoring")),
    Need("cloudwatch:DescribeAlarms", "*"),
)


def alarm_names(target: Target, stack: str) -> Iterator[str]:
    """Those of the stack and of the stacks nested in it."""
    for resource in target.listed(stack):
        match resource["ResourceType"]:
            case "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm":
                yield resource["PhysicalResourceId"]
            case "AWS::CloudFormation::Stack":
                yield from alarm_names(target, resource["PhysicalResourceId"])


def ringing(target: Target, names: Sequence[str]) -> dict[str, str]:
    """Those of the alarms that are in ALARM now, with their descriptions."""
    cloudwatch = target.client("cloudwatch")
    found: dict[str, str] = {}
    for start in range(0, len(names), AT_ONCE):
        answer = cloudwatch.describe_alarms(
            AlarmNames=names[start : start + AT_ONCE],
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            StateValue="ALARM",
        )
        for alarm in (*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])):
            found[alarm["AlarmName"]] = " ".join(alarm.get("AlarmDescription", "").split())
    return found
