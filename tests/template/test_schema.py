"""The documents of what is on the bus follow from the code, and hold for what is published."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, FormatChecker

from infra.build.schema import ASYNCAPI, SCHEMA, example, files
from receiver.domain import exact_json
from receiver.domain.events import EVENT_TYPES
from receiver.domain.outcome import Outcome
from receiver.publisher.entry import entry, trimmed_entry
from receiver.publisher.stream import from_stream
from tests.factories import SAMPLES, make_event, make_item, make_stream_record, sample
from tests.strategies import events

TYPES = [path.stem for path in SAMPLES.glob("*.json") if path.stem in EVENT_TYPES]
VALIDATOR = Draft7Validator(json.loads(SCHEMA.read_text("utf-8")), format_checker=FormatChecker())


def delivered(made: dict[str, Any]) -> dict[str, Any]:
    """An entry of PutEvents as a rule's target gets it."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": made["DetailType"],
        "source": made["Source"],
        "account": "123456789012",
        "time": f"{made['Time']:%Y-%m-%dT%H:%M:%SZ}",
        "region": "us-east-1",
        "resources": [],
        "detail": json.loads(made["Detail"]),
    }


def item_of(event: dict[str, Any], outcome: Outcome = Outcome.APPLIED) -> dict[str, Any]:
    return from_stream(make_stream_record(make_item(event, outcome))).item


def refused(event: dict[str, Any]) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(event)]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Any) -> None:
    assert path.read_text("utf-8") == files()[path], "run `make docs`"


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("replayed", [False, True])
@pytest.mark.parametrize("make", [entry, trimmed_entry])
@pytest.mark.parametrize("name", TYPES)
def test_a_sample_of_every_type_is_valid_as_it_is_published(
    name: str, make: Any, replayed: bool
) -> None:
    assert refused(delivered(make(item_of(sample(name)), "bus", replayed=replayed))) == []


@given(st.data())
def test_whatever_is_published_is_valid(data: st.DataObject) -> None:
    make = data.draw(st.sampled_from([entry, trimmed_entry]))
    for event in data.draw(events()):
        outcome = data.draw(st.sampled_from(Outcome))
        found = make(item_of(event, outcome), "bus", replayed=data.draw(st.booleans()))

        assert refused(delivered(found)) == []


@pytest.mark.parametrize("extra", [{"outcome": 1}, {"replayed": "no"}, {"data_omitted": None}])
def test_a_field_of_the_sender_with_a_name_of_ours_makes_nothing_invalid(
    extra: dict[str, Any],
) -> None:
    event = make_event(event_type="invoice.paid") | {"data": None, "webhook_id": None} | extra

    assert refused(delivered(entry(item_of(event, Outcome.RECORDED), "bus"))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["source"], "another.source"),
        (["detail", "outcome"], "unknown"),
        (["detail", "version"], "1"),
        (["detail", "received_at"], "2023-10-01T12:00:00Z"),
        (["detail", "id"], ""),
        (["detail", "id"], "x" * 129),
        (["detail", "replayed"], False),
        (["detail", "data"], {"status": "ready"}),
        (["detail", "data"], {"profile_id": 12345}),
    ],
)
def test_what_is_never_published_is_invalid(path: list[str], value: Any) -> None:
    event = json.loads(exact_json.dumps(example()))
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value

    assert len(refused(event)) == 1


@pytest.mark.parametrize("name", ["outcome", "version", "received_at", "data", "webhook_id"])
def test_a_target_may_rely_on_what_every_event_has(name: str) -> None:
    event = json.loads(exact_json.dumps(example()))
    del event["detail"][name]

    assert len(refused(event)) == 1


def test_the_asyncapi_document_has_every_type_and_points_only_at_what_there_is() -> None:
    document = yaml.safe_load(ASYNCAPI.read_text("utf-8"))
    messages = document["components"]["messages"]

    assert set(messages) == {model.__name__ for model in EVENT_TYPES.values()} | {"OtherEvent"}
    for found in pointers(document):
        file, _, inside = found.partition("#")
        place = document if not file else json.loads((ASYNCAPI.parent / file).read_text("utf-8"))
        for part in filter(None, inside.split("/")):
            place = place[part]


def test_the_examples_of_the_asyncapi_document_are_valid() -> None:
    messages = yaml.safe_load(ASYNCAPI.read_text("utf-8"))["components"]["messages"]
    examples = [one["payload"] for m in messages.values() for one in m.get("examples", [])]

    assert len(examples) == 1
    assert [refused(one) for one in examples] == [[]]


def pointers(value: Any) -> list[str]:
    match value:
        case dict():
            own = [str(value["$ref"])] if "$ref" in value else []
            return own + [one for inner in value.values() for one in pointers(inner)]
        case list():
            return [one for inner in value for one in pointers(inner)]
        case _:
            return []
