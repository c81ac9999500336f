"""Writes what is on the bus as a JSON Schema, as an AsyncAPI document and as a Python module.

All three follow from the domain's models and the publisher.
Usage: python -m infra.build.schema    (a part of `make docs`)
"""

import json
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from gpw.listening.bus_event import from_history
from gpw.operations.sample import SAMPLE
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.consumer.delivery import parse_delivery
from receiver.consumer.items import history_put
from receiver.domain.event import Event
from receiver.domain.events import EVENT_TYPES
from receiver.domain.outcome import Outcome
from receiver.publisher.entry import SOURCE

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schema" / "event.schema.json"
ASYNCAPI = ROOT / "docs" / "schema" / "asyncapi.yaml"
MODULE = ROOT / "infra" / "examples" / "python-function" / "function" / "getprofile_events.py"

type Json = dict[str, Any]

# As the publisher writes it: UTC, microseconds, fixed width.
TIMESTAMP = {"type": "string", "format": "date-time", "pattern": r"^.{26}Z$"}
EXACT_TIMESTAMP = TIMESTAMP | {
    "pattern": r"^.{26}([0-9]{3})?Z$",
    "description": "UTC, with six digits of a second; nine, if GetProfile sent more than six.",
}
# What the receiver adds to an event; only the first three are always there.
RECEIPT: Json = {
    "outcome": {
        "enum": [one.value for one in Outcome],
        "description": "applied: the profile's state was this event's at some time.",
    },
    "version": {
        "type": "string",
        "pattern": r"^.{26}Z([0-9]{3})?#[0-3]#",
        "description": "Sorts the events of a profile, compared by bytes.",
    },
    "received_at": TIMESTAMP,
    "replayed": {"const": True, "description": "It was published again."},
    "synced": {"const": True, "description": "Sync made it: no webhook of it had arrived."},
    "data_omitted": {
        "const": True,
        "description": "The bus did not take the event whole: data has profile_id and status.",
    },
}
OPTIONAL = {"replayed", "synced", "data_omitted"}


def schema() -> Json:
    """The JSON Schema of an event as a rule's target gets it (draft 7, which all tools know)."""
    types = {name: _data(model) for name, model in EVENT_TYPES.items()}
    envelope = _without_titles(Event.model_json_schema()["properties"])
    detail = {**envelope, "created_at": EXACT_TIMESTAMP, **RECEIPT}
    for name in ("data", "webhook_id"):  # always there, null where the event did not have them
        detail[name] = {}
    members: Json = {
        "version": {"const": "0"},
        "id": {"type": "string", "description": "EventBridge's own; the event's is detail.id."},
        "detail-type": {"type": "string", "description": "The same as detail.event."},
        "source": {"const": SOURCE},
        "account": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "region": {"type": "string"},
        "resources": {"type": "array", "items": {"type": "string"}},
        "detail": {"$ref": "#/definitions/Detail"},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Event",
        "description": "An event on the receiver's bus. Fields that GetProfile adds are passed on.",
        "type": "object",
        "properties": members,
        "required": list(members),
        "definitions": {
            "Detail": {
                "description": "GetProfile's event, and what the receiver knows about it.",
                "type": "object",
                "properties": detail,
                "required": [name for name in detail if name not in OPTIONAL],
                "allOf": [
                    {
                        "if": {"properties": {"event": {"const": name}}},
                        "then": {"properties": {"data": {"$ref": f"#/definitions/{title}"}}},
                    }
                    for name, (title, _definition) in types.items()
                ],
            },
            **dict(types.values()),
        },
    }


def asyncapi() -> Json:
    """The AsyncAPI document of the bus."""
    messages: Json = {
        model.__name__: {
            "name": name,
            "title": name,
            "summary": str(model.__doc__).strip(),
            "payload": {
                "allOf": [
                    {"$ref": f"./{SCHEMA.name}"},
                    {"type": "object", "properties": {"detail-type": {"const": name}}},
                ]
            },
        }
        for name, model in EVENT_TYPES.items()
    }
    messages[EVENT_TYPES[SAMPLE["event"]].__name__]["examples"] = [{"payload": example()}]
    messages["OtherEvent"] = {
        "title": "Any other event type",
        "summary": "Published as it came, also where this version does not know its type.",
        "payload": {"$ref": f"./{SCHEMA.name}"},
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "GetProfile events",
            "version": project["version"],
            "description": "What the webhook receiver publishes on its EventBridge bus. At least "
            "once, in any order; detail.id with detail.tenant_id names an event.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "bus": {
                "address": "{EventBusName}",
                "description": "The EventBridge bus of the receiver's stack.",
                "parameters": {"EventBusName": {"description": "The stack's output of this name."}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "publish": {"action": "send", "channel": {"$ref": "#/channels/bus"}},
        },
        "components": {"messages": messages},
    }


def example() -> Json:
    """GetProfile's own example as it comes from the bus."""
    from receiver.aws.sqs import QueueMessage  # as ConsumerFunction gets it
    from receiver.aws.sqs_record import Record  # as ConsumerFunction gets it

    message = QueueMessage(json.dumps(SAMPLE), {"received_at": "2023-10-01T12:00:01.234567Z"})
    record = Record("", "", message, "2023-10-01T12:00:01.234567Z", 1)
    put = history_put(
        "", parse_delivery(record), Outcome.APPLIED, datetime(2023, 11, 1, tzinfo=UTC)
    )
    place = ("aws", "us-east-1", "123456789012")
    return from_history(item_from_dynamodb(put["Item"]), "", place).envelope


def _data(model: type[Event]) -> tuple[str, Json]:
    """The name and the definition of an event type's `data`."""
    whole = model.model_json_schema(ref_template="{model}")
    title = str(whole["properties"]["data"]["$ref"])
    definition: Json = whole["$defs"][title]
    definition.pop("title")
    return title, definition | {"properties": _without_titles(definition["properties"])}


def _without_titles(properties: Json) -> Json:
    return {
        name: {key: value for key, value in one.items() if key != "title"}
        for name, one in properties.items()
    }


# ---------------------------------------------------------------- the Python module


def module() -> str:
    """The source of a module with the same as types, which needs nothing but Python."""
    found = schema()
    definitions = found["definitions"]
    detail = definitions["Detail"]
    common = {n: one for n, one in detail["properties"].items() if n not in {"event", "data"}}
    parts = [
        '"""An event on the bus, as types. Written by `make docs` of the webhook receiver.\n\n'
        "A field that GetProfile adds is there as well, without a type.\n"
        '"""\n\n'
        "from typing import Any, Literal, NotRequired, TypedDict"
    ]
    names = []
    for branch in detail["allOf"]:
        event = branch["if"]["properties"]["event"]["const"]
        title = branch["then"]["properties"]["data"]["$ref"].rpartition("/")[2]
        definition = definitions[title]
        parts.append(
            _typed_dict(
                title,
                definition["description"],
                definition["properties"],
                set(definition["required"]),
            )
        )
        names.append((EVENT_TYPES[event].__name__, event, title))
    about = "What every event has in its detail, whatever its type."
    parts.append(_typed_dict("AnyDetail", about, common, set(detail["required"])))
    for name, event, title in names:
        fields = {"event": f'Literal["{event}"]', "data": title}
        parts.append(_class(f"{name}Detail(AnyDetail)", f"`{event}`.", fields))
    parts.append(
        _class(
            "OtherDetail(AnyDetail)",
            "An event of any other type.",
            {"event": "str", "data": "Any"},
        )
    )
    for name, _event, _title in names:
        parts.append(_envelope(found, f"{name}Event", f"{name}Detail"))
    union = " | ".join([*(f"{name}Detail" for name, _event, _title in names), "OtherDetail"])
    parts.append(_envelope(found, "Event", union))
    return "\n\n\n".join(parts[: -len(names) - 1]) + "\n\n\n" + "\n".join(parts[-len(names) - 1 :])


def _typed_dict(name: str, about: str, properties: Json, required: set[str]) -> str:
    fields = {
        field: _type(one) if field in required else f"NotRequired[{_type(one)}]"
        for field, one in properties.items()
    }
    return _class(f"{name}(TypedDict)", about, fields)


def _class(head: str, about: str, fields: dict[str, str]) -> str:
    lines = [f"class {head}:", f'    """{about}"""', ""]
    return "\n".join([*lines, *(f"    {name}: {kind}" for name, kind in fields.items())])


def _envelope(found: Json, name: str, detail: str) -> str:
    # `detail-type` is no name of Python, so these are not classes.
    fields = [
        f'        "{field}": {detail if field == "detail" else _type(one)},'
        for field, one in found["properties"].items()
    ]
    return "\n".join([f"{name} = TypedDict(", f'    "{name}",', "    {", *fields, "    },", ")\n"])


def _type(one: Json) -> str:
    match one:
        case {"enum": values}:
            return f"Literal[{', '.join(json.dumps(value) for value in values)}]"
        case {"const": str(value)}:
            return f"Literal[{json.dumps(value)}]"
        case {"const": value}:
            return f"Literal[{value}]"
        case {"type": "string"}:
            return "str"
        case {"type": "array", "items": items}:
            return f"list[{_type(items)}]"
        case _:
            return "Any"


def files() -> dict[Path, str]:
    """What each generated file should hold."""
    return {
        SCHEMA: json.dumps(schema(), indent=2) + "\n",
        ASYNCAPI: "# Written by `make docs`.\n"
        + yaml.safe_dump(asyncapi(), sort_keys=False, width=100),
        MODULE: module(),
    }


def main() -> int:
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
