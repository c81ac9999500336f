"""`gpw verify` on the deployed template: sound, and broken on purpose."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpw.operations.verify_cases import is_tenant, run_plan, tenant_name
from gpw.stack.listener_names import prefix
from infra.local.stack import Stack
from tests.e2e.operator import Process, started

PLAN = run_plan(tenant_name("0" * 16), datetime.now(UTC))

type Gpw = Callable[..., Process]

# How long things take is this machine's affair.
BY_SPEED = {"in time"}


@pytest.fixture
def gpw(stack: Stack, tmp_path: Path) -> Iterator[Gpw]:
    """Runs a command with --json on the local cloud."""
    with started(stack, tmp_path) as run:
        yield lambda *arguments: run(*arguments, seconds=600)


def checks(done: Process) -> dict[str, list[bool | None]]:
    found: dict[str, list[bool | None]] = {}
    for check in json.loads(done.stdout)["checks"]:
        found.setdefault(check["what"], []).append(check["well"])
    return found


def tenant_of(done: Process) -> str:
    [tenant] = {word for word in done.stderr.split() if is_tenant(word)}
    return tenant


def left(stack: Stack, tenant: str) -> dict[str, int]:
    """What the stack holds of a tenant: rows, events, messages; and what subscriptions made."""
    dynamodb, sqs = stack.client("dynamodb"), stack.client("sqs")
    found = {
        table: len(
            dynamodb.scan(
                TableName=stack.outputs[table],
                FilterExpression="tenant_id = :tenant",
                ExpressionAttributeValues={":tenant": {"S": tenant}},
                ConsistentRead=True,
            )["Items"]
        )
        for table in ("ProfilesTableName", "EventsTableName", "FullProfilesTableName")
    }
    for queue in ("DeadLetterQueueUrl", "HeldQueueUrl"):
        bodies: list[Any] = []
        while messages := sqs.receive_message(
            QueueUrl=stack.outputs[queue], MaxNumberOfMessages=10, VisibilityTimeout=5
        ).get("Messages"):
            bodies += [message["Body"] for message in messages]
        found[queue] = sum(tenant in body for body in bodies)
    bus = stack.outputs["EventBusName"]
    rules = stack.client("events").list_rules(EventBusName=bus, NamePrefix=prefix(bus))["Rules"]
    return {name: count for name, count in (found | {"rules": len(rules)}).items() if count}


def test_on_a_sound_stack_all_is_well_or_honestly_unknown_and_nothing_is_left(
    stack: Stack, gpw: Gpw, tmp_path: Path
) -> None:
    report = tmp_path / "verify.md"

    done = gpw("verify", "--report", str(report))

    found = checks(done)
    unknown = {what for what, well in found.items() if well[0] is None}
    assert {what for what, well in found.items() if False in well} <= BY_SPEED, done.stdout
    # The local cloud makes no metrics, and profiles of other tests are not at GetProfile.
    assert unknown - {"in step"} == {"cold start", "metrics"}
    promised = {*(one.name for one in PLAN.exchanges), *(one.name for one in PLAN.cases)}
    others = {"in step", "challenge", "applied", "bus", "dead letters", "held", "alarms"}
    assert found.keys() >= promised | others
    assert json.loads(done.stdout)["left"] == []
    assert left(stack, tenant_of(done)) == {}
    assert stack.secret not in report.read_text(encoding="utf-8")
