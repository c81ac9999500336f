"""infra/examples/postgres against a real PostgreSQL: its rows are those of ProfilesTable."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_socket import enable_socket, socket_allow_hosts

import over_sql
from gpw.listening.bus_event import from_history
from over_data_api import DataApiProfiles
from over_sql import SqlProfiles
from profiles import UPSERT, Profiles
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.aws.sqs_record import Record
from receiver.consumer.consume import Consumer
from receiver.domain import exact_json
from receiver.domain.errors import EventError, NotStorableError
from sync import apply
from tests import postgres
from tests.factories import make_event, make_item, make_record, to_json
from tests.postgres import Server
from tests.strategies import batches, events, ids, json_values
from tests.tables import Tables
from tests.unit.fakes import ENDLESS, FakeDynamoDB, InMemoryDeadLetters, client_error

EXAMPLE = Path(__file__).resolve().parents[2] / "infra" / "examples" / "postgres"

# Of the state's item, by column of the table.
COLUMNS = {
    "tenant_id": "tenant_id",
    "profile_id": "profile_id",
    "version": "version",
    "status": "status",
    "event_id": "event_id",
    "event_at": "event_at",
    "received_at": "received_at",
    "webhook_id": "webhook_id",
    "data": "data",
}
PLACE = ("aws", "us-east-1", "123456789012")


class Secrets:
    """Secrets Manager with the login of the server."""

    def __init__(self, password: str = postgres.PASSWORD) -> None:
        self.password = password
        self.reads = 0

    def get_secret_value(self, **_request: str) -> dict[str, str]:
        self.reads += 1
        login = {"username": postgres.USER, "password": self.password, "engine": "postgres"}
        return {"SecretString": json.dumps(login)}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    enable_socket()
    with (
        postgres.postgres(EXAMPLE / "schema.sql") as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(over_sql, "AUTHORITIES", running.authorities)
        yield running


@pytest.fixture(autouse=True)
def loopback(no_network: None, server: Server) -> None:
    """The server alone can be reached, and its table is empty."""
    enable_socket()
    socket_allow_hosts([postgres.HOST], allow_unix_socket=True)
    ask(server, "TRUNCATE profiles")


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def profiles(server: Server, secrets: Secrets) -> Iterator[SqlProfiles]:
    made = make_profiles(server, secrets)
    yield made
    made._forget()


def make_profiles(server: Server, secrets: Secrets, *, host: str = postgres.HOST) -> SqlProfiles:
    return SqlProfiles(
        host=host,
        port=server.port,
        database=postgres.DATABASE,
        secret_id="a-secret",
        secrets=secrets,
    )


def ask(server: Server, question: str) -> list[dict[str, Any]]:
    """What the owner of the server gets, by column."""
    connection = server.connect()
    found = connection.run(question)
    names = [str(column["name"]) for column in connection.columns or []]
    connection.close()
    return [dict(zip(names, row, strict=True)) for row in found or []]


def rows(server: Server) -> list[dict[str, Any]]:
    """The table, its jsonb as text too."""
    return ask(server, "SELECT *, data::text AS exact FROM profiles")


def message(item: dict[str, Any], message_id: str = "message-1") -> dict[str, Any]:
    """What the function gets: the event of a history's item, as the rule sends it to the queue."""
    envelope = from_history(item_from_dynamodb(item), "bus", PLACE).envelope
    return {"messageId": message_id, "body": exact_json.dumps(envelope)}


def message_of(event: dict[str, Any], message_id: str = "message-1") -> dict[str, Any]:
    return message(make_item(event), message_id)


def received(some_events: list[dict[str, Any]]) -> Tables:
    """The receiver's own tables after these events."""
    tables = Tables()
    consumer = Consumer(FakeDynamoDB(tables).as_store(), InMemoryDeadLetters())
    deliveries: list[Record] = [
        make_record(to_json(event), str(number)) for number, event in enumerate(some_events)
    ]
    assert consumer.consume(deliveries, ENDLESS).failed == []
    return tables


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row of either side, by column."""

    def same(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return value

    found = {column: same(row.get(attribute)) for column, attribute in COLUMNS.items()}
    found["data"] = json.loads(row["exact"], parse_int=Decimal, parse_float=Decimal)
    return found


def expected(tables: Tables) -> list[dict[str, Any]]:
    items = [item_from_dynamodb(item) for item in tables.profiles.values()]
    return [
        comparable(
            item
            | {name: datetime.fromisoformat(item[name]) for name in ("event_at", "received_at")}
            | {"exact": exact_json.dumps(item["data"])}
        )
        for item in items
    ]


def by_key(table: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["tenant_id"], row["profile_id"]): row for row in table}


# ---------------------------------------------------------------- the same rows


@pytest.fixture(scope="module")
def kept(server: Server) -> Iterator[SqlProfiles]:
    """With one connection for all examples."""
    made = make_profiles(server, Secrets())
    yield made
    made._forget()


@settings(max_examples=50)
@given(st.data())
def test_the_rows_are_those_of_the_receiver_in_whatever_order_and_number_events_come(
    server: Server, kept: SqlProfiles, data: st.DataObject
) -> None:
    some_events = data.draw(events())
    tables = received(data.draw(st.permutations(some_events)))
    published = [
        item
        for item in tables.events.values()
        if item["event"]["S"] == "profile.updated"
        # As the rule has it, or with those that changed nothing: the rows have to be the same.
        and (item["outcome"]["S"] == "applied" or data.draw(st.booleans()))
    ]
    ask(server, "DELETE FROM profiles")
    if published:
        for batch in data.draw(batches(published)):
            records = [message(item, str(number)) for number, item in enumerate(batch)]
            assert apply(records, kept) == {"batchItemFailures": []}

    assert by_key([comparable(row) for row in rows(server)]) == by_key(expected(tables))


def test_versions_are_compared_by_bytes_whatever_the_collation_of_the_database(
    server: Server, profiles: SqlProfiles
) -> None:
    [database] = ask(server, "SELECT 'evt-a' < 'evt-B' AS by_words")
    # The same second and status, so that the id decides; by bytes a is after B.
    for event_id in ("evt-B", "evt-a", "evt-B"):
        apply([message_of(make_event(event_id))], profiles)

    assert database["by_words"] is True
    assert [row["event_id"] for row in rows(server)] == ["evt-a"]


@pytest.mark.parametrize(
    "number",
    ["12345678901234567890123456789012345678", "0.1000000000000000055", "1E+100", "1E-100"],
)
def test_a_number_keeps_its_exact_value(server: Server, profiles: SqlProfiles, number: str) -> None:
    apply([message_of(make_event(number=Decimal(number)))], profiles)

    [row] = rows(server)
    assert json.loads(row["exact"], parse_int=Decimal, parse_float=Decimal)["number"] == Decimal(
        number
    )


def test_an_event_that_the_bus_did_not_take_whole_says_so_in_its_row(
    server: Server, profiles: SqlProfiles
) -> None:
    whole = message_of(make_event("evt-1", created_at="2023-10-01T12:00:00Z"))
    cut = message_of(make_event("evt-2", created_at="2023-10-01T12:00:01Z"))
    envelope = json.loads(cut["body"])
    envelope["detail"]["data_omitted"] = True
    apply([whole], profiles)
    [before] = rows(server)
    apply([cut | {"body": json.dumps(envelope)}], profiles)
    [after] = rows(server)

    assert (before["data_omitted"], after["data_omitted"]) == (False, True)


def test_texts_that_look_like_sql_are_stored_as_texts(
    server: Server, profiles: SqlProfiles
) -> None:
    hostile = "'); DROP TABLE profiles; --:event \\ $1"
    event = make_event(hostile, tenant_id=hostile, profile_id=hostile, status=hostile)

    apply([message_of(event)], profiles)

    [row] = rows(server)
    assert [row[name] for name in ("event_id", "tenant_id", "profile_id", "status")] == [
        hostile
    ] * 4


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        "{}",
        '{"detail": {"id": "evt-1", "event": "invoice.paid", "data": null}}',
        message_of(make_event(text="a\0b"))["body"],  # PostgreSQL holds no NUL
    ],
)
def test_only_the_message_that_the_database_refuses_is_delivered_again(
    server: Server,
    profiles: SqlProfiles,
    secrets: Secrets,
    body: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch = [
        message_of(make_event(profile_id="1"), "first"),
        {"messageId": "refused", "body": body},
        message_of(make_event(profile_id="2"), "last"),
    ]

    answer = apply(batch, profiles)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "refused"}]}
    assert sorted(row["profile_id"] for row in rows(server)) == ["1", "2"]
    assert secrets.reads == 1  # the connection was kept
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert log[0]["error"].startswith("SQLSTATE 2")
    assert log[1] == {"message": "Batch", "applied": 2, "older": 0, "failed": 1}


@settings(max_examples=100)
@given(json_values, ids, ids, st.one_of(ids, json_values))
def test_nothing_else_that_the_receiver_stores_is_refused(
    server: Server, kept: SqlProfiles, value: Any, event_id: str, profile_id: str, status: Any
) -> None:
    event = make_event(event_id, profile_id=profile_id, status=status, more=value)
    try:
        sent = message_of(event)
    except (NotStorableError, EventError):
        return  # a dead letter of the receiver's
    unfit = re.search(r"\\u0000|\\ud[89a-f]", sent["body"].replace("\\\\", ""))

    assert apply([sent], kept) == {
        "batchItemFailures": [{"itemIdentifier": "message-1"}] if unfit else []
    }


def test_while_the_database_is_down_everything_is_delivered_again_and_then_applied(
    server: Server, profiles: SqlProfiles
) -> None:
    batch = [message_of(make_event(profile_id=one), one) for one in ("1", "2", "3")]
    apply(batch[:1], profiles)  # so that there is a connection, which breaks
    server.stop()
    try:
        down = apply(batch, profiles)
    finally:
        server.start()
    up = apply(batch, profiles)

    assert down == {"batchItemFailures": [{"itemIdentifier": one} for one in ("1", "2", "3")]}
    assert up == {"batchItemFailures": []}
    assert len(rows(server)) == 3


def test_a_connection_that_was_closed_meanwhile_costs_no_message_its_attempt(
    server: Server, profiles: SqlProfiles, secrets: Secrets
) -> None:
    apply([message_of(make_event("evt-1"))], profiles)
    ask(
        server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'getprofile-sync'",
    )

    answer = apply([message_of(make_event("evt-2", created_at="2023-10-01T12:00:01Z"))], profiles)

    assert answer == {"batchItemFailures": []}
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert secrets.reads == 2  # the password may be another one by now


def test_a_connection_to_a_server_that_became_read_only_is_made_anew(
    server: Server, profiles: SqlProfiles, secrets: Secrets
) -> None:
    """As after a failover, when the old primary is a replica."""
    apply([message_of(make_event("evt-1"))], profiles)
    assert profiles._connection is not None
    profiles._connection.run("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    newer = message_of(make_event("evt-2", created_at="2023-10-01T12:00:01Z"))

    assert apply([newer], profiles) == {"batchItemFailures": []}
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert secrets.reads == 2


def test_a_wrong_password_is_an_outage_and_never_in_the_log(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = Secrets("another-password-0123456789")
    profiles = make_profiles(server, secrets)
    batch = [message_of(make_event(profile_id=one), one) for one in ("1", "2")]

    wrong = apply(batch, profiles)
    out = capsys.readouterr()
    secrets.password = postgres.PASSWORD
    right = apply(batch, profiles)
    profiles._forget()

    assert wrong == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}
    assert "another-password" not in out.out + out.err
    assert right == {"batchItemFailures": []}


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_sql, "AUTHORITIES", server.directory / "none.pem")

    answer = apply([message_of(make_event())], make_profiles(server, Secrets()))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert rows(server) == []


# ---------------------------------------------------------------- Aurora's Data API


class FakeDataApi:
    """Checks the call, and runs its statement on the real server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.error: Exception | None = None
        self.calls = 0

    def execute_statement(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        if self.error:
            raise self.error
        [parameter] = request.pop("parameters")
        assert request == {
            "resourceArn": "a-cluster",
            "secretArn": "a-secret",
            "database": "app",
            "sql": UPSERT,
        }
        assert (parameter["name"], parameter["typeHint"]) == ("event", "JSON")
        connection = self._server.connect()
        connection.run(UPSERT, event=parameter["value"]["stringValue"])
        count = connection.row_count
        connection.close()
        return {"numberOfRecordsUpdated": count, "generatedFields": []}


@pytest.fixture
def data_api(server: Server) -> FakeDataApi:
    return FakeDataApi(server)


def over_data_api(client: FakeDataApi) -> Profiles:
    return DataApiProfiles(
        cluster_arn="a-cluster", database="app", secret_arn="a-secret", client=client
    )


def test_over_the_data_api_the_newest_event_wins_as_well(
    server: Server, data_api: FakeDataApi, capsys: pytest.CaptureFixture[str]
) -> None:
    old = make_event("evt-1", created_at="2023-10-01T12:00:00Z", number=Decimal("1E+100"))
    new = make_event("evt-2", created_at="2023-10-01T12:00:01Z", number=Decimal("0.1"))

    answer = apply([message_of(event) for event in (old, new, old, new)], over_data_api(data_api))

    assert answer == {"batchItemFailures": []}
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert json.loads(capsys.readouterr().out)["applied"] == 2


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("DatabaseErrorException", 2),
        ("BadRequestException", 2),
        ("DatabaseResumingException", 1),  # the second message would fare no better
        ("AccessDeniedException", 1),
    ],
)
def test_what_the_data_api_does_not_do_is_delivered_again(
    data_api: FakeDataApi, code: str, calls: int
) -> None:
    data_api.error = client_error(code)

    answer = apply([message_of(make_event(), one) for one in ("1", "2")], over_data_api(data_api))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "2"}]}
    assert data_api.calls == calls
