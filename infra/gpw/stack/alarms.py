"""The stack's alarms."""

from collections.abc import Iterator, Sequence

from gpw.stack.permissions import STACK, Need
from gpw.stack.target import Target

AT_ONCE = 100  # CloudWatch's maximum of names in one request
# The resources of the stack, and those of the nested stack that has the alarms.
ALARMS = (
    *(Need("cloudformation:ListStackResources", one) for one in (STACK, "Monitoring")),
    Need("cloudwatch:DescribeAlarms", "*"),
)


def alarm_names(target: Target, stack: str) -> Iterator[str]:
    """The names of the alarms of the stack and of its nested stacks."""
    for resource in target.listed(stack):
        match resource["ResourceType"]:
            case "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm":
                yield resource["PhysicalResourceId"]
            case "AWS::CloudFormation::Stack":
                yield from alarm_names(target, resource["PhysicalResourceId"])


def ringing(target: Target, names: Sequence[str]) -> dict[str, str]:
    """The alarms that are in the state ALARM now, with their descriptions."""
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
