"""An application on this machine that events are forwarded to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

type Respond = Callable[[BaseHTTPRequestHandler], None]


class App:
    """An application on this machine. got: headers and bodies of the requests."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.respond: Respond = answer(200, b"thanks")
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                app.got.append(({k.lower(): v for k, v in self.headers.items()}, body.decode()))
                app.respond(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


def answer(status: int, body: bytes, **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@contextmanager
def running() -> Iterator[App]:
    app = App()
    threading.Thread(target=app.server.serve_forever, daemon=True).start()
    try:
        yield app
    finally:
        app.server.shutdown()
        app.server.server_close()
