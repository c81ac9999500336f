"""Make every call of the functions in every region, and print what the SDK sent and understood.

Usage: python sdk_calls.py < calls.json    (in an environment that has some botocore)

calls.json: [regions, {"service.operation": {"arguments": {...}, "answers": [[status, headers,
body], ...]}}]. The first region gets every answer, and the others the first answer.
Nothing leaves the process: each request is answered before it is sent.
"""

import io
import json
import re
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

uuid.uuid4 = lambda: uuid.UUID(int=0)  # idempotency tokens and invocation ids
CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 1})


class Body(io.BytesIO):
    """What urllib3 hands to botocore."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()


def sent(request: Any) -> Any:
    """A request without what depends on the time."""
    headers = {name: as_text(value) for name, value in request.headers.items()}
    headers.pop("X-Amz-Date")
    headers.pop("User-Agent")
    headers["Authorization"] = re.sub(r"/\d{8}/|Signature=.*", "", headers["Authorization"])
    return [request.method, request.url, as_text(request.body), headers]


def as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else value


def main() -> None:
    regions, calls = json.load(sys.stdin)
    session = botocore.session.Session()
    session.set_credentials("key", "secret", "token")
    seen = []
    for region in regions:
        client = session.create_client
        clients = {
            service: client(service, region_name=region, config=CONFIG)
            for service in {name.partition(".")[0] for name in calls}
        }
        for name, call in calls.items():
            service, _, operation = name.partition(".")
            answers = call["answers"] if region == regions[0] else call["answers"][:1]
            seen += [
                one_call(clients[service], operation, call["arguments"], one) for one in answers
            ]
    json.dump(seen, sys.stdout, default=str, sort_keys=True)


def one_call(client: Any, operation: str, arguments: Any, answer: Any) -> Any:
    status, headers, body = answer
    requests = []

    def respond(request: Any, **_: Any) -> AWSResponse:
        requests.append(sent(request))
        return AWSResponse(request.url, status, headers, Body(json.dumps(body).encode()))

    client.meta.events.register("before-send", respond, unique_id="respond")
    try:
        understood = getattr(client, operation)(**arguments)
    except client.exceptions.ClientError as error:
        understood = {"raised": type(error).__name__, **error.response}
    client.meta.events.unregister("before-send", unique_id="respond")
    return [requests, understood]


if __name__ == "__main__":
    main()
