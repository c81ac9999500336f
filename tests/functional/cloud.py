"""AWS in memory (moto), with the queues, tables, secrets and bus that template.yaml describes."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import moto.sqs.models
from botocore.exceptions import ClientError
from moto.dynamodb.models.table import Table
from samtranslator.yaml_helper import yaml_parse

from receiver.aws.dynamodb import item_from_dynamodb, item_to_dynamodb

REGION = "eu-central-1"
STACK = "my-stack"
TEMPLATE: dict[str, Any] = yaml_parse(
    (Path(__file__).parents[2] / "template.yaml").read_text(encoding="utf-8")
)


def copy_of_table(table: Table, memo: dict[int, Any]) -> Table:
    """What a transaction that is cancelled puts back: the rows, and the stream as it was.

    moto's own copy also copies every record that the stream ever had, for every transaction: a
    third of all the time that these tests took.
    """
    copied = copy.copy(table)
    copied.items = copy.deepcopy(table.items, memo)
    if table.stream_shard:
        copied.stream_shard = copy.copy(table.stream_shard)
        copied.stream_shard.table = copied
        copied.stream_shard.items = table.stream_shard.items.copy()
    return copied


Table.__deepcopy__ = copy_of_table  # type: ignore[attr-defined]

# It splits the same few names again for each look at a queue: a seventh of the time of `gpw erase`.
moto.sqs.models.camelcase_to_underscores = cache(moto.sqs.models.camelcase_to_underscores)  # type: ignore[attr-defined]


@cache
def aws_client(service: str) -> Any:
    """A test's own client, one per process: it keeps nothing but the credentials, and moto answers.

    The functions' clients come from `Cloud.session`, which is another one in each test.
    """
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Message:
    """A message that is on a queue."""

    body: str
    attributes: dict[str, str]
    system_attributes: dict[str, str]
    message_id: str
    receipt: str


class Cloud:
    """The stack's resources, made from the template's own properties."""

    def __init__(self) -> None:
        # The session that the handlers' clients come from, so that they can be made to fail.
        self.session = botocore.session.Session()
        self._sqs = aws_client("sqs")
        self._dynamodb = aws_client("dynamodb")
        self._secrets = aws_client("secretsmanager")
        self._events = aws_client("events")
        self._ids: dict[str, str] = {}  # what !Ref gives
        self._arns: dict[str, str] = {}
        self.parameters: dict[str, str] = {}  # of the template, in the place of its defaults
        for kind, create in (
            ("AWS::SQS::Queue", self._create_queue),
            ("AWS::DynamoDB::Table", self._create_table),
            ("AWS::SecretsManager::Secret", self._create_secret),
            ("AWS::Events::EventBus", self._create_bus),
        ):
            of_kind = {n: r for n, r in TEMPLATE["Resources"].items() if r["Type"] == kind}
            # A queue comes after its dead-letter queue.
            for name in sorted(of_kind, key=lambda n: "RedrivePolicy" in of_kind[n]["Properties"]):
                create(name, of_kind[name]["Properties"])

    def environment(self, function: str) -> dict[str, str]:
        """A function's environment variables, as the stack sets them."""
        own = TEMPLATE["Resources"][function]["Properties"]["Environment"]["Variables"]
        variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] | own
        resolved = {name: self._resolve(value) for name, value in variables.items()}
        return {name: str(value) for name, value in resolved.items() if value is not None}

    # ---------------------------------------------------------------- what tests look at

    def messages(self, queue: str) -> list[Message]:
        """What is on a queue, in the order in which it came; it stays there."""
        received: list[Message] = []
        while batch := self._sqs.receive_message(
            QueueUrl=self._ids[queue],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            received += [
                Message(
                    message["Body"],
                    {n: a["StringValue"] for n, a in message.get("MessageAttributes", {}).items()},
                    {str(name): value for name, value in message["Attributes"].items()},
                    message["MessageId"],
                    message["ReceiptHandle"],
                )
                for message in batch
            ]
        return received

    def taken(self, queue: str) -> list[Message]:
        """What is on a queue, which is empty then."""
        received = self.messages(queue)
        for message in received:
            self._sqs.delete_message(QueueUrl=self._ids[queue], ReceiptHandle=message.receipt)
        return received

    def item(
        self, profile_id: str, tenant_id: str = "abc-tenant", *, table: str = "ProfilesTable"
    ) -> dict[str, Any] | None:
        """A profile's state, or its item in FullProfilesTable, or None."""
        key = {"tenant_id": {"S": tenant_id}, "profile_id": {"S": profile_id}}
        found = self._dynamodb.get_item(TableName=self._ids[table], Key=key).get("Item")
        return item_from_dynamodb(found) if found else None

    def history(self) -> list[dict[str, Any]]:
        """Every event that is recorded, in the order of its key."""
        found = self._dynamodb.scan(TableName=self._ids["EventsTable"])["Items"]
        items = [item_from_dynamodb(item) for item in found]
        return sorted(items, key=lambda item: (item["subject"], item["version"]))

    def stream(self) -> list[dict[str, Any]]:
        """The records of the history's stream, as Lambda hands them over."""
        streams = aws_client("dynamodbstreams")
        shards = streams.describe_stream(StreamArn=self._arns["EventsTable.StreamArn"])
        [shard] = shards["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=self._arns["EventsTable.StreamArn"],
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        records: Any = streams.get_records(ShardIterator=iterator)["Records"]
        for record in records:  # the SDK makes a datetime of it, and Lambda a number
            created = record["dynamodb"]["ApproximateCreationDateTime"]
            record["dynamodb"]["ApproximateCreationDateTime"] = created.timestamp()
        return [record for record in records if record["eventName"] == "INSERT"]

    def published(self) -> list[dict[str, Any]]:
        """What a rule for everything on the bus has got."""
        return [json.loads(message.body) for message in self.messages("Published")]

    def arn(self, resource: str) -> str:
        return self._arns[resource]

    def resolve(self, value: Any) -> Any:
        """A value of the template, with what its intrinsic functions give."""
        return self._resolve(value)

    # ---------------------------------------------------------------- what tests change

    def set_secret(self, value: str) -> None:
        self._secrets.put_secret_value(SecretId=self._ids["WebhookSecret"], SecretString=value)

    def set_api_key(self, value: str) -> None:
        self._secrets.put_secret_value(SecretId=self._ids["ProfileApiSecret"], SecretString=value)

    def delete_secret(self) -> None:
        self._secrets.delete_secret(
            SecretId=self._ids["WebhookSecret"], ForceDeleteWithoutRecovery=True
        )

    def delete_queue(self, queue: str) -> None:
        self._sqs.delete_queue(QueueUrl=self._ids[queue])

    def hide(self, queue: str) -> None:
        """Receive what is on a queue, as another command does, and keep it hidden."""
        self._sqs.receive_message(
            QueueUrl=self._ids[queue], MaxNumberOfMessages=10, VisibilityTimeout=300
        )

    def delete_bus(self) -> None:
        """As somebody removes it: its rules go first."""
        bus = self._ids["EventBus"]
        self._events.remove_targets(Rule="all", EventBusName=bus, Ids=["all"])
        self._events.delete_rule(Name="all", EventBusName=bus)
        self._events.delete_event_bus(Name=bus)

    def put_item(self, item: dict[str, Any], *, table: str = "ProfilesTable") -> None:
        self._dynamodb.put_item(TableName=self._ids[table], Item=item_to_dynamodb(item))

    def erase(self, profile_id: str, tenant_id: str = "abc-tenant") -> None:
        key: Any = {"tenant_id": {"S": tenant_id}, "profile_id": {"S": profile_id}}
        self._dynamodb.delete_item(TableName=self._ids["ProfilesTable"], Key=key)

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """The requests of an operation that handlers imported later will make, as they come."""
        made: list[dict[str, Any]] = []

        def note(**called: Any) -> None:
            made.append(dict(called["params"]))

        self.session.register(f"before-parameter-build.{operation}", note)
        return made

    def fail(
        self, operation: str, code: str, when: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> None:
        """Let an operation (`dynamodb.UpdateItem`) of handlers imported later fail with a code.

        when: for which requests.
        """

        def refuse(**called: Any) -> None:
            if when(called["params"]):
                response: Any = {
                    "Error": {"Code": code, "Message": "as told by the test"},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                }
                raise ClientError(response, operation)

        self.session.register(f"before-parameter-build.{operation}", refuse)

    # ---------------------------------------------------------------- from template to resources

    def _create_queue(self, name: str, properties: dict[str, Any]) -> None:
        found = {key: self._resolve(value) for key, value in properties.items()}
        attributes: Any = {key: as_text(value) for key, value in found.items() if value is not None}
        url = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self._ids[name], self._arns[name] = url, arn["Attributes"]["QueueArn"]

    def _create_table(self, name: str, properties: dict[str, Any]) -> None:
        kept = (
            *("BillingMode", "ProvisionedThroughput", "AttributeDefinitions", "KeySchema"),
            "StreamSpecification",
        )
        resolved = {key: self._resolve(properties[key]) for key in kept if key in properties}
        request: Any = {key: value for key, value in resolved.items() if value is not None}
        if "StreamSpecification" in request:
            request["StreamSpecification"] |= {"StreamEnabled": True}  # CloudFormation implies it
        table = self._dynamodb.create_table(TableName=name, **request)["TableDescription"]
        self._ids[name], self._arns[name] = name, table["TableArn"]
        if "LatestStreamArn" in table:
            self._arns[f"{name}.StreamArn"] = table["LatestStreamArn"]

    def _create_secret(self, name: str, properties: dict[str, Any]) -> None:
        generate = properties["GenerateSecretString"]
        value = self._secrets.get_random_password(**generate)["RandomPassword"]
        arn = self._secrets.create_secret(Name=name, SecretString=value)["ARN"]
        self._ids[name] = self._arns[name] = arn

    def _create_bus(self, name: str, properties: dict[str, Any]) -> None:
        bus = self._resolve(properties["Name"])
        self._ids[name], self._arns[name] = (
            bus,
            self._events.create_event_bus(Name=bus)["EventBusArn"],
        )
        self._create_queue("Published", {})
        pattern = json.dumps({"source": ["getprofile.webhooks"]})
        self._events.put_rule(Name="all", EventBusName=bus, EventPattern=pattern)
        target: Any = {"Id": "all", "Arn": self._arns["Published"]}
        self._events.put_targets(Rule="all", EventBusName=bus, Targets=[target])

    def _resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": name}:
                pseudo = {"AWS::NoValue": None, "AWS::StackName": STACK}
                defaults = {n: p["Default"] for n, p in TEMPLATE["Parameters"].items()}
                return (pseudo | defaults | self.parameters | self._ids)[name]
            case {"Fn::GetAtt": [name, "Arn" | "Id"]}:
                return self._arns[name]
            case {"Fn::If": [str(condition), value, otherwise]}:
                return self._resolve(value if self._holds(condition) else otherwise)
            case dict():
                return {key: self._resolve(member) for key, member in value.items()}
            case _:
                return value

    def _holds(self, condition: Any) -> bool:
        match condition:
            case str() | {"Condition": str()}:
                name = condition if isinstance(condition, str) else condition["Condition"]
                return self._holds(TEMPLATE["Conditions"][name])
            case {"Fn::Equals": [one, other]}:
                return str(self._resolve(one)) == str(self._resolve(other))
            case {"Fn::Not": [negated]}:
                return not self._holds(negated)
            case {"Fn::And": conditions}:
                return all(map(self._holds, conditions))
            case {"Fn::Or": conditions}:
                return any(map(self._holds, conditions))
        raise AssertionError(condition)


def as_text(value: Any) -> str:
    """An attribute as SQS takes it."""
    return value if isinstance(value, str) else json.dumps(value)
