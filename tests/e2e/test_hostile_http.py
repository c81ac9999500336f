"""Requests that nobody expects, over HTTP to the deployed template.

The local server refuses by itself what it can't parse as HTTP (so does API Gateway), and answers by
itself for other paths and methods. All that reaches the function is answered as infra/openapi.yaml
says, and nothing is answered with 5xx or quotes the request.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local.stack import Stack, headers_for
from receiver.aws.sqs import QueueMessage
from receiver.messages import original_body
from tests.factories import make_body, make_event
from tests.hostile.openapi import OPERATION, documented, values

Settle = Callable[[], None]
DeadLetters = Callable[[], list[dict[str, Any]]]

# Stands in every request, so that finding it in an answer means that the answer quotes.
MARK = "m4rk3d-v4lue"
OUR_HEADERS = {"content-type", "www-authenticate", "retry-after"}
SERVERS_OWN = {400, 403, 404, 405, 411, 413, 414, 417, 431}
BODY = make_body(make_event(note=MARK))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def is_ours(self) -> bool:
        ours = {name: value for name, value in self.headers.items() if name in OUR_HEADERS}
        return documented(self.status, ours, self.body)


def check(stack: Stack, answer: Answer) -> Answer:
    """Assert what holds for every answer, whoever gave it."""
    text = f"{answer.headers} {answer.body}"
    assert MARK not in text
    assert stack.secret not in text
    assert answer.is_ours or answer.status in SERVERS_OWN, answer
    return answer


def post(
    stack: Stack, body: bytes | str, headers: dict[str, str] | None = None, *, suffix: str = ""
) -> Answer:
    """A POST by an ordinary client; suffix: what follows the path."""
    sent = urllib3.request(
        "POST",
        stack.url + suffix,
        body=body,
        headers=headers_for(stack.secret) if headers is None else headers,
        retries=False,
        timeout=30,
    )
    named = {name.lower(): value for name, value in sent.headers.items()}
    return check(stack, Answer(sent.status, named, sent.data.decode()))


def raw(stack: Stack, *lines: str | bytes, body: bytes = b"", method: str = "POST") -> Answer:
    """A request written by hand: the lines of its head as they are, then the body."""
    url = urlsplit(stack.url)
    assert url.hostname == "127.0.0.1"
    head = [f"{method} {url.path} HTTP/1.1", f"Host: {url.netloc}", "Connection: close", *lines]
    encoded = [line.encode("latin-1") if isinstance(line, str) else line for line in head]
    with socket.create_connection((url.hostname, url.port or 80), timeout=30) as connection:
        connection.sendall(b"\r\n".join([*encoded, b"", b""]) + body)
        received = b""
        while more := connection.recv(65_536):
            received += more
    top, _, content = received.partition(b"\r\n\r\n")
    if top.startswith(b"HTTP/1.1 100"):  # the answer to Expect; the real one comes after it
        top, _, content = content.partition(b"\r\n\r\n")
    status, *fields = top.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)
    }
    return check(stack, Answer(int(status.split()[1]), headers, content.decode()))


@pytest.fixture
def authorized(stack: Stack) -> list[str]:
    return [f"Authorization: Bearer {stack.secret}", f"Content-Length: {len(BODY)}"]


JSON = "Content-Type: application/json"


def test_header_names_and_the_scheme_may_be_in_any_case(stack: Stack) -> None:
    lines = [f"AUTHORIZATION: bEARER  {stack.secret}  ", "cOnTeNt-TyPe:application/JSON"]

    answer = raw(stack, *lines, f"content-LENGTH: {len(BODY)}", body=BODY.encode())

    assert (answer.status, answer.body) == (200, "OK")


def test_a_body_in_chunks_is_one_body(stack: Stack) -> None:
    half = len(BODY) // 2
    chunks = [BODY[:half].encode(), BODY[half:].encode()]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    lines = [f"Authorization: Bearer {stack.secret}", JSON, "Transfer-Encoding: chunked"]

    assert raw(stack, *lines, body=body).status == 200


@pytest.mark.parametrize("second", ["Bearer {secret}", "Basic eDp5", "", MARK])
def test_two_authorization_headers_let_no_one_in(
    stack: Stack, authorized: list[str], second: str
) -> None:
    answer = raw(
        stack,
        *authorized,
        f"Authorization: {second.format(secret=stack.secret)}",
        JSON,
        body=BODY.encode(),
    )

    # The local server may keep the last of two; API Gateway joins them with a comma.
    assert answer.is_ours
    assert answer.status in ({200, 401} if "secret" in second else {401})


@pytest.mark.parametrize(
    ("line", "statuses"),
    [
        (f"X-Odd: {MARK}\t \xe9\xff", {200}),
        (f"X-Empty:\r\nX-{MARK}:", {200}),
        ("Cookie: " + MARK * 100, {200}),
        ("X-Long: " + "x" * 8_000, {200}),
        ("X-Huge: " + "x" * 64 * 1024, {200, 400, 431}),
        ("X-Forwarded-For: " + ",".join(["203.0.113.10"] * 100), {200}),
        ("X-Amzn-Trace-Id: " + MARK, {200}),
        ("X-Amzn-Trace-Id: " + "x" * 4_000, {200}),
        ("Content-Encoding: gzip", {415}),
        ("Content-Encoding: identity", {200}),
        ("Content-Type: text/plain", {200, 415}),
        ("Expect: 100-continue", {200, 417}),
        (f"Bad Header {MARK}", {400}),
        ("X-Nul: a\0b", {400}),
        ("X-Fold: a\r\n\tb", {200, 400}),
        ("X-Space : a", {400}),
        ("Content-Length: 1", {400}),
        ("Content-Length: -1", {400}),
    ],
    ids=lambda value: repr(value)[:32] if isinstance(value, str) else "",
)
def test_an_odd_header_changes_nothing_or_is_refused(
    stack: Stack, authorized: list[str], line: str, statuses: set[int]
) -> None:
    answer = raw(stack, *authorized, JSON, line, body=BODY.encode())

    assert answer.status in statuses
    assert answer.is_ours or answer.status in {400, 417, 431}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "ODD"])
def test_another_method_reaches_no_function(
    stack: Stack, authorized: list[str], method: str, settle: Settle, dead_letters: DeadLetters
) -> None:
    dead_letters()

    answer = raw(stack, *authorized, JSON, body=BODY.encode(), method=method)
    settle()

    assert answer.status in ({403, 404} if method == "OPTIONS" else {404, 405})
    assert not answer.is_ours
    assert dead_letters() == []


@pytest.mark.parametrize(
    "suffix", ["/", "/x", "x", "/..", "//", "%00", "%2f", ";x=y", f"/{MARK}", "/../../admin"]
)
def test_another_path_is_not_found_or_is_the_same_one(
    stack: Stack, suffix: str, dead_letters: DeadLetters
) -> None:
    dead_letters()
    answer = post(stack, BODY, suffix=suffix)

    assert answer.status in {200, 400, 404}
    assert answer.is_ours or answer.status != 200
    assert dead_letters() == []


def test_a_slash_at_the_end_of_the_url_does_no_harm(stack: Stack) -> None:
    assert post(stack, BODY, suffix="/").status == 200


@pytest.mark.parametrize(
    "name", ["", "secret", "token", "authorization", "Authorization", "access_token"]
)
def test_the_secret_in_the_query_lets_no_one_in_and_comes_back_nowhere(
    stack: Stack, name: str, log_lines: Callable[[str], list[str]]
) -> None:
    suffix = f"?{name}={quote(f'Bearer {stack.secret}')}&{MARK}={stack.secret}"

    assert post(stack, BODY, {"content-type": "application/json"}, suffix=suffix).status == 401
    assert post(stack, BODY, suffix=suffix).status == 200
    assert not any(stack.secret in line for line in log_lines("IngestLogGroup"))


BAD_BODIES = [
    *(b"", b" ", b"\0", b"null", b"[]", b"{}", b'"x"', b"1E400", b"NaN", b"[" * 50_000, b"{" * 9),
    *(b"\xef\xbb\xbf" * 2 + BODY.encode(), BODY.encode("utf-16"), BODY.encode() + b"x"),
    b"'" + MARK.encode(),
    *(b"\xff\xfe\xfd", b"\x1f\x8b\x08\x00" + MARK.encode()),
    BODY.replace("evt_1", "\ud800", 1).encode("utf-8", "surrogatepass"),
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body)[:24])
def test_a_body_that_is_no_event_is_refused_and_kept_byte_for_byte(
    stack: Stack, body: bytes, dead_letters: DeadLetters
) -> None:
    dead_letters()
    # A type that API Gateway hands over in base64: as application/json, bytes that are not UTF-8
    # reach the function as U+FFFD.
    answer = post(stack, body, headers_for(stack.secret) | {"content-type": "application/a+json"})
    [kept] = dead_letters()

    assert answer.status == 400
    assert kept["reason"] in {"not_json", "too_many_values", "invalid_event"}
    assert body == original_body(QueueMessage(kept["body"], kept))


@pytest.mark.parametrize(("size", "status"), [(262_144, 200), (262_145, 413), (2_000_000, 413)])
def test_the_largest_body_is_taken_and_a_larger_one_refused(
    stack: Stack, size: int, status: int
) -> None:
    body = make_body(make_event(note=""))
    body = body.replace('"note": ""', f'"note": "{"x" * (size - len(body))}"')
    assert len(body) == size

    assert post(stack, body).status == status


JUNK = st.sampled_from([None, "", MARK, 0, -1.5, True, [], {}, [MARK], {MARK: MARK}, "x" * 129])
TYPES = [None, "application/json", "application/x+json", "text/plain", "application/json;x", MARK]


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, str | None, str | None]:
    """A request that the document allows, or one with something changed in it.

    Returns: body, Authorization with `{secret}` for the secret, content type.
    """
    event = draw(values()) | {"data": {"profile_id": "http", "status": MARK}}
    authorization: str | None = "Bearer {secret}"
    content_type: str | None = "application/json"
    changes = draw(
        st.sets(st.sampled_from(["field", "bytes", "type", "token", "event"]), max_size=2)
    )
    if "field" in changes:
        event[draw(st.sampled_from([*event, MARK]))] = draw(JUNK)
    if "event" in changes:
        event.pop(draw(st.sampled_from(sorted(event))))
    body = json.dumps(event, ensure_ascii=draw(st.booleans())).encode()
    if "bytes" in changes:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=2)) + body[place + draw(st.integers(0, 2)) :]
    if "type" in changes:
        content_type = draw(st.sampled_from(TYPES))
    if "token" in changes:
        authorization = draw(
            st.sampled_from(
                [None, "", "Bearer", "Bearer x{secret}", "Basic {secret}", "{secret}", MARK]
            )
        )
    return body, authorization, content_type


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(request=requests())
def test_any_request_gets_a_documented_answer(
    stack: Stack, request: tuple[bytes, str | None, str | None]
) -> None:
    body, authorization, content_type = request
    named = {"authorization": authorization, "content-type": content_type}
    headers = {name: v.format(secret=stack.secret) for name, v in named.items() if v is not None}

    answer = post(stack, body, headers)

    assert answer.is_ours
    assert str(answer.status) in OPERATION["responses"]
    assert answer.status < 500
    assert (answer.status == 401) == (authorization != "Bearer {secret}")


def test_after_all_of_it_the_stack_still_works(
    stack: Stack,
    state: Callable[[str], dict[str, Any] | None],
    profile_id: str,
    settle: Settle,
) -> None:
    assert post(stack, make_body(make_event("evt-after", profile_id=profile_id))).status == 200
    settle()
    row = state(profile_id)

    assert row is not None
    assert row["event_id"] == "evt-after"
