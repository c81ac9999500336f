"""infra/examples/https.yaml, as far as the local cloud has API destinations.

Its CloudFormation has none, so what the template says of them is made through EventBridge's API,
with a loopback address for the endpoint.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gpw.stack.template import parse_template
from infra.local.stack import EXAMPLES, Stack
from infra.local.story import wait_until
from tests.factories import make_body, make_event

TOKEN = "example-token-of-the-endpoint"
RESOLVED = "{{resolve:secretsmanager:${SecretArn}:SecretString}}"
RESOURCES = parse_template((EXAMPLES / "https.yaml").read_text("utf-8"))["Resources"]


class Endpoint:
    """Keeps the requests that it gets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.headers["authorization"], json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_ready_profile_is_posted_with_the_token(
    stack: Stack, profile_id: str, settle: Callable[[], None], endpoint: Endpoint
) -> None:
    hostile = f'{profile_id} "}}] <!channel>'
    name = "https"
    events, bus = stack.client("events"), stack.outputs["EventBusName"]
    connection = RESOURCES["Connection"]["Properties"]
    key = connection["AuthParameters"]["ApiKeyAuthParameters"]
    connected = events.create_connection(
        Name=name,
        AuthorizationType=connection["AuthorizationType"],
        AuthParameters={
            "ApiKeyAuthParameters": {
                "ApiKeyName": key["ApiKeyName"],
                "ApiKeyValue": key["ApiKeyValue"]["Fn::Sub"].replace(RESOLVED, TOKEN),
            }
        },
    )
    destination = events.create_api_destination(
        Name=name,
        ConnectionArn=connected["ConnectionArn"],
        HttpMethod=RESOURCES["Destination"]["Properties"]["HttpMethod"],
        InvocationEndpoint=endpoint.url,
    )
    rule = RESOURCES["ReadyRule"]["Properties"]
    [target] = rule["Targets"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(rule["EventPattern"]))
    to = {
        "Id": target["Id"],
        "Arn": destination["ApiDestinationArn"],
        "RoleArn": "arn:aws:iam::000000000000:role/post",
        "RetryPolicy": target["RetryPolicy"],
    }
    events.put_targets(Rule=name, EventBusName=bus, Targets=[to])
    ready = make_event("evt-1", profile_id=hostile, text="x" * 100_000)
    late = make_event("evt-0", profile_id=hostile, created_at="2022-01-01T00:00:00Z")
    for event in (ready, late):
        assert stack.post(make_body(event)).status == 200
        settle()
    [[authorization, body]] = wait_until(
        lambda: endpoint.requests or None, seconds=30, what="the request"
    )
    events.remove_targets(Rule=name, EventBusName=bus, Ids=[target["Id"]])
    events.delete_rule(Name=name, EventBusName=bus)

    assert authorization == f"Bearer {TOKEN}"
    assert (body["detail"]["id"], body["detail"]["data"]) == ("evt-1", ready["data"])
