"""infra/examples/postgres against a real PostgreSQL: its rows are those of ProfilesTable."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError
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
PLENTY = 28.0  # seconds


def sync(
    records: list[dict[str, Any]],
    profiles: Profiles,
    letters: list[tuple[str, str]] | None = None,
    *,
    seconds: float = PLENTY,
) -> list[str]:
    """Apply messages. letters: gets the dead letters. Returns: the ids of those to redeliver."""
    taken = [] if letters is None else letters
    return apply(
        records,
        profiles,
        dead_letter=lambda body, reason: taken.append((body, reason)),
        seconds_left=lambda: seconds,
    )


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


@pytest.fixture(scope="module")
def pooled(server: Server) -> Iterator[SqlProfiles]:
    """As `kept`, through PgBouncer in transaction mode."""
    with postgres.pooler(server, connections=1) as port:
        made = make_profiles(replace(server, port=port), Secrets())
        yield made
        made._forget()


@pytest.mark.parametrize("way", ["kept", "pooled"])
@settings(max_examples=25)
@given(st.data())
def test_the_rows_are_those_of_the_receiver_in_whatever_order_and_number_events_come(
    server: Server, request: pytest.FixtureRequest, way: str, data: st.DataObject
) -> None:
    through: SqlProfiles = request.getfixturevalue(way)
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
            assert sync(records, through) == []

    assert by_key([comparable(row) for row in rows(server)]) == by_key(expected(tables))


class Killed:
    """The table, whose server is killed at one event: before it is written, or before the answer
    arrives."""

    def __init__(self, profiles: Profiles, server: Server, *, at: int, written: bool) -> None:
        self._profiles, self._server, self._at, self._written = profiles, server, at, written

    def apply(self, event: str) -> bool:
        self._at -= 1
        if self._at != -1:
            return self._profiles.apply(event)
        if self._written:
            self._profiles.apply(event)
        self._server.stop()
        return self._profiles.apply(event)


@settings(max_examples=8)
@given(st.data())
def test_the_rows_are_those_of_the_receiver_although_the_server_is_killed(
    server: Server, kept: SqlProfiles, data: st.DataObject
) -> None:
    tables = received(data.draw(events()))
    published = [item for item in tables.events.values() if item["event"]["S"] == "profile.updated"]
    queue = [message(item, str(number)) for number, item in enumerate(published)]
    queue = data.draw(st.permutations(queue + queue))
    at = data.draw(st.integers(0, max(0, len(queue) - 1)))
    killed = Killed(kept, server, at=at, written=data.draw(st.booleans()))
    ask(server, "DELETE FROM profiles")
    failed = sync(queue, killed)
    if queue:
        server.start()

    assert failed == [one["messageId"] for one in queue[at:]]
    assert sync(queue[at:], kept) == []  # SQS delivers them again
    assert by_key([comparable(row) for row in rows(server)]) == by_key(expected(tables))


def test_versions_are_compared_by_bytes_whatever_the_collation_of_the_database(
    server: Server, profiles: SqlProfiles
) -> None:
    [database] = ask(server, "SELECT 'evt-a' < 'evt-B' AS by_words")
    # The same second and status, so that the id decides; by bytes a is after B.
    for event_id in ("evt-B", "evt-a", "evt-B"):
        sync([message_of(make_event(event_id))], profiles)

    assert database["by_words"] is True
    assert [row["event_id"] for row in rows(server)] == ["evt-a"]


@pytest.mark.parametrize(
    "number",
    ["12345678901234567890123456789012345678", "0.10000000000000000001", "1E+100", "1E-100"],
)
def test_a_number_keeps_its_exact_value(server: Server, profiles: SqlProfiles, number: str) -> None:
    sync([message_of(make_event(number=Decimal(number)))], profiles)

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
    sync([whole], profiles)
    [before] = rows(server)
    sync([cut | {"body": json.dumps(envelope)}], profiles)
    [after] = rows(server)

    assert (before["data_omitted"], after["data_omitted"]) == (False, True)


def test_texts_that_look_like_sql_are_stored_as_texts(
    server: Server, profiles: SqlProfiles
) -> None:
    hostile = "'); DROP TABLE profiles; --:event \\ $1"
    event = make_event(hostile, tenant_id=hostile, profile_id=hostile, status=hostile)

    sync([message_of(event)], profiles)

    [row] = rows(server)
    assert [row[name] for name in ("event_id", "tenant_id", "profile_id", "status")] == [
        hostile
    ] * 4


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "is not a profile's event"),
        ("{}", "is not a profile's event"),
        (
            '{"detail": {"id": "evt-1", "event": "invoice.paid", "data": null}}',
            "is not a profile's event",
        ),
        (
            message_of(make_event(text="a\0b"))["body"],
            "contains a NUL character or an unpaired surrogate",
        ),
        # The server judges: the timestamp has the right form, but the day does not exist.
        (
            message_of(make_event())["body"].replace("2023-10-01T12:00:00", "2023-99-01T12:00:00"),
            "SQLSTATE 22008",
        ),
    ],
)
def test_only_an_event_that_the_table_cannot_hold_becomes_a_dead_letter(
    server: Server,
    profiles: SqlProfiles,
    secrets: Secrets,
    body: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch = [
        message_of(make_event(profile_id="1"), "first"),
        {"messageId": "refused", "body": body},
        message_of(make_event(profile_id="2"), "last"),
    ]
    letters: list[tuple[str, str]] = []

    assert sync(batch, profiles, letters) == []

    assert letters == [(body, reason)]
    assert sorted(row["profile_id"] for row in rows(server)) == ["1", "2"]
    assert secrets.reads == 1  # the connection was kept
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert log == [
        {"message": "Refused", "message_id": "refused", "error": reason},
        {"message": "Batch", "applied": 2, "older": 0, "refused": 1, "failed": 0},
    ]


def test_an_event_whose_dead_letter_cannot_be_sent_is_redelivered(profiles: SqlProfiles) -> None:
    def no_queue(_body: str, _reason: str) -> None:
        raise client_error("AccessDenied")

    batch = [{"messageId": "refused", "body": "{}"}, message_of(make_event(), "good")]

    failed = apply(batch, profiles, dead_letter=no_queue, seconds_left=lambda: PLENTY)

    assert failed == ["refused"]


def test_the_log_of_the_server_holds_nothing_of_an_event_that_it_cannot_store(
    server: Server, profiles: SqlProfiles
) -> None:
    escapes = [r"\u0000", r"\ud800", r"\uDFFF", r"\ud83d\\\ude00"]
    sent = message_of(make_event(text="escape", private="a-private-word"))
    batch = [sent | {"body": sent["body"].replace("escape", escape)} for escape in escapes]
    letters: list[tuple[str, str]] = []

    assert sync(batch, profiles, letters) == []

    assert len(letters) == len(escapes)
    assert "a-private-word" not in (server.directory / "log").read_text("utf-8")


@settings(max_examples=100)
@given(json_values, ids, ids, st.one_of(ids, json_values))
def test_everything_else_that_the_receiver_stores_is_stored(
    server: Server, kept: SqlProfiles, value: Any, event_id: str, profile_id: str, status: Any
) -> None:
    event = make_event(event_id, profile_id=profile_id, status=status, more=value)
    try:
        sent = message_of(event)
    except (NotStorableError, EventError):
        return  # a dead letter of the receiver's
    unfit = re.search(r"\\u0000|\\ud[89a-f]", sent["body"].replace("\\\\", ""))
    letters: list[tuple[str, str]] = []

    assert sync([sent], kept, letters) == []
    assert bool(letters) == bool(unfit)


def test_when_the_time_is_up_only_the_messages_that_were_not_written_are_redelivered(
    server: Server, profiles: SqlProfiles
) -> None:
    sync([message_of(make_event("evt-1", profile_id="locked"))], profiles)
    later = "2023-10-01T12:00:01Z"
    batch = [
        message_of(make_event(f"evt-{one}", profile_id=one, created_at=later), one)
        for one in ("1", "2", "locked", "3")
    ]
    other = server.connect()
    other.run("BEGIN")
    other.run("SELECT * FROM profiles FOR UPDATE")
    failed = sync(batch, profiles, seconds=1)
    other.run("ROLLBACK")
    other.close()

    assert failed == ["locked", "3"]
    assert {row["profile_id"] for row in rows(server)} == {"1", "2", "locked"}


@pytest.mark.parametrize(
    ("damage", "repair", "error"),
    [
        ("ALTER TABLE profiles RENAME TO gone", "ALTER TABLE gone RENAME TO profiles", "42P01"),
        ("ALTER ROLE postgres NOLOGIN", "ALTER ROLE postgres LOGIN", "28000"),
        (
            "ALTER ROLE postgres PASSWORD 'another'",
            f"ALTER ROLE postgres PASSWORD '{postgres.PASSWORD}'",
            "28P01",
        ),
    ],
)
def test_a_failure_that_an_operator_can_repair_is_named_and_costs_no_event(
    server: Server,
    profiles: SqlProfiles,
    damage: str,
    repair: str,
    error: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owner = server.connect()
    batch = [message_of(make_event(profile_id=one), one) for one in ("1", "2")]
    owner.run(damage)
    try:
        damaged = sync(batch, profiles)
    finally:
        owner.run(repair)
        owner.close()
    log = json.loads(capsys.readouterr().out.splitlines()[0])
    repaired = sync(batch, profiles)

    assert (damaged, repaired) == (["1", "2"], [])
    assert log == {"message": "The database is unavailable", "error": f"SQLSTATE {error}"}


def test_a_secret_that_cannot_be_read_is_named(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    class NoSecrets(Secrets):
        def get_secret_value(self, **_request: str) -> dict[str, str]:
            raise client_error("ResourceNotFoundException")

    assert sync([message_of(make_event())], make_profiles(server, NoSecrets())) == ["message-1"]
    assert "ResourceNotFoundException" in capsys.readouterr().out


def test_behind_a_pooler_in_transaction_mode_every_applied_event_has_its_row(
    server: Server, secrets: Secrets
) -> None:
    stop = threading.Event()

    def other_client(port: int) -> None:
        connection = server.connect_over_tls(port)
        while not stop.is_set():
            # Two steps without a transaction: now and then it meets another client's statement.
            with suppress(DatabaseError):
                connection.run("SELECT CAST(:number AS integer) + 1", number=7)
        connection.close()

    def worker(port: int, number: int) -> list[str]:
        made = SqlProfiles(
            host=postgres.HOST,
            port=port,
            database=postgres.DATABASE,
            secret_id="a",
            secrets=secrets,
        )
        batch = [
            message_of(make_event(profile_id=f"{number}-{n}"), f"{number}-{n}") for n in range(50)
        ]
        failed = sync(batch, made)
        made._forget()
        return failed

    with postgres.pooler(server, connections=2) as port, ThreadPoolExecutor(6) as threads:
        others = [threads.submit(other_client, port) for _ in range(2)]
        failed = list(threads.map(worker, [port] * 4, range(4)))
        stop.set()
        for other in others:
            other.result()

    assert failed == [[], [], [], []]
    assert len(rows(server)) == 200


def test_while_the_database_is_down_everything_is_delivered_again_and_then_applied(
    server: Server, profiles: SqlProfiles
) -> None:
    batch = [message_of(make_event(profile_id=one), one) for one in ("1", "2", "3")]
    sync(batch[:1], profiles)  # so that there is a connection, which breaks
    server.stop()
    try:
        down = sync(batch, profiles)
    finally:
        server.start()
    up = sync(batch, profiles)

    assert down == ["1", "2", "3"]
    assert up == []
    assert len(rows(server)) == 3


def test_a_connection_that_was_closed_meanwhile_costs_no_message_its_attempt(
    server: Server, profiles: SqlProfiles, secrets: Secrets
) -> None:
    sync([message_of(make_event("evt-1"))], profiles)
    ask(
        server,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'getprofile-sync'",
    )

    answer = sync([message_of(make_event("evt-2", created_at="2023-10-01T12:00:01Z"))], profiles)

    assert answer == []
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert secrets.reads == 2  # the password may be another one by now


def test_a_connection_to_a_server_that_became_read_only_is_replaced(
    server: Server, profiles: SqlProfiles, secrets: Secrets
) -> None:
    """As after a failover, when the old primary is a replica."""
    sync([message_of(make_event("evt-1"))], profiles)
    assert profiles._connection is not None
    profiles._connection.run("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    newer = message_of(make_event("evt-2", created_at="2023-10-01T12:00:01Z"))

    assert sync([newer], profiles) == []
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert secrets.reads == 2


def test_a_password_is_never_in_the_log(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = make_profiles(server, Secrets("another-password-0123456789"))

    assert sync([message_of(make_event())], profiles) == ["message-1"]
    out = capsys.readouterr()
    assert "another-password" not in out.out + out.err


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_sql, "AUTHORITIES", server.directory / "none.pem")

    answer = sync([message_of(make_event())], make_profiles(server, Secrets()))

    assert answer == ["message-1"]
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

    answer = sync([message_of(event) for event in (old, new, old, new)], over_data_api(data_api))

    assert answer == []
    assert [row["event_id"] for row in rows(server)] == ["evt-2"]
    assert json.loads(capsys.readouterr().out)["applied"] == 2


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "DatabaseErrorException",
            "cannot execute INSERT in a read-only transaction; SQLState: 25006",
        ),
        ("DatabaseErrorException", "remaining connection slots are reserved; SQLState: 53300"),
        ("BadRequestException", 'relation "profiles" does not exist; SQLState: 42P01'),
        ("DatabaseResumingException", "The Aurora DB instance is resuming"),
        ("AccessDeniedException", "not authorized to perform: rds-data:ExecuteStatement"),
    ],
)
def test_over_the_data_api_a_failure_that_may_pass_costs_no_event(
    data_api: FakeDataApi, code: str, text: str
) -> None:
    data_api.error = client_error(code, Error={"Code": code, "Message": text})
    letters: list[tuple[str, str]] = []
    batch = [message_of(make_event(), one) for one in ("1", "2")]

    assert sync(batch, over_data_api(data_api), letters) == ["1", "2"]
    assert (data_api.calls, letters) == (1, [])


def test_over_the_data_api_an_event_that_the_table_cannot_hold_becomes_a_dead_letter(
    data_api: FakeDataApi,
) -> None:
    data_api.error = client_error(
        "DatabaseErrorException",
        Error={"Code": "DatabaseErrorException", "Message": "out of range; SQLState: 22008"},
    )
    letters: list[tuple[str, str]] = []
    body = message_of(make_event())["body"]

    assert sync([message_of(make_event())], over_data_api(data_api), letters) == []
    assert letters == [(body, "SQLSTATE 22008")]
