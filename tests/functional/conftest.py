"""Functional tests: a whole handler, against resources made from template.yaml in memory."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from moto import mock_aws
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from infra.local.fake_profile_api import FakeProfileApi
from tests.cold_start import cold_start, restored_modules
from tests.factories import SECRET
from tests.functional.cloud import REGION, STACK, Cloud

if TYPE_CHECKING:
    from tests.functional.gpw_endpoint import Endpoint
    from tests.functional.gpw_stack import OperatedStack

API_KEY = "example-api-key-0123456789"


class Handler(Protocol):
    """A function as Lambda calls it. collaborators: those that replace its own."""

    def __call__(
        self, event: dict[str, Any], context: Any, /, **collaborators: Any
    ) -> dict[str, Any]: ...


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """What moto does not answer fails, and reaches no one."""
    disable_socket()
    yield
    enable_socket()


class Waits:
    """The time that gpw has waited for ingest's workers, which passes at once.

    during: called with the seconds of each wait, for what happens meanwhile.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.during: Callable[[float], None] = lambda _seconds: None

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.during(seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """The waits of `gpw secret` and `gpw held release` take no time."""
    waits = Waits()
    monkeypatch.setattr("gpw.operations.secret_status.sleep", waits.sleep)
    monkeypatch.setattr("gpw.operations.secret.now_utc", waits.now)
    monkeypatch.setattr("gpw.operations.settling.sleep", waits.sleep)
    return waits


@pytest.fixture
def profile_api(no_network: None) -> Iterator[FakeProfileApi]:
    """GetProfile's API on this machine, which alone can be reached."""
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    with FakeProfileApi(key=API_KEY) as api:
        yield api


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The stack, just deployed; its secret is still the random one."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "_X_AMZN_TRACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        cloud = Cloud()
        monkeypatch.setattr("receiver.aws.clients._session", lambda: cloud.session)
        yield cloud


@pytest.fixture
def load(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Handler]]:
    """Imports a function anew with the stack's environment variables, as a cold start does."""

    def start(function: str) -> Handler:
        for name, value in cloud.environment(function).items():
            monkeypatch.setenv(name, value)
        module = cold_start(function.removesuffix("Function").lower())
        # A transaction that moto cancels undoes what other threads wrote meanwhile.
        if function == "ConsumerFunction":
            monkeypatch.setattr(sys.modules["receiver.consumer.consume"], "CONCURRENT_WRITES", 1)
        handler: Handler = module.lambda_handler
        to_stdout = sys.modules["receiver.lambda_support.log"].logger.registered_handler

        def invoke(event: dict[str, Any], context: Any, /, **collaborators: Any) -> dict[str, Any]:
            # pytest replaces standard output between the set-up and the call of a test.
            to_stdout.setStream(sys.stdout)
            return handler(event, context, **collaborators)

        return invoke

    with restored_modules():
        yield start


def with_holding_clock(ingest: Handler, clock: Callable[[], float]) -> Handler:
    """IngestFunction as it was loaded last, with another clock for what it holds in a minute."""
    from receiver.ingest.hold import Holding  # the class of that start

    settings = sys.modules["receiver.ingest.handler"].IngestSettings.from_environment()
    holding = Holding(settings.held_queue_url, settings.held_deliveries_per_minute, clock=clock)
    return partial(ingest, holding=holding)


def with_clock(ingest: Handler, clock: Callable[[], float]) -> Handler:
    """IngestFunction as it was loaded last, with another clock for what it knows of the secret."""
    module: Any = sys.modules["receiver.ingest.handler"]
    receiver = module.make_receiver(module.IngestSettings.from_environment(), clock=clock)
    return partial(ingest, responder=module.Responder(receiver))


@pytest.fixture
def ingest(cloud: Cloud, load: Callable[[str], Handler]) -> Handler:
    """IngestFunction, with the webhook's secret set."""
    cloud.set_secret(SECRET)
    return load("IngestFunction")


@pytest.fixture
def consumer(load: Callable[[str], Handler]) -> Handler:
    return load("ConsumerFunction")


@pytest.fixture
def publisher(load: Callable[[str], Handler]) -> Handler:
    return load("PublisherFunction")


class Output:
    """What a function wrote to its log."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._out = ""
        self._err = ""

    @property
    def text(self) -> str:
        captured = self._capsys.readouterr()
        self._out += captured.out
        self._err += captured.err
        return self._out + self._err

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log's lines, each of them JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def logs(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "message" in line]

    def metrics(self, *, reason: str | None = None) -> dict[str, list[float]]:
        """The values of every metric by name; only those of a reason, when one is given."""
        values: dict[str, list[float]] = {}
        for line in self.lines:
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
                assert directive["Namespace"] == "GetProfileWebhooks"
                assert line["service"] == STACK
                assert ["service"] in directive["Dimensions"]
                if reason is None or (
                    ["service", "reason"] in directive["Dimensions"] and line["reason"] == reason
                ):
                    for metric in directive["Metrics"]:
                        values.setdefault(metric["Name"], []).append(line[metric["Name"]])
        return values


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    return Output(capsys)


@pytest.fixture
def endpoint(
    stack: "OperatedStack", ingest: Handler, consumer: Handler, monkeypatch: pytest.MonkeyPatch
) -> "Endpoint":
    """What gpw posts to: the functions of the file's own `stack`, one after the other."""
    from tests.functional.gpw_endpoint import Endpoint

    made = Endpoint(stack, ingest, consumer)
    webhook = "gpw.stack.webhook.Webhook"
    monkeypatch.setattr(f"{webhook}.post", lambda _self, *args, **how: made.post(*args, **how))
    monkeypatch.setattr(f"{webhook}.probe", lambda _self: None)
    return made
