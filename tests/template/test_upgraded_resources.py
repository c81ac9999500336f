"""What CloudFormation would replace when the current template is deployed over the release before.

The local cloud replaces everything in place, so these tests ask CloudFormation's own schemas which
properties can't be changed without a replacement.
"""

from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests import releases
from tests.template.conftest import as_deployed

type Json = dict[str, Any]


# Conditions of the release before, and those that now hold in their place, in more stacks.
WIDENED = {"Hydrate": "CallApi"}


@pytest.fixture(scope="module")
def before() -> Json:
    """What holds data in the release before, by its logical id."""
    resources = as_deployed(releases.template())["Resources"]
    return {n: one for n, one in resources.items() if one["Type"] in releases.HOLDING_DATA}


def fixed(resource: Json) -> Json:
    """The properties of a resource that can't change without replacing it, and what decides
    whether it is there. FullProfilesTable's condition is not among those that are wider now."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
    pointers = [
        *schema.get("createOnlyProperties", ()),
        *schema.get("conditionalCreateOnlyProperties", ()),
    ]
    names = {pointer.removeprefix("/properties/").split("/")[0] for pointer in pointers}
    # Not in a schema: any change makes CloudFormation generate a new value over the owner's.
    names.add("GenerateSecretString")
    condition = resource.get("Condition", "")
    return {
        "Type": resource["Type"],
        "Condition": WIDENED.get(condition, condition),
        "Properties": {n: v for n, v in resource.get("Properties", {}).items() if n in names},
    }


def test_nothing_that_holds_data_is_replaced_or_removed_by_an_upgrade(
    before: Json, transformed: Json
) -> None:
    now = transformed["Resources"]
    kept = {name: fixed(now[name]) for name in before if name in now}

    assert {"ProfilesTable", "EventsQueue", "WebhookSecret", "EventBus", "HttpApi"} < set(before)
    assert kept == {name: fixed(resource) for name, resource in before.items()}


def test_the_wider_condition_holds_wherever_the_one_that_it_replaces_did(template: Json) -> None:
    for narrower, wider in WIDENED.items():
        assert {"Condition": narrower} in template["Conditions"][wider]["Fn::Or"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("EventsTable", {"TableName": "events"}),
        ("EventsTable", {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}),
        ("WebhookSecret", {"GenerateSecretString": {"PasswordLength": 32}}),
        ("EventBus", {"Name": "events"}),
    ],
)
def test_a_change_that_replaces_a_resource_would_be_noticed(
    before: Json, name: str, change: Json
) -> None:
    resource = before[name]
    changed = resource | {"Properties": resource["Properties"] | change}

    assert fixed(changed) != fixed(resource)


def test_an_upgrade_finds_every_output_that_others_may_use(transformed: Json) -> None:
    assert set(releases.template()["Outputs"]) - set(transformed["Outputs"]) == set()


def test_a_parameter_keeps_its_meaning_or_is_named_among_those_that_went(template: Json) -> None:
    # `sam deploy` ignores what samconfig.toml says of a parameter that is no longer there.
    gone = set(releases.template()["Parameters"]) - set(template["Parameters"])

    assert gone == {"Architecture", "ReconcileSchedule"}
