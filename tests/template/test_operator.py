"""What gpw takes for granted of the template: names of resources, outputs and parameters."""

import json
from typing import Any

import pytest

from gpw.cli.table import needs
from gpw.operations.pause import MAPPINGS
from gpw.operations.tail import LOG_GROUPS
from gpw.stack.permissions import KEY_NEEDS, LISTENER_QUEUES, LISTENER_RULES, STACK
from infra.build.gradual import TYPES, gradual
from tests.template.test_gradual import transformed

Json = dict[str, Any]


def mappings(stack: Json) -> dict[str, str]:
    """The event source mappings by the function that they, or an alias of it, invoke."""
    found = {}
    for name, resource in stack["Resources"].items():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            invoked = json.dumps(resource["Properties"]["FunctionName"])
            [function] = [one for one in MAPPINGS if one in invoked]
            found[function] = name
    return found


def test_gpw_knows_every_mapping_by_its_logical_id(stack: Json) -> None:
    assert mappings(stack) == MAPPINGS


@pytest.mark.parametrize("kind", TYPES)
def test_a_gradual_deployment_keeps_the_mappings_ids(template: Json, kind: str) -> None:
    assert mappings(transformed(gradual(template, kind, "0123456789abcdef"))) == MAPPINGS


def test_tail_follows_the_log_of_every_function(template: Json) -> None:
    functions = {
        resource["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }

    assert functions == set(LOG_GROUPS)


def test_every_action_that_a_command_needs_is_on_something_that_there_is(stack: Json) -> None:
    there_is = {*stack["Outputs"], *stack["Resources"], *stack["Parameters"], STACK, "*"}
    there_is |= {LISTENER_QUEUES, LISTENER_RULES}  # the listeners' own
    named = {need.on for every in needs().values() for need in every}

    assert named | {need.on for need in KEY_NEEDS} <= there_is


def test_the_customer_managed_key_is_the_parameter_that_doctor_reads(own_key_stack: Json) -> None:
    assert {"Ref": "KmsKeyArn"} in [
        resource["Properties"].get("KmsMasterKeyId")
        for resource in own_key_stack["Resources"].values()
        if resource["Type"] == "AWS::SQS::Queue"
    ]
