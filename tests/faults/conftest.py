"""Fault tests: the real handlers with real clients, against a cloud that fails as it is told."""

from collections.abc import Callable, Iterator

import pytest
from botocore.session import Session

from tests.cold_start import restored_modules
from tests.factories import SECRET
from tests.faults.cloud import Cloud, Secret
from tests.faults.system import Consumer, Ingest, Tally, own_clients


@pytest.fixture(scope="session")
def session() -> Session:
    """It keeps the descriptions of the services, which take long to read."""
    session = Session()
    session.set_credentials("testing", "testing")
    return session


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def cloud(
    record_property: Callable[[str, object], None],
    tally: Tally,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Cloud]:
    """A cloud of this test alone, which the functions use; the webhook's secret is set."""
    with Cloud() as one, restored_modules(), own_clients(monkeypatch, session):
        one.secret = Secret(SECRET)
        for name in ("AWS_PROFILE", "_X_AMZN_TRACE_ID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in one.environment.items():
            monkeypatch.setenv(name, value)
        yield one
        record_property("faults injected", one.injected.total())
        record_property("deliveries", tally.deliveries)
        record_property("lost", tally.lost)
        assert one.surprises == []
        captured = capsys.readouterr()
        messages = [message for queue in one.queues.values() for message in queue]
        assert SECRET not in captured.out + captured.err + str(messages) + str(one.table)


@pytest.fixture
def ingest(start_ingest: Callable[[], Ingest]) -> Ingest:
    """IngestFunction, cold: it has read no secret yet."""
    return start_ingest()


@pytest.fixture
def start_ingest(
    cloud: Cloud, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Ingest]]:
    started: list[Ingest] = []

    def start() -> Ingest:
        started.append(Ingest(cloud, tally))
        monkeypatch.setattr("receiver.ingest.time_limit.wait", started[-1].waiting.wait)
        return started[-1]

    yield start
    assert not any(SECRET in one.output.getvalue() for one in started)


@pytest.fixture
def consumer(cloud: Cloud, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """ConsumerFunction, cold."""
    started = Consumer(cloud, tally)
    monkeypatch.setattr("receiver.lambda_support.deadline.wait", started.waiting.wait)
    return started


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK retries at once. The pauses that it may make are in `Budget.longest_seconds`."""
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.0
    )
