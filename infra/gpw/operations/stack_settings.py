"""Reads the template's settings that affect the cost or limit the traffic."""

from collections.abc import Mapping
from typing import Any

from gpw.operations.pricing import CostSettings
from gpw.stack.errors import USAGE, OperatorError

type Json = Mapping[str, Any]


class Template:
    """template.yaml with values for its parameters: the given ones, or else the defaults.

    Raises: OperatorError, for a parameter or a value that the template does not accept.
    """

    def __init__(self, template: Json, given: Mapping[str, str] | None = None) -> None:
        self._template = template
        declared = template["Parameters"]
        self._values = {name: parameter["Default"] for name, parameter in declared.items()}
        for name, value in (given or {}).items():
            if name not in declared:
                raise OperatorError(f"template.yaml has no parameter {name}", code=USAGE)
            self._values[name] = _checked(name, value, declared[name])

    def parameter(self, name: str) -> Any:
        return self._values[name]

    def properties(self, resource: str) -> Json:
        return self._template["Resources"][resource]["Properties"]  # type: ignore[no-any-return]

    def function(self, resource: str) -> dict[str, Any]:
        """A function's properties, which override the global ones; mappings are merged."""
        shared, own = self._template["Globals"]["Function"], self.properties(resource)
        return {
            **shared,
            **{
                name: {**shared[name], **value}
                if isinstance(value, dict) and isinstance(shared.get(name), dict)
                else value
                for name, value in own.items()
            },
        }

    def value(self, given: Any) -> Any:
        """A property's value: itself, a parameter's, or the one that a condition chooses."""
        match given:
            case {"Ref": str(name)}:
                return self._values[name]
            case {"Fn::If": [str(condition), then, otherwise]}:
                return self.value(then if self._holds({"Condition": condition}) else otherwise)
            case _:
                return given

    def _holds(self, condition: Json) -> bool:
        """Whether a condition holds, by CloudFormation's five condition functions."""
        match condition:
            case {"Condition": str(name)}:
                return self._holds(self._template["Conditions"][name])
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
            case {"Fn::And": list(parts)}:
                return all(map(self._holds, parts))
            case {"Fn::Or": list(parts)}:
                return any(map(self._holds, parts))
        one, other = condition["Fn::Equals"]
        return str(self.value(one)) == str(self.value(other))

    def number(self, given: Any) -> int:
        return int(self.value(given))

    def of_type(self, kind: str) -> list[Json]:
        return [r for r in self._template["Resources"].values() if r["Type"] == kind]


def settings(template: Template, monitoring: Json) -> CostSettings:
    """The settings of a template. monitoring: infra/monitoring.yaml."""
    functions = {
        name: template.function(f"{name.capitalize()}Function")
        for name in ("ingest", "consumer", "publisher", "hydrator")
    }
    consumer = template.properties("ConsumerFunction")["Events"]["Events"]["Properties"]
    publisher = template.properties("PublisherFunction")["Events"]["History"]["Properties"]
    _, provisioned, _ = template.properties("EventsTable")["ProvisionedThroughput"]["Fn::If"]
    logging = functions["ingest"]["LoggingConfig"]
    silence = template.number(template.parameter("SilenceHours"))
    resources = monitoring["Resources"].values()
    alarms = [one for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    return CostSettings(
        architecture=functions["ingest"]["Architectures"][0],
        requests_per_second=template.number(template.parameter("RequestsPerSecond")),
        memory_mb={name: template.number(own["MemorySize"]) for name, own in functions.items()},
        consumer_batch=template.number(consumer["BatchSize"]),
        batch_window_seconds=template.number(consumer["MaximumBatchingWindowInSeconds"]),
        consumer_concurrency=template.number(consumer["ScalingConfig"]["MaximumConcurrency"]),
        publisher_batch=template.number(publisher["BatchSize"]),
        write_units=template.number(provisioned["WriteCapacityUnits"]),
        retention_days=template.number(template.parameter("EventRetentionDays")),
        archive_days=template.number(template.parameter("ArchiveDays")),
        log_retention_days=template.number(template.parameter("LogRetentionDays")),
        log_events=template.parameter("LogLevel") in {"DEBUG", "INFO"},
        platform_logs=logging.get("LogFormat", "Text") == "Text"
        or logging.get("SystemLogLevel", "INFO") != "WARN",
        secret_cache_seconds=template.number(template.parameter("SecretCacheSeconds")),
        hydrate=template.parameter("HydrateProfiles") == "true",
        sync_minutes=template.number(template.parameter("SyncIntervalMinutes")),
        alarm_metrics=sum(
            _metrics(alarm["Properties"])
            for alarm in alarms
            if alarm.get("Condition") != "Sync" and (silence or alarm.get("Condition") != "Silence")
        ),
        sync_alarm_metrics=sum(
            _metrics(alarm["Properties"]) for alarm in alarms if alarm.get("Condition") == "Sync"
        ),
        dashboards=sum(one["Type"] == "AWS::CloudWatch::Dashboard" for one in resources)
        * (template.parameter("CreateDashboard") == "true"),
        tracing=template.parameter("Tracing") == "Active",
        backups=all(
            table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
            for table in template.of_type("AWS::DynamoDB::Table")
        ),
    )


def _metrics(alarm: Json) -> int:
    """The number of metrics that an alarm watches."""
    return sum("MetricStat" in one for one in alarm["Metrics"]) if "Metrics" in alarm else 1


def _checked(name: str, value: str, declared: Json) -> Any:
    allowed = [str(one) for one in declared.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise OperatorError(f"{name} must be one of {', '.join(allowed)}", code=USAGE)
    if declared["Type"] != "Number":
        return value
    lowest, highest = declared.get("MinValue", 0), declared.get("MaxValue")
    if not value.isdecimal() or int(value) < lowest or (highest and int(value) > highest):
        most = f" to {highest}" if highest else ""
        raise OperatorError(f"{name} must be a number from {lowest}{most}", code=USAGE)
    return int(value)
