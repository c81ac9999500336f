"""A stub of AWS on this machine. It confirms every call at once, or after a fixed latency.

It does as little work as possible, and in a separate process. So measurements show the caller's own
instructions, CPU time and speed.
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

# The one in tests/samples.
SECRET = "example-webhook-secret-0123456789"  # noqa: S105


class Stub:
    """Runs the stub in a separate process for the duration of a `with` block.

    latency: seconds that each call takes. The default of 0 is faster than AWS, where a call within
    a region usually takes 4 ms.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self.endpoint = ""

    def __enter__(self) -> Self:
        # The stub exits when its standard input is closed, so it also ends when this process dies.
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
    """AWS's response to a successful call. Raises: KeyError, for an unknown operation."""
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
    """Serves the subset of HTTP/1.1 that the SDK uses with these services, with keep-alive."""

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
