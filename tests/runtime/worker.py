"""An execution environment: AWS's runtime client in a process, and the Runtime API that drives it.

The client is the one that runs in Lambda (awslambdaric). Two things are left out: Lambda passes the
client's own lines through a pipe of their own, here they are on standard output; and Lambda kills a
function at its timeout.
"""

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

FUNCTIONS = Path(__file__).parents[2] / "functions"
VERSION = "/2018-06-01/runtime"
PATIENCE_SECONDS = 60  # for a broken worker; no test measures time


@dataclass(frozen=True)
class Answer:
    """What the client sent to the Runtime API. kind: `response`, `error` or `init/error`."""

    kind: str
    document: Any


class Worker:
    """Starts a handler for the duration of a `with` block.

    handler: as in template.yaml. environment: the variables that the stack and Lambda set. lines:
    what the process wrote to standard output and standard error; complete once the block has ended.
    """

    def __init__(self, handler: str, environment: Mapping[str, str]) -> None:
        self._handler = handler
        self._environment = environment
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self._api = _RuntimeApi()
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", self._handler],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(FUNCTIONS),
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_port}",
                **self._environment,
            },
            cwd=FUNCTIONS.parent,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._api.end()
        self.lines = self._written().splitlines()
        self._output.close()

    def invoke(self, event: Any, *, seconds_left: float = 60) -> Answer:
        """Have an event handled. seconds_left: until the invocation's deadline."""
        self.ask(event, seconds_left=seconds_left)
        return self.answer()

    def ask(self, event: Any, *, seconds_left: float = 60) -> None:
        """Have an event handled, without waiting for the answer."""
        self._api.events.put((event, time.time() + seconds_left))

    def answer(self) -> Answer:
        """The next answer of the process."""
        for ended in self._patiently():
            with suppress(queue.Empty):
                return self._api.answers.get(timeout=0.1)
            if ended:
                break
        raise AssertionError(f"no answer, but:\n{self._written()}")

    def wait_until_written(self, text: str) -> None:
        """Wait for a line that is written after an answer."""
        for ended in self._patiently():
            if text in self._written():
                return
            if ended:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {text}, but:\n{self._written()}")

    def wait_until_ended(self) -> None:
        """Wait for the end of the process."""
        for ended in self._patiently():
            if ended:
                return
            time.sleep(0.02)
        raise AssertionError(f"not ended, but:\n{self._written()}")

    def _patiently(self) -> Iterator[bool]:
        """Whether the process has ended, again and again."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            yield self._process.poll() is not None

    def _written(self) -> str:
        # The process appends, so another position in the file does not disturb it.
        return os.pread(self._output.fileno(), 10_000_000, 0).decode()


class Server(ThreadingHTTPServer):
    """Serves on a port of this machine until `end`."""

    daemon_threads = True
    block_on_close = False  # a worker's request for the next event is never answered
    request_queue_size = 64

    def __init__(self, exchange: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), exchange)
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, except that a worker that is stopped drops its connections."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RuntimeApi(Server):
    def __init__(self) -> None:
        self.events: queue.SimpleQueue[tuple[Any, float]] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        super().__init__(_Exchange)


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> _RuntimeApi:
        return cast("_RuntimeApi", self.server)

    def do_GET(self) -> None:
        assert self.path == f"{VERSION}/invocation/next"
        event, ends_at = self.api.events.get()
        self._answer(
            200,
            json.dumps(event).encode(),
            {
                "Lambda-Runtime-Aws-Request-Id": "8f507cfc-xmpl-4697-b07a-ac58fc914c95",
                "Lambda-Runtime-Deadline-Ms": str(int(ends_at * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:::function:f",
                "Lambda-Runtime-Trace-Id": "Root=1-5e34a614-10bdef1f1fb44f07bc535a10;Sampled=0",
            },
        )

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        # ".../invocation/ID/response", ".../invocation/ID/error" or ".../init/error"
        kind = re.sub(r"^invocation/[^/]+/", "", self.path.removeprefix(f"{VERSION}/"))
        self._answer(202, b"", {})
        self.api.answers.put(Answer(kind, json.loads(content)))

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        content_headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (content_headers | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log nothing."""
