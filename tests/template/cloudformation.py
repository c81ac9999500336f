"""CloudFormation's evaluation of a template, as far as this project's templates need it.

`combinations` are the parameters with which a template can be deployed so that its conditions come
out differently. `Deployment` is what CloudFormation makes of the template with one of them: every
condition decided and every intrinsic function evaluated. Physical names are made up in their real
form, so that AWS's schemas and IAM's ARN formats apply to them.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

type Json = dict[str, Any]

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
SUFFIXES = {"aws-cn": "amazonaws.com.cn"}

# A value other than the default, for parameters that a condition compares with the default, and a
# value for parameters without a default.
SAMPLES: dict[str, Any] = {
    "Account": ACCOUNT,
    "AlarmTopicArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:alarms",
    "AlarmEmail": "ops@example.com",
    "ArchiveDays": 30,
    "CertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/c",
    "ClusterArn": f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster:c",
    "ConsumerBatchWindowSeconds": 5,
    "DatabaseHost": "db.example.com",
    "DatabaseSecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db-AbCdEf",
    "DatabaseSecretKeyArn": KEY,
    "DomainName": "webhooks.example.com",
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
    "HydratorFunction": "hydrator",
    "KmsKeyArn": KEY,
    "SilenceHours": 6,
    "SlackChannel": "C0123456789",
    "SyncIntervalMinutes": 60,
    "SubnetIds": "subnet-0123456789abcdef0",
    "SecurityGroupIds": "sg-0123456789abcdef0",
    "WriteUnits": 12,
}


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def transformed(path: Path) -> Json:
    """A template as CloudFormation gets it: SAM's own translation, where it has SAM's transform."""
    template: Json = yaml_parse(path.read_text("utf-8"))
    if "Transform" not in template:
        return template
    for resource in template["Resources"].values():  # as `sam package` does
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    made: Json = transform(template, {}, _NoManagedPolicies())
    return made


def combinations(template: Json) -> Iterator[Json]:
    """Values for all parameters: for each resource and output, each combination that the conditions
    behind it tell apart and Rules allow; what it does not depend on has its default. And all
    parameters set.
    """
    declared = template.get("Parameters", {})
    compared = set(_compared([template.get("Conditions", {}), template.get("Rules", {})]))
    usual: Json = {}
    choices: dict[str, list[Any]] = {}
    for name, parameter in declared.items():
        default = parameter["Default"] if "Default" in parameter else SAMPLES.get(name, f"a-{name}")
        usual[name] = default
        if any(one == name for one, _ in compared):
            tried = [default, *(value for other, value in compared if other == name)]
            if len({str(value) for value in tried}) == 1:
                # Without allowed values, a new condition needs a value in SAMPLES.
                tried += parameter.get("AllowedValues") or [SAMPLES[name]]
            choices[name] = list({str(value): value for value in tried}.values())
    parts = [*template["Resources"].values(), *template.get("Outputs", {}).values()]
    groups = {frozenset(_behind(template, part) & set(choices)) for part in parts}
    found = [usual | {name: values[-1] for name, values in choices.items()}]
    for group in sorted(groups, key=sorted):
        names = sorted(group)
        products = itertools.product(*(choices[name] for name in names))
        found += [usual | dict(zip(names, values, strict=True)) for values in products]
    distinct = {str(sorted(one.items())): one for one in found}
    for combination in distinct.values():
        if Deployment(template, combination).allowed:
            yield combination


def _behind(template: Json, node: Any) -> set[str]:
    """The parameters on which a part of a template depends, and those that Rules tie to them."""
    names = set(re.findall(r"\w+", json.dumps(node)))
    conditions = template.get("Conditions", {})
    found = names & set(template.get("Parameters", {}))
    for name in names & set(template["Resources"]):  # whether what it refers to exists
        names |= {template["Resources"][name].get("Condition", "")}
    for name in names & set(conditions):
        found |= _behind(template | {"Rules": {}}, conditions[name])
    for rule in template.get("Rules", {}).values():
        tied = _behind(template | {"Rules": {}}, rule)
        if tied & found:
            found |= tied
    return found


def _compared(node: Any) -> Iterator[tuple[str, Any]]:
    """The parameters that conditions compare, each with the value."""
    match node:
        case {"Fn::Equals": [{"Ref": str(name)}, value]}:
            yield name, value
        case dict():
            for member in node.values():
                yield from _compared(member)
        case list():
            for member in node:
                yield from _compared(member)


class Deployment:
    """A template with values for its parameters.

    resources: the resolved resources, without those whose condition is false. outputs: the resolved
    outputs. Evaluating them raises KeyError with a sentence for a reference to nothing.
    """

    def __init__(self, template: Json, parameters: Json, partition: str = "aws") -> None:
        region = REGIONS[partition]
        self.region = region
        self._template = template
        self._arn = f"arn:{partition}:{{}}:{region}:{ACCOUNT}:{{}}"
        self._values: Json = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": None,
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::StackId": self._arn.format("cloudformation", "stack/my-stack/1-2-3-4"),
            "AWS::StackName": "my-stack",
            "AWS::URLSuffix": SUFFIXES.get(partition, "amazonaws.com"),
            **parameters,
        }

    @property
    def allowed(self) -> bool:
        """Whether the Rules of the template allow the parameters."""
        return all(
            self._holds(assertion["Assert"])
            for rule in self._template.get("Rules", {}).values()
            if self._holds(rule["RuleCondition"])
            for assertion in rule["Assertions"]
        )

    @cached_property
    def _existing(self) -> dict[str, Json]:
        return {
            name: resource
            for name, resource in self._template["Resources"].items()
            if self._holds({"Condition": resource["Condition"]} if "Condition" in resource else {})
        }

    @cached_property
    def resources(self) -> dict[str, Json]:
        found = {}
        for name, resource in self._existing.items():
            depends = resource.get("DependsOn", [])
            for other in [depends] if isinstance(depends, str) else depends:
                self._resource(other, f"{name}'s DependsOn")
            found[name] = {
                "Type": resource["Type"],
                "Properties": self.value(resource.get("Properties", {}), name),
            }
        return found

    @cached_property
    def outputs(self) -> Json:
        return {
            name: self.value(output["Value"], f"the output {name}")
            for name, output in self._template.get("Outputs", {}).items()
            if self._holds({"Condition": output["Condition"]} if "Condition" in output else {})
        }

    def ref(self, name: str) -> Any:
        return self.value({"Ref": name}, "a test")

    def value(self, node: Any, where: str) -> Any:  # noqa: PLR0911, PLR0912  one for each function
        """A part of the template, evaluated. where: names it in an error."""
        match node:
            case {"Ref": str(name)}:
                return (
                    self._values[name]
                    if name in self._values
                    else _physical(self._resource(name, where), name, self._arn)
                )
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self._attribute(name, attribute, where)
            case {"Fn::GetAtt": str(path)}:
                name, _, attribute = path.partition(".")
                return self._attribute(name, attribute, where)
            case {"Fn::If": [str(condition), then, otherwise]}:
                return self.value(then if self.condition(condition) else otherwise, where)
            case {"Fn::Sub": str(text)}:
                return self._filled(text, {}, where)
            case {"Fn::Sub": [str(text), dict(values)]}:
                return self._filled(text, self.value(values, where), where)
            case {"Fn::FindInMap": [str(name), first, second]}:
                keys = str(self.value(first, where)), str(self.value(second, where))
                return self._template["Mappings"][name][keys[0]][keys[1]]
            case {"Fn::Join": [str(separator), parts]}:
                return separator.join(map(str, self.value(parts, where)))
            case {"Fn::Split": [str(separator), text]}:
                return self.value(text, where).split(separator)
            case {"Fn::Select": [index, parts]}:
                return self.value(parts, where)[int(index)]
            case dict():
                unknown = [key for key in node if key.startswith("Fn::")]
                assert not unknown, f"{where}: {unknown} is not known to this evaluator"
                members = ((key, self.value(member, where)) for key, member in node.items())
                return {key: member for key, member in members if member is not None}
            case list():
                return [v for v in (self.value(one, where) for one in node) if v is not None]
            case _:
                return node

    def _filled(self, text: str, values: Mapping[str, Any], where: str) -> str:
        def filled(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            node = {"Fn::GetAtt": name} if "." in name else {"Ref": name}
            return str(self.value(node, where))

        return re.sub(r"\$\{([^}]+)\}", filled, text)

    def _attribute(self, name: str, attribute: str, where: str) -> Any:
        resource = self._resource(name, where)
        kind = resource["Type"]
        if attribute.startswith("Outputs."):
            return f"the-{attribute}"
        if attribute not in _attributes(kind, self.region):
            raise KeyError(f"{where} uses {attribute}, which {kind} does not have")
        return _attribute_value(kind, name, attribute, self._arn)

    def _resource(self, name: str, where: str) -> Json:
        if name not in self._existing:
            raise KeyError(f"{where} refers to {name}, which this stack does not have")
        return self._existing[name]

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        return self._holds(self._template["Conditions"][name])

    def _holds(self, node: Json) -> bool:
        match node:
            case {"Fn::Equals": [one, other]}:  # CloudFormation compares the texts
                return str(self.value(one, "a condition")) == str(self.value(other, "a condition"))
            case {"Fn::Not": [inner]}:
                return not self._holds(inner)
            case {"Fn::And": inner}:
                return all(map(self._holds, inner))
            case {"Fn::Or": inner}:
                return any(map(self._holds, inner))
            case {"Condition": str(name)}:
                return self.condition(name)
            case dict() if not node:
                return True
        raise ValueError(f"not known to this evaluator: {node}")


@cache
def _attributes(kind: str, region: str) -> frozenset[str]:
    return frozenset(PROVIDER_SCHEMA_MANAGER.get_type_getatts(kind, region))


# service and resource part of the ARN, by type
ARNS = {
    "AWS::DynamoDB::Table": ("dynamodb", "table/{}"),
    "AWS::Events::ApiDestination": ("events", "api-destination/{}/1-2-3"),
    "AWS::Events::Connection": ("events", "connection/{}/1-2-3"),
    "AWS::Events::EventBus": ("events", "event-bus/{}"),
    "AWS::Events::Rule": ("events", "rule/my-bus/{}"),
    "AWS::KMS::Key": ("kms", "key/11111111-2222-3333-4444-555555555555"),
    "AWS::Lambda::Function": ("lambda", "function:{}"),
    "AWS::Logs::DeliveryDestination": ("logs", "delivery-destination:{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::SNS::Topic": ("sns", "{}"),
    "AWS::SQS::Queue": ("sqs", "{}"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "secret:{}-AbCdEf"),
    "AWS::StepFunctions::StateMachine": ("states", "stateMachine:{}"),
}
REF_IS_THE_ARN = {
    "AWS::CertificateManager::Certificate": ("acm", "certificate/{}"),
    **{
        kind: ARNS[kind]
        for kind in (
            "AWS::SNS::Topic",
            "AWS::SecretsManager::Secret",
            "AWS::StepFunctions::StateMachine",
        )
    },
}


def _physical(resource: Json, name: str, arn: str) -> str:
    """What Ref gives."""
    kind = resource["Type"]
    if kind in REF_IS_THE_ARN:
        service, rest = REF_IS_THE_ARN[kind]
        return arn.format(service, rest.format(name))
    if kind == "AWS::SQS::Queue":
        return f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}"
    return name


def _attribute_value(kind: str, name: str, attribute: str, arn: str) -> str:
    if kind == "AWS::IAM::Role":
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"
    if attribute in {"Arn", "Id", "StreamArn"} and kind in ARNS:
        service, rest = ARNS[kind]
        stream = "/stream/2026-01-01T00:00:00.000" if attribute == "StreamArn" else ""
        return arn.format(service, rest.format(name)) + stream
    return name
