"""A stand-in for AWS on this machine: confirms every call at once, or after a set latency.

It costs as little as possible, so that what is measured is the caller. It runs in a process of its
own, for the caller's instructions and CPU time to be the caller's alone.
"""

import hashlib
import json
import subprocess
import sys
import threading
import time
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Any, Self

SECRET = "example-webhook-secret-0123456789"  # noqa: S105  # nosec B105  that of tests/samples


class Stub:
    """The stand-in in a process of its own, for as long as a `with` block lasts.

    latency: seconds that each call takes. No AWS call is this fast; within a region 4 ms are usual.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self.endpoint = ""

    def __enter__(self) -> Self:
        # The process ends when its standard input does, so also when this one is killed.
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._latency)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = self._process.stdout.readline().strip() if self._process.stdout else ""
        self.endpoint = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()


def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """What AWS answers to a call that succeeds. Raises: KeyError, for an operation not foreseen."""
    match operation:
        case "SendMessage":
            digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False)
            return {"MessageId": "059f36b4", "MD5OfMessageBody": digest.hexdigest()}
        case "GetSecretValue":
            # Set long ago, so that no previous value is asked for.
            return {"SecretString": SECRET, "CreatedDate": 1_600_000_000, "VersionId": "v"}
        case "PutItem":
            return {"ConsumedCapacity": {"TableName": "table", "CapacityUnits": 1.0}}
        case "TransactWriteItems":
            return {"ConsumedCapacity": [{"TableName": "table", "CapacityUnits": 4.0}]}
        case "PutEvents":
            entries = [{"EventId": str(number)} for number, _ in enumerate(request["Entries"])]
            return {"FailedEntryCount": 0, "Entries": entries}
    raise KeyError(operation)


class _StubServer(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    latency = 0.0


class _Connection(StreamRequestHandler):
    """HTTP/1.1 with kept connections, as far as the SDK speaks it with these services."""

    disable_nagle_algorithm = True
    server: _StubServer

    def handle(self) -> None:
        while self.rfile.readline():
            headers: dict[str, str] = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", "0")))
            operation = headers["x-amz-target"].rpartition(".")[2]
            content = json.dumps(answer(operation, json.loads(body))).encode()
            if self.server.latency:
                time.sleep(self.server.latency)
            self.wfile.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
                b"x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
            )


def main() -> None:
    with _StubServer(("127.0.0.1", 0), _Connection) as server:
        server.latency = float(sys.argv[1])
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
