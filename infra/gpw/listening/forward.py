"""One attempt to forward an event to an application: by HTTP, in process, or by printing it."""

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from gpw.listening.bus_event import BusEvent
from gpw.listening.loopback import Destination, addresses
from gpw.stack.errors import USAGE, OperatorError
from receiver.domain import exact_json
from receiver.domain.credential import UnusableCredentialError, usable

# Not a real secret: the application on the laptop expects it instead of the real one.
DEVELOPMENT_SECRET = "development-secret-of-gpw-listen"  # noqa: S105
TIMEOUT_SECONDS = 30.0
RESPONSE_BYTES = 2_000  # shown from the start of a response
FUNCTION_SECONDS = 900  # the longest that Lambda runs a function


class Form(StrEnum):
    """The form in which an event is forwarded."""

    WEBHOOK = "webhook"  # as GetProfile sends it
    EVENTBRIDGE = "eventbridge"  # as a rule's target receives it


@dataclass(frozen=True)
class Result:
    """The result of an attempt.

    status: the HTTP status, or None. response: the start of the response. error: why there is no
    response.
    """

    well: bool
    seconds: float
    status: int | None = None
    response: str = ""
    error: str = ""


# An event and the attempt's number, from 1.
type Forward = Callable[[BusEvent, int], Result]
# Lambda's handler: an event and the context.
type Function = Callable[[Any, Any], Any]


def content(event: BusEvent, form: Form) -> str:
    """The event as JSON text, every number exact."""
    return exact_json.dumps(event.envelope) if form is Form.EVENTBRIDGE else event.body()


def headers(event: BusEvent, attempt: int, secret: str) -> dict[str, str]:
    """The headers of a forwarded event: GetProfile's, and gpw's own."""
    found = {
        "content-type": "application/json",
        "authorization": f"Bearer {secret}",
        "user-agent": "gpw-listen",
        "gpw-event-id": header_value(event.id),
        "gpw-outcome": header_value(event.outcome),
        "gpw-attempt": str(attempt),
    }
    if event.replayed:
        found["gpw-replayed"] = "true"
    if event.incomplete:
        found["gpw-data-omitted"] = "true"
    return found


def header_value(text: str) -> str:
    """A text from outside, made safe for a header: %-escapes replace all but plain ASCII."""
    plain = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
    return quote(text, safe=plain, errors="surrogatepass")


def development_secret(variable: str | None) -> str:
    """The bearer token to send: from an environment variable, or the documented one.

    Raises: OperatorError.
    """
    if variable is None:
        return DEVELOPMENT_SECRET
    try:
        return usable(os.environ.get(variable))
    except UnusableCredentialError as error:
        raise OperatorError(f"The secret in {variable} {error.problem}", code=USAGE) from None


def by_http(to: Destination, *, form: Form, secret: str, remote: bool) -> Forward:
    """Posts events to a URL. It follows no redirects, and checks the addresses for each event.

    remote: whether other machines are allowed. Raises: OperatorError, if the URL is not allowed.
    """
    addresses(to.host, to.port, remote=remote)

    def forward(event: BusEvent, attempt: int) -> Result:
        body = content(event, form).encode()
        sent = headers(event, attempt, secret) | {"host": to.authority}
        began, error = time.monotonic(), ""
        try:
            found = addresses(to.host, to.port, remote=remote)
        except OperatorError as moved:  # the name now has another address, or none
            return Result(False, time.monotonic() - began, error=str(moved))
        for address in found:
            try:
                status, response = _post(to, address, body, sent)
            except urllib3.exceptions.NewConnectionError:
                error = "connection refused"  # localhost has two addresses; an app may use only one
            except (urllib3.exceptions.HTTPError, OSError) as failed:
                error = _kind(failed)
                break
            else:
                seconds = time.monotonic() - began
                return Result(200 <= status < 300, seconds, status, response)
        return Result(False, time.monotonic() - began, error=error)

    return forward


def _post(to: Destination, address: str, body: bytes, sent: dict[str, str]) -> tuple[int, str]:
    with _pool(to, address) as pool:
        response = pool.request(
            "POST",
            to.path,
            body=body,
            headers=sent,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(total=TIMEOUT_SECONDS),
        )
        try:
            return response.status, _start(response)
        finally:
            response.close()


def _pool(to: Destination, address: str) -> urllib3.HTTPConnectionPool:
    if to.scheme == "http":
        return urllib3.HTTPConnectionPool(address, to.port)
    return urllib3.HTTPSConnectionPool(
        address, to.port, server_hostname=to.host, assert_hostname=to.host
    )


def _start(response: urllib3.BaseHTTPResponse) -> str:
    """The start of a response's body as text; it does not wait for the end of the body."""
    found, deadline = b"", time.monotonic() + TIMEOUT_SECONDS
    while len(found) < RESPONSE_BYTES and time.monotonic() < deadline:
        part = response.read1(RESPONSE_BYTES)
        if not part:
            break
        found += part
    return found[:RESPONSE_BYTES].decode("utf-8", errors="replace")


def _kind(error: Exception) -> str:
    match error:
        case urllib3.exceptions.TimeoutError():
            return f"no response within {TIMEOUT_SECONDS:.0f} s"
        case urllib3.exceptions.SSLError():
            return "the certificate or the TLS handshake failed"
        case urllib3.exceptions.ProtocolError():
            return "the connection was closed before the response"
        case _:
            return type(error).__name__


# ---------------------------------------------------------------- in process


@dataclass(frozen=True)
class Context:
    """Lambda's context object, with the parts that make sense here."""

    function_name: str
    aws_request_id: str
    began: float
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "128"
    log_group_name: str = "gpw-listen"
    log_stream_name: str = "gpw-listen"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((FUNCTION_SECONDS - (time.monotonic() - self.began)) * 1000))


def by_call(name: str, *, form: Form, secret: str) -> Forward:
    """Calls a Python function as Lambda does. name: `module:function`. Raises: OperatorError."""
    function = _loaded(name)
    return calling(lambda: function, name.rpartition(":")[2], form=form, secret=secret)


def calling(find: Callable[[], Function], name: str, *, form: Form, secret: str) -> Forward:
    """Calls a Python function as Lambda does. find: is asked for the function at each event.

    In the form eventbridge, the function receives what a rule's Lambda target receives; in the form
    webhook, what an HTTP API passes to it. Unlike Lambda, it also runs an `async def` function.
    """

    def forward(event: BusEvent, attempt: int) -> Result:
        passed = json.loads(
            content(event, form)
            if form is Form.EVENTBRIDGE
            else json.dumps(http_event(event.body(), headers(event, attempt, secret)))
        )
        began = time.monotonic()
        context = Context(name, str(uuid.uuid4()), began)
        try:
            with redirect_stdout(sys.stderr):  # the function's output is not part of gpw's
                returned = find()(passed, context)
                if inspect.isawaitable(returned):
                    returned = asyncio.run(_awaited(returned))
            return _returned(returned, time.monotonic() - began)
        except (Exception, SystemExit):  # show the error and continue with the next event
            return Result(False, time.monotonic() - began, error=_where_it_failed())

    return forward


def http_event(body: str, sent: Mapping[str, str]) -> dict[str, Any]:
    """API Gateway's event (payload format 2.0), with the fields that handlers read."""
    http = {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
    return {
        "version": "2.0",
        "routeKey": "POST /",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": dict(sent),
        "requestContext": {"http": http, "requestId": str(uuid.uuid4()), "stage": "$default"},
        "body": body,
        "isBase64Encoded": False,
    }


def _loaded(name: str) -> Function:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise OperatorError(
            f"--invoke does not name a function: {name!r}", "write module:function", code=USAGE
        )
    if module.endswith(".py"):
        meant = ".".join(Path(module).with_suffix("").parts)
        raise OperatorError(
            f"--invoke takes a module, not a file: {name!r}",
            f"write {meant}:{attribute}",
            code=USAGE,
        )
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise OperatorError(
            f"{name} can't be imported: {type(error).__name__}: {error}", code=USAGE
        ) from None
    if not callable(found):
        raise OperatorError(f"{name} is not a function", code=USAGE)
    function: Function = found
    return function


async def _awaited(returned: Awaitable[Any]) -> Any:
    return await returned


def _returned(value: Any, seconds: float) -> Result:
    status = value.get("statusCode") if isinstance(value, dict) else None
    text = json.dumps(value, ensure_ascii=False, default=repr)[:RESPONSE_BYTES]
    if isinstance(status, int):
        return Result(200 <= status < 300, seconds, status, text)
    return Result(True, seconds, response=text)


def _where_it_failed() -> str:
    kind, error, trace = sys.exc_info()
    last = traceback.extract_tb(trace)[-1]
    name = kind.__name__ if kind else ""
    return f"{name}: {error} ({Path(last.filename).name}:{last.lineno})"[:RESPONSE_BYTES]


def by_printing(_event: BusEvent, _attempt: int) -> Result:
    """Does nothing but succeed; the attempt is printed."""
    return Result(True, 0.0)
