"""What each function's role may do, and what it may not, with IAM enforced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.stack import Stack


@dataclass(frozen=True)
class Principal:
    """A function's role, assumed."""

    stack: Stack
    credentials: dict[str, str]

    def client(self, service: str) -> Any:
        return self.stack.cloud.session.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.stack.cloud.endpoint,
            aws_access_key_id=self.credentials["AccessKeyId"],
            aws_secret_access_key=self.credentials["SecretAccessKey"],
            aws_session_token=self.credentials["SessionToken"],
        )


@pytest.fixture(scope="module")
def assume(stack: Stack) -> Callable[[str], Principal]:
    def assume(role: str) -> Principal:
        arn = stack.client("iam").get_role(RoleName=stack.resources[role])["Role"]["Arn"]
        session = stack.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")
        return Principal(stack, session["Credentials"])

    return assume


def purge(who: Principal) -> None:
    who.client("sqs").purge_queue(QueueUrl=who.stack.outputs["EventsQueueUrl"])


def receive(who: Principal) -> None:
    who.client("sqs").receive_message(QueueUrl=who.stack.outputs["EventsQueueUrl"])


def receive_dead(who: Principal) -> None:
    who.client("sqs").receive_message(QueueUrl=who.stack.outputs["DeadLetterQueueUrl"])


def receive_held(who: Principal) -> None:
    who.client("sqs").receive_message(QueueUrl=who.stack.outputs["HeldQueueUrl"])


def read_profile(who: Principal) -> None:
    key = {"tenant_id": {"S": "t"}, "profile_id": {"S": "p"}}
    who.client("dynamodb").get_item(TableName=who.stack.outputs["ProfilesTableName"], Key=key)


def scan_profiles(who: Principal) -> None:
    who.client("dynamodb").scan(TableName=who.stack.outputs["ProfilesTableName"])


def delete_profile(who: Principal) -> None:
    key = {"tenant_id": {"S": "t"}, "profile_id": {"S": "p"}}
    who.client("dynamodb").delete_item(TableName=who.stack.outputs["ProfilesTableName"], Key=key)


def read_full_profile(who: Principal) -> None:
    key = {"tenant_id": {"S": "t"}, "profile_id": {"S": "p"}}
    who.client("dynamodb").get_item(TableName=who.stack.outputs["FullProfilesTableName"], Key=key)


def delete_full_profile(who: Principal) -> None:
    key = {"tenant_id": {"S": "t"}, "profile_id": {"S": "p"}}
    table = who.stack.outputs["FullProfilesTableName"]
    who.client("dynamodb").delete_item(TableName=table, Key=key)


def read_secret(who: Principal) -> None:
    secret = who.stack.outputs["WebhookSecretArn"]
    who.client("secretsmanager").get_secret_value(SecretId=secret)


def set_secret(who: Principal) -> None:
    secret = who.stack.outputs["WebhookSecretArn"]
    who.client("secretsmanager").put_secret_value(SecretId=secret, SecretString="x" * 32)


def send_event(who: Principal) -> None:
    url = who.stack.outputs["EventsQueueUrl"]
    who.client("sqs").send_message(QueueUrl=url, MessageBody="{}")


def read_history(who: Principal) -> None:
    key = {"subject": {"S": "s"}, "version": {"S": "v"}}
    who.client("dynamodb").get_item(TableName=who.stack.outputs["EventsTableName"], Key=key)


def delete_history(who: Principal) -> None:
    key = {"subject": {"S": "s"}, "version": {"S": "v"}}
    who.client("dynamodb").delete_item(TableName=who.stack.outputs["EventsTableName"], Key=key)


def write_profile(who: Principal) -> None:
    key = {"tenant_id": {"S": "t"}, "profile_id": {"S": "p"}}
    who.client("dynamodb").update_item(TableName=who.stack.outputs["ProfilesTableName"], Key=key)


def publish(who: Principal) -> None:
    entry = {"EventBusName": who.stack.outputs["EventBusName"], "Source": "getprofile.webhooks"}
    entry |= {"DetailType": "profile.updated", "Detail": "{}"}
    who.client("events").put_events(Entries=[entry])


def change_rules(who: Principal) -> None:
    bus = who.stack.outputs["EventBusName"]
    who.client("events").list_rules(EventBusName=bus)


def list_queues(who: Principal) -> None:
    who.client("sqs").list_queues()


@pytest.mark.parametrize(
    ("role", "action"),
    [
        ("IngestRole", purge),
        ("IngestRole", receive),
        ("IngestRole", receive_dead),
        ("IngestRole", receive_held),
        ("IngestRole", read_profile),
        ("IngestRole", scan_profiles),
        ("IngestRole", delete_profile),
        ("IngestRole", set_secret),
        ("IngestRole", list_queues),
        ("ConsumerRole", purge),
        ("ConsumerRole", receive_dead),
        ("ConsumerRole", receive_held),
        ("ConsumerRole", read_profile),
        ("ConsumerRole", scan_profiles),
        ("ConsumerRole", delete_profile),
        ("ConsumerRole", read_secret),
        ("ConsumerRole", set_secret),
        ("ConsumerRole", send_event),
        ("ConsumerRole", list_queues),
        ("ConsumerRole", read_history),
        ("ConsumerRole", delete_history),
        ("ConsumerRole", publish),
        ("IngestRole", read_history),
        ("IngestRole", publish),
        ("PublisherRole", read_history),
        ("PublisherRole", delete_history),
        ("PublisherRole", read_profile),
        ("PublisherRole", write_profile),
        ("PublisherRole", read_secret),
        ("PublisherRole", send_event),
        ("PublisherRole", receive_dead),
        ("PublisherRole", change_rules),
        ("HydratorRole", read_secret),
        ("HydratorRole", read_history),
        ("HydratorRole", delete_profile),
        ("HydratorRole", write_profile),
        ("HydratorRole", delete_full_profile),
        ("ConsumerRole", read_full_profile),
        ("HydratorRole", receive),
        ("HydratorRole", receive_dead),
        ("HydratorRole", publish),
    ],
)
def test_a_function_is_refused_what_it_does_not_need(
    assume: Callable[[str], Principal], role: str, action: Callable[[Principal], None]
) -> None:
    with pytest.raises(ClientError) as refused:
        action(assume(role))

    assert refused.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def test_the_same_way_of_asking_succeeds_for_what_a_function_needs(
    assume: Callable[[str], Principal],
) -> None:
    """Otherwise the refusals above might have another cause."""
    answer = (
        assume("IngestRole")
        .client("secretsmanager")
        .get_secret_value(SecretId=assume("IngestRole").stack.outputs["WebhookSecretArn"])
    )

    assert answer["VersionStages"] == ["AWSCURRENT"]
