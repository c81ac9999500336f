"""The stack as CloudFormation describes it, and the command gpw run on it."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from gpw.cli.app import app
from receiver.aws.dynamodb import item_to_dynamodb
from receiver.domain.outcome import Outcome
from tests.factories import make_item
from tests.functional.cloud import STACK, TEMPLATE, Cloud, aws_client

# Those that gpw asks for, and that resources of the cloud answer.
OUTPUTS = {
    "WebhookSecretArn",
    "EventsQueueUrl",
    "DeadLetterQueueUrl",
    "HeldQueueUrl",
    "ProfilesTableName",
    "FullProfilesTableName",
    "EventsTableName",
    "EventBusName",
    "HydrationQueueUrl",
    "ProfileApiSecretArn",
    "SyncTableName",
}


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class OperatedStack:
    """The cloud's resources with a stack around them, as an operator meets them."""

    def __init__(self, cloud: Cloud, *, hydrating: bool = True) -> None:
        self.cloud = cloud
        self.sqs = aws_client("sqs")
        outputs = {
            name: {"Value": cloud.resolve(output["Value"])}
            for name, output in TEMPLATE["Outputs"].items()
            if name in OUTPUTS
            and (hydrating or output.get("Condition") not in {"Hydrate", "CallApi"})
        }
        outputs["WebhookUrl"] = {"Value": "https://webhooks.test/webhooks/getprofile"}
        role = {
            "Type": "AWS::IAM::Role",
            "Properties": TEMPLATE["Resources"]["ConsumerRole"]["Properties"] | {"Policies": []},
        }
        resources: dict[str, Any] = {"Role": role}
        for name, resource in TEMPLATE["Resources"].items():
            if resource["Type"] == "AWS::Logs::LogGroup":
                resources[name] = {"Type": resource["Type"], "Properties": {}}
        # Of another queue than the template's: moto would run the function in Docker.
        resources["OtherQueue"] = {"Type": "AWS::SQS::Queue"}
        resources["ConsumerFunction"] = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": "handler = None"},
            },
        }
        resources["ConsumerFunctionEvents"] = {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "FunctionName": {"Ref": "ConsumerFunction"},
                "EventSourceArn": {"Fn::GetAtt": ["OtherQueue", "Arn"]},
                "ScalingConfig": {"MaximumConcurrency": 5},
            },
        }
        defaults = {
            "EventRetentionDays": 30,
            "PreviousSecretGraceHours": 24,
            "RequestsPerSecond": 500,
            "SyncIntervalMinutes": 60,
        }
        parameters = {name: {"Type": "Number", "Default": n} for name, n in defaults.items()}
        self.template = {"Parameters": parameters, "Resources": resources, "Outputs": outputs}
        aws_client("cloudformation").create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(self.template),
            Capabilities=["CAPABILITY_IAM"],
        )
        self.outputs = {name: str(output["Value"]) for name, output in outputs.items()}

    def run(self, *arguments: str, stdin: str | bytes = "", code: int | None = 0) -> Ran:
        """Run `gpw` on this stack; code: the exit code that it must end with."""
        found = CliRunner().invoke(app, [*arguments, "--stack", STACK], input=stdin)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        ran = Ran(found.exit_code, found.stdout, found.stderr)
        assert code is None or ran.code == code, ran
        return ran

    # ---------------------------------------------------------------- what tests prepare

    def dead_letter(self, body: str, **attributes: str) -> str:
        """Put a message on the dead-letter queue. Returns: its id."""
        return self.put("DeadLetterQueueUrl", body, **attributes)

    def put(self, queue: str, body: str, delay: int = 0, /, **attributes: str) -> str:
        """Put a message on the queue of an output. delay: seconds until it can be received."""
        answer = self.sqs.send_message(
            QueueUrl=self.outputs[queue],
            MessageBody=body,
            DelaySeconds=delay,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
        return str(answer["MessageId"])

    def happened(
        self, event: dict[str, Any], outcome: Outcome = Outcome.APPLIED, **changes: str
    ) -> dict[str, Any]:
        """Put an event into the history, as the consumer writes it.

        changes: other values of its text attributes. Returns: the item in DynamoDB's own form.
        """
        item = make_item(event, outcome) | {name: {"S": text} for name, text in changes.items()}
        self.put_raw("EventsTableName", item)
        return item

    def put_raw(self, table: str, item: dict[str, Any]) -> None:
        """Put an item, given in DynamoDB's own form, into the table of an output."""
        aws_client("dynamodb").put_item(TableName=self.outputs[table], Item=item)

    def rows(self, table: str) -> list[tuple[str, str]]:
        """The keys of all rows in a table of profiles."""
        found = aws_client("dynamodb").scan(TableName=self.outputs[table])["Items"]
        return [(row["tenant_id"]["S"], row["profile_id"]["S"]) for row in found]

    def put_history(self, item: dict[str, Any]) -> None:
        self.put_raw("EventsTableName", item_to_dynamodb(item))

    def history(self) -> list[dict[str, Any]]:
        return self.cloud.history()

    def log(self, group: str, message: str, timestamp: int) -> None:
        """Write a line into a log group, by its logical id."""
        logs = aws_client("logs")
        name = self.resource(group)
        if not logs.describe_log_streams(logGroupName=name)["logStreams"]:
            logs.create_log_stream(logGroupName=name, logStreamName="stream")
        logs.put_log_events(
            logGroupName=name,
            logStreamName="stream",
            logEvents=[{"timestamp": timestamp, "message": message}],
        )

    def resource(self, logical_id: str) -> str:
        found = aws_client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])
