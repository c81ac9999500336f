"""The part of the SDK's data that the functions use, without documentation.

At every cold start botocore parses the endpoints of all AWS services (1.25 MB) and each service's
whole model. It looks into the directories of AWS_DATA_PATH first, so a copy with nothing but the
functions' services and operations takes the place of both. Where the directory is missing, as after
a plain `sam build`, botocore reads its own data, and a cold start takes longer.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

DIRECTORY = Path("receiver", "aws", "sdk_data")  # in the artifact; template.yaml: AWS_DATA_PATH

# Every operation that functions/ calls. tests/template/test_sdk_data.py compares it with the code.
OPERATIONS = {
    "dynamodb": ("BatchGetItem", "GetItem", "PutItem", "Query", "Scan", "TransactWriteItems"),
    "events": ("PutEvents",),
    "secretsmanager": ("GetSecretValue",),
    "sqs": ("ChangeMessageVisibilityBatch", "SendMessage", "SendMessageBatch"),
}

# Of a partition's endpoints: what decides about the address and the signature of a request.
_PARTITION = ("partition", "dnsSuffix", "regionRegex", "defaults")


def write(artifact: Path) -> None:
    """Write the data of the installed botocore into the directory of a function."""
    loader = Loader()
    target = artifact / DIRECTORY
    _write(target / "endpoints.json", endpoints(loader.load_data("endpoints")))
    for service, operations in OPERATIONS.items():
        version = loader.determine_latest_version(service, "service-2")
        model = loader.load_data(f"{service}/{version}/service-2")
        _write(target / service / version / "service-2.json", trimmed(model, operations))


def endpoints(data: Mapping[str, Any]) -> dict[str, Any]:
    """botocore's endpoints.json with nothing but the services of OPERATIONS."""
    return {
        "version": data["version"],
        "partitions": [
            {name: partition[name] for name in _PARTITION if name in partition}
            | {
                "regions": {region: {} for region in partition["regions"]},
                "services": {
                    service: described
                    for service, described in partition["services"].items()
                    if service in OPERATIONS
                },
            }
            for partition in data["partitions"]
        ],
    }


def trimmed(model: Mapping[str, Any], operations: tuple[str, ...]) -> dict[str, Any]:
    """A service's model with nothing but these operations, the shapes that they lead to, and every
    error, because AWS can answer with one that the operation does not list.
    """
    kept = {name: model["operations"][name] for name in operations}
    shapes: Mapping[str, Any] = model["shapes"]
    errors = [name for name, shape in shapes.items() if shape.get("exception")]
    reached = set()
    waiting = [*_references(kept), *errors]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _references(shapes[name])
    rest = {name: part for name, part in model.items() if name not in {"operations", "shapes"}}
    used = {name: shapes[name] for name in shapes if name in reached}
    small: dict[str, Any] = _undocumented(rest | {"operations": kept, "shapes": used})
    return small


def _references(part: Any) -> Iterator[str]:
    """The names of the shapes that a part of a model refers to."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _undocumented(part: Any) -> Any:
    """The same without documentation, which is a text; a member of that name is a mapping."""
    if isinstance(part, Mapping):
        return {
            name: _undocumented(value)
            for name, value in part.items()
            if not (name.startswith("documentation") and isinstance(value, str))
        }
    return [_undocumented(one) for one in part] if isinstance(part, list) else part


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
