"""SQS, Secrets Manager and DynamoDB in memory, behind real sockets of this machine.

They do what the functions need of them, and on top of that fail as a test tells them to.
"""

import hashlib
import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from tests.aws_limits import Item, message_refusal
from tests.faults.faults import Fault, Reply, error
from tests.tables import Key, SurpriseError, Tables

EVENTS, DEAD_LETTERS, HELD = "events", "dead-letters", "held"
NEVER_SECONDS = 120.0  # many times as long as any test, and short enough for one that hangs

When = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Message:
    """A message that a queue holds. answered: the sender was told so."""

    id: str
    body: str
    attributes: dict[str, str]
    answered: bool


@dataclass(frozen=True)
class Rule:
    """operation: "*" is any. calls: which ones of it, counted from 1 (all when absent)."""

    operation: str
    fault: Fault
    calls: Container[int] | None
    when: When

    def applies(self, operation: str, calls: Counter[str], request: dict[str, Any]) -> bool:
        number = calls.total() if self.operation == "*" else calls[operation]
        called = self.calls is None or number in self.calls
        return self.operation in {"*", operation} and called and self.when(request)


@dataclass
class Secret:
    """A secret of Secrets Manager: a new value makes the current one the previous one."""

    current: str = ""
    previous: str | None = None
    created_at: float = field(default_factory=time.time)


class Cloud:
    """One account with two queues, two tables and one secret; a port for each service."""

    def __init__(self) -> None:
        self.queues: dict[str, list[Message]] = {EVENTS: [], DEAD_LETTERS: [], HELD: []}
        self.tables = Tables()
        self.secret = Secret()
        self.calls: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.stuck: list[tuple[Fault, str]] = []  # calls that no answer ends, with their requests
        self._rules: list[Rule] = []
        self._lock = threading.RLock()
        self._gone = threading.Event()
        self._ports = {name: Port(self) for name in ("SQS", "DYNAMODB", "SECRETS_MANAGER")}

    def __enter__(self) -> "Cloud":
        return self

    def __exit__(self, *_error: object) -> None:
        self._gone.set()
        for port in self._ports.values():
            port.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes the functions use this cloud, and no other."""
        endpoints = {
            f"AWS_ENDPOINT_URL_{name}": f"http://127.0.0.1:{port.number}"
            for name, port in self._ports.items()
        }
        sqs = endpoints["AWS_ENDPOINT_URL_SQS"]
        return endpoints | {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # any other service: nobody there
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "EVENTS_QUEUE_URL": f"{sqs}/123456789012/{EVENTS}",
            "DEAD_LETTER_QUEUE_URL": f"{sqs}/123456789012/{DEAD_LETTERS}",
            "HELD_QUEUE_URL": f"{sqs}/123456789012/{HELD}",
            "ALLOWED_SOURCE_CIDRS": "",
            "ONLY_DOMAIN_NAME": "",
            "HELD_DELIVERIES_PER_MINUTE": "60",
            "PROFILES_TABLE_NAME": "profiles",
            "EVENTS_TABLE_NAME": "events",
            "EVENT_RETENTION_DAYS": "30",
            "WEBHOOK_SECRET_ID": "webhook-secret",
            "MAX_BODY_BYTES": "262144",
            "SECRET_CACHE_SECONDS": "300",
            "PREVIOUS_SECRET_GRACE_HOURS": "24",
            "POWERTOOLS_SERVICE_NAME": "fault-tests",
            "POWERTOOLS_METRICS_NAMESPACE": "GetProfileWebhooks",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }

    @property
    def table(self) -> dict[Key, Item]:
        return self.tables.profiles

    @property
    def history(self) -> dict[Key, Item]:
        return self.tables.events

    # ---------------------------------------------------------------- how it fails

    def fail(
        self,
        operation: str,
        fault: Fault,
        *,
        calls: Container[int] | None = None,
        when: When = lambda _request: True,
    ) -> None:
        """Let calls of an operation (`UpdateItem`) go wrong; of several rules the first counts."""
        with self._lock:
            self._rules.append(Rule(operation, fault, calls, when))

    def refuse(self, service: str) -> None:
        """Nobody listens on this service's port any more; open connections break."""
        self.injected["refused"] += 1
        self._ports[service].refuse()

    def drop_connections(self) -> None:
        """Close every open connection, as AWS does while a function is frozen."""
        for port in self._ports.values():
            port.drop_connections()

    def heal(self) -> None:
        """From here on, new calls succeed; those that hang go on hanging."""
        with self._lock:
            self._rules.clear()
            self.calls.clear()
        for port in self._ports.values():
            port.listen()

    def reset(self) -> None:
        """As new, but on the same ports."""
        self.heal()
        with self._lock:
            for messages in self.queues.values():
                messages.clear()
            self.tables.clear()

    # ---------------------------------------------------------------- what it does

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[Reply, Fault | None]:
        with self._lock:
            self.calls[operation] += 1
            rules = [r for r in self._rules if r.applies(operation, self.calls, request)]
            fault = rules[0].fault if rules else None
            if fault:
                self.injected[fault.name] += 1
                if fault.silent or fault.endless:
                    self.stuck.append((fault, json.dumps(request)))
                if not fault.done:
                    return Reply(200, b'{"MessageId": "never"}'), fault
            answered = fault is None or fault.name.startswith("slow")
            return self._do(operation, request, answered=answered), fault

    def wait(self, seconds: float) -> bool:
        return self._gone.wait(seconds)

    def _do(self, operation: str, request: dict[str, Any], *, answered: bool) -> Reply:
        try:
            match operation:
                case "SendMessage":
                    return self._send_message(request, answered=answered)
                case "GetSecretValue":
                    return self._get_secret_value(request)
                case "TransactWriteItems":
                    return self._transact_write_items(request)
                case "PutItem":
                    return self._put_item(request)
            raise SurpriseError(operation)
        except (Exception, SurpriseError) as surprise:  # shown by the test, which fails for it
            self.surprises.append(repr(surprise))
            return error("InternalFailure", 500)

    def _send_message(self, request: dict[str, Any], *, answered: bool) -> Reply:
        body = request["MessageBody"]
        attributes = {n: a["StringValue"] for n, a in request["MessageAttributes"].items()}
        if refusal := message_refusal(request):
            return error(refusal)
        queue = self.queues[request["QueueUrl"].rpartition("/")[2]]
        message = Message(f"{id(queue):x}-{len(queue) + 1}", body, attributes, answered)
        queue.append(message)
        digest = hashlib.md5(body.encode("utf-8"), usedforsecurity=False).hexdigest()
        return _ok({"MessageId": message.id, "MD5OfMessageBody": digest})

    def _get_secret_value(self, request: dict[str, Any]) -> Reply:
        stage = request.get("VersionStage", "AWSCURRENT")
        value = self.secret.current if stage == "AWSCURRENT" else self.secret.previous
        if value is None:
            return error("ResourceNotFoundException")
        return _ok(
            {
                "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-secret",
                "Name": request["SecretId"],
                "SecretString": value,
                "CreatedDate": self.secret.created_at,
                "VersionId": hashlib.sha256(value.encode()).hexdigest()[:36],
                "VersionStages": [stage],
            }
        )

    def _transact_write_items(self, request: dict[str, Any]) -> Reply:
        puts = [item["Put"] for item in request["TransactItems"]]
        if reasons := self.tables.write(puts, request["ClientRequestToken"]):
            codes = ", ".join(reason["Code"] for reason in reasons)
            return error(
                "TransactionCanceledException",
                Message=f"Transaction cancelled [{codes}]",
                CancellationReasons=reasons,
            )
        return _written(request, [{"TableName": put["TableName"]} for put in puts])

    def _put_item(self, request: dict[str, Any]) -> Reply:
        if reasons := self.tables.write([request]):
            [reason] = reasons
            return error(f"{reason.pop('Code')}Exception", **reason)
        return _written(request, {"TableName": request["TableName"], "CapacityUnits": 1.0})


def _written(request: dict[str, Any], capacity: Any) -> Reply:
    asked = request.get("ReturnConsumedCapacity") == "TOTAL"
    return _ok({"ConsumedCapacity": capacity} if asked else {})


def _ok(document: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(document).encode())


class Port:
    """A TCP port of 127.0.0.1 on which one service listens, or for a time does not."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._connections: set[socket.socket] = set()
        self._socket = _bound(0)
        self.number: int = self._socket.getsockname()[1]
        self._listening = False
        self.listen()

    def listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._socket.listen(128)
            threading.Thread(target=self._accept, args=[self._socket], daemon=True).start()

    def refuse(self) -> None:
        # The successor keeps the port reserved without listening on it.
        successor = _bound(self.number)
        self._close_socket()
        self._socket, self._listening = successor, False
        self.drop_connections()

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            _shutdown(connection)

    def close(self) -> None:
        self._close_socket()
        self.drop_connections()

    def _close_socket(self) -> None:
        _shutdown(self._socket)  # wakes the thread that accepts
        self._socket.close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _address = listening.accept()
            except OSError:
                return
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Connection(connection, self._cloud)
        try:
            with connection, connection.makefile("rb") as reader:
                while request := _read(reader):
                    reply, fault = self._cloud.answer(*request)
                    if fault is None:
                        line.send(reply.on_the_wire())
                    elif not fault.play(line, reply):
                        return
        except OSError:
            pass  # the client went away
        finally:
            self._connections.discard(connection)


@dataclass(frozen=True)
class Connection:
    """What a fault plays on (`tests.faults.faults.Line`)."""

    connection: socket.socket
    cloud: Cloud

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # on closing, no farewell but an RST
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def wait(self, seconds: float) -> bool:
        return self.cloud.wait(seconds)

    def never_end(self) -> None:
        if not self.cloud.wait(NEVER_SECONDS):
            self.cloud.surprises.append("something waited for the end of a call that never ends")


def _read(reader: BinaryIO) -> tuple[str, dict[str, Any]] | None:
    """The operation and the request; None when the client has closed, be it in the middle."""
    reader.readline()
    headers = http.client.parse_headers(cast("Any", reader))
    length = int(headers.get("content-length", "0"))
    body = reader.read(length)
    if not length or len(body) < length:
        return None
    return str(headers["x-amz-target"]).rpartition(".")[2], json.loads(body)


def _bound(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    return one


def _shutdown(one: socket.socket) -> None:
    with suppress(OSError):  # already closed
        one.shutdown(socket.SHUT_RDWR)
