"""A queue behind the bus, as a user's own workflow would have it."""

import json
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Stack


@dataclass(frozen=True)
class Subscriber:
    """A queue that keeps everything it is sent, until a test takes it."""

    sqs: Any
    url: str
    arn: str

    def take(self) -> list[dict[str, Any]]:
        """All messages so far, off the queue."""
        taken: list[dict[str, Any]] = []
        while found := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in found:
                taken.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return taken


def subscriber(stack: Stack, name: str) -> Subscriber:
    """A new queue that EventBridge and SNS may send to."""
    sqs = stack.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Subscriber(sqs, url, arn)


def everything(stack: Stack, name: str) -> Subscriber:
    """A queue with a rule for every event on the bus."""
    found = subscriber(stack, name)
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    pattern = json.dumps({"source": ["getprofile.webhooks"]})
    events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
    targets = [{"Id": "queue", "Arn": found.arn}]
    events.put_targets(Rule=name, EventBusName=bus, Targets=targets)
    return found
