"""Headers, and requests of API Gateway that are not as they should be."""

import gzip
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import SECRET, make_api_gateway_event, make_body, make_context, make_event
from tests.hostile.answers import check_answer
from tests.hostile.world import MARK, Verdict, World
from tests.strategies import any_text

BODY = make_body(make_event(note=MARK))
JSON_HEADERS = {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
MALFORMED = "Unauthorized: Missing or invalid Authorization header"
WRONG = "Unauthorized: Invalid webhook secret"


def send(world: World, headers: dict[str, Any] | None, body: str = BODY) -> Verdict:
    request = make_api_gateway_event(body, authorization=None)
    return world.request(request | {"headers": headers}, body.encode())


@pytest.mark.parametrize(
    "header",
    [
        *(f"{scheme} {SECRET}" for scheme in ("Bearer", "bearer", "BEARER", "bEaReR")),
        *(f"Bearer  {SECRET}", f"Bearer {SECRET} ", f" Bearer {SECRET}", f"\tBearer {SECRET}\t"),
        "Bearer" + " " * 64 * 1024 + SECRET,
    ],
    ids=lambda header: repr(header)[:40],
)
@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_the_one_token_is_found_in_every_form_that_http_allows(
    world: World, name: str, header: str
) -> None:
    assert send(world, {name: header}) is Verdict.KEPT


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (None, MALFORMED),
        (f"Basic {SECRET}", MALFORMED),
        (f"Bearer {SECRET}, Bearer {SECRET}", MALFORMED),
        (f"Bearer {SECRET}\ud800", MALFORMED),
        ("Bearer " + "é" * 64 * 1024, MALFORMED),
        (f"Bearer {SECRET}x", WRONG),
        (f"Bearer {SECRET[:-1]}", WRONG),
        ("Bearer " + "x" * 65_536, WRONG),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_whatever_is_not_the_one_bearer_token_lets_no_one_in(
    world: World, header: str | None, body: str
) -> None:
    """tests/unit/test_authorization.py has the whole table."""
    assert send(world, {"authorization": header}) is Verdict.UNAUTHORIZED
    assert world.answer["body"] == body
    assert header is None or header not in world.log.getvalue()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}", "Authorization": f"Bearer {SECRET}"},
        {"authorization": f"Bearer {SECRET}", "AUTHORIZATION": ""},
        {"Authorization": "Basic x", "authorization": f"Bearer {SECRET}"},
        {"authorization": "", "Authorization": f"Bearer {SECRET}"},
    ],
)
def test_a_header_that_comes_twice_lets_no_one_in(world: World, headers: dict[str, str]) -> None:
    assert send(world, headers) is Verdict.UNAUTHORIZED
    assert world.answer["body"] == MALFORMED


@pytest.mark.parametrize(
    "name",
    [
        *("authorisation", "authorization ", " authorization", "x-authorization", "authorization:"),
        *(
            "proxy-authorization",
            "www-authorization",
            "author\u0131zation",
            "autho\u00adrization",
            "cookie",
        ),
    ],
)
def test_the_right_token_under_another_name_is_not_looked_at(world: World, name: str) -> None:
    assert send(world, {name: f"Bearer {SECRET}"}) is Verdict.UNAUTHORIZED


JSON_TYPES = [
    *(None, "", "application/json", "APPLICATION/JSON", "Application/Json", " application/json "),
    *("application/json;", "application/json; charset=utf-8", "application/json;charset=UTF-8"),
    *("application/json ; charset=utf-16", "application/json;a=b;c=d", 'application/json; a="b,c"'),
    *("application/problem+json", "application/vnd.api+json", "application/cloudevents+json; x=y"),
    *("text/json", "application/ld+json", "application/json;" + "x" * 64 * 1024),
]  # fmt: skip
OTHER_TYPES = [
    *("text/plain", "text/html", "multipart/form-data; boundary=x", "application/xml", "*/*"),
    "json",
    *("application/x-www-form-urlencoded", "application/octet-stream", "application/*"),
    "application",
    *("application/jsonp", "application/json5", "application/x-ndjson", "application/json-seq"),
    *("application/json,application/json", "application/json, text/plain", "application/+json"),
    *("application/json charset=utf-8", "application/json\nx", "application/json\0"),
    "a\u0131/json",
    *("applicat\u0131on/json", "applicati\u043en/json", "text/plain; application/json", " ", ";"),
    *(",", "\ud800"),
    *("x" * 64 * 1024, " " * 64 * 1024, "application/" + "a" * 64 * 1024, "image/json"),
    "application/a/b+json",
]  # fmt: skip


@pytest.mark.parametrize("content_type", JSON_TYPES, ids=lambda text: ascii(text)[:40])
def test_a_content_type_that_is_json_or_absent_is_taken(
    world: World, content_type: str | None
) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    if content_type is not None:
        headers["content-type"] = content_type

    assert send(world, headers) is Verdict.KEPT


@pytest.mark.parametrize("content_type", OTHER_TYPES, ids=lambda text: ascii(text)[:40])
def test_any_other_content_type_is_refused_and_the_body_kept(
    world: World, content_type: str
) -> None:
    headers = {"authorization": f"Bearer {SECRET}", "content-type": content_type}

    assert send(world, headers) is Verdict.REFUSED
    assert (world.answer["statusCode"], world.reason) == (415, "content_type")


@pytest.mark.parametrize("encoding", ["identity", "IDENTITY", "", ",", " identity , "])
def test_a_body_in_no_encoding_is_taken(world: World, encoding: str) -> None:
    assert send(world, JSON_HEADERS | {"content-encoding": encoding}) is Verdict.KEPT


@pytest.mark.parametrize(
    "encoding",
    ["gzip", "x-gzip", "deflate", "br", "zstd", "identity;q=0", "gzip, identity", "*", "\ud800"],
    ids=ascii,
)
def test_a_body_in_an_encoding_is_refused_and_kept(world: World, encoding: str) -> None:
    assert send(world, JSON_HEADERS | {"Content-Encoding": encoding}) is Verdict.REFUSED
    assert (world.answer["statusCode"], world.reason) == (415, "content_encoding")


def test_a_compressed_body_is_kept_byte_for_byte(world: World) -> None:
    compressed = gzip.compress(BODY.encode())
    request = make_api_gateway_event(compressed) | {
        "headers": JSON_HEADERS | {"content-encoding": "gzip"}
    }

    assert world.request(request, compressed) is Verdict.REFUSED
    assert world.reason == "content_encoding"


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "latin-1"])
def test_a_charset_that_is_not_utf8_does_not_change_how_the_body_is_read(
    world: World, charset: str
) -> None:
    headers = {
        "authorization": f"Bearer {SECRET}",
        "content-type": f"application/json; charset={charset}",
    }
    other = make_body(make_event()).replace("ready", "bereit £").encode(charset)
    request = make_api_gateway_event(other, authorization=None) | {"headers": headers}

    assert send(world, headers) is Verdict.KEPT
    assert world.request(request, other) is Verdict.REFUSED
    assert world.reason == "not_json"


BROKEN_BODIES: list[tuple[Any, bool, bytes]] = [
    (None, False, b""),
    (None, True, b""),
    ("", False, b""),
    ("", True, b""),
    ("not base64!", True, b"not base64!"),
    ("YQ", True, b"YQ"),
    ("YQ=", True, b"YQ="),
    ("=YQ=", True, b"=YQ="),
    ("YQ==\n", True, b"YQ==\n"),
    ("YQ==YQ==", True, b"YQ==YQ=="),
    ("e30=é", True, "e30=é".encode()),
    ("_-8=", True, b"_-8="),
    ("\ud800", True, b"\xed\xa0\x80"),
    ("\ud800", False, b"\xed\xa0\x80"),
    ("\0", False, b"\0"),
    (BODY + "\udfff", False, BODY.encode() + b"\xed\xbf\xbf"),
    (BODY, True, BODY.encode()),  # no base64 at all: the text itself
]


@pytest.mark.parametrize(("body", "encoded", "meant"), BROKEN_BODIES)
def test_a_body_that_api_gateway_did_not_hand_over_well_is_kept(
    world: World, body: Any, encoded: bool, meant: bytes
) -> None:
    request = make_api_gateway_event() | {"body": body, "isBase64Encoded": encoded}

    assert world.request(request, meant) is (
        Verdict.KEPT if meant == BODY.encode() else Verdict.REFUSED
    )


@pytest.mark.parametrize(
    "absent", ["body", "isBase64Encoded", "requestContext", "version", "rawPath"]
)
def test_a_part_of_the_request_that_is_absent_is_no_failure(world: World, absent: str) -> None:
    request = make_api_gateway_event(BODY)
    del request[absent]

    verdict = world.request(request, b"" if absent == "body" else BODY.encode())

    assert verdict is (Verdict.REFUSED if absent == "body" else Verdict.KEPT)


@pytest.mark.parametrize(
    ("headers", "body", "encoded"),
    list(product([None, {}, {"": ""}, {"x": None}], [None, "", BODY], [None, True, False])),
)
def test_a_request_without_headers_is_unauthorized(
    world: World, headers: dict[str, str] | None, body: str | None, encoded: bool | None
) -> None:
    request = {"headers": headers, "body": body, "isBase64Encoded": encoded}

    assert world.request(request, (body or "").encode()) is Verdict.UNAUTHORIZED
    assert world.answer["body"] == MALFORMED


def test_an_empty_request_is_unauthorized(world: World) -> None:
    assert world.request({}, b"") is Verdict.UNAUTHORIZED


@given(headers=st.dictionaries(any_text, any_text), body=any_text, encoded=st.booleans())
def test_any_request_without_the_token_is_unauthorized(
    world: World, headers: dict[str, str], body: str, encoded: bool
) -> None:
    answer = world.ingest.lambda_handler(
        {"headers": headers, "body": body, "isBase64Encoded": encoded}, make_context()
    )

    check_answer(answer)
    assert answer["statusCode"] == 401


@given(more=st.dictionaries(any_text, any_text), content_type=any_text)
def test_any_other_headers_beside_the_token_change_nothing(
    world: World, more: dict[str, str], content_type: str
) -> None:
    odd = {name: value for name, value in more.items() if name.lower() != "authorization"}
    headers = odd | {"authorization": f"Bearer {SECRET}", "content-type": content_type}

    assert send(world, headers) in {Verdict.KEPT, Verdict.REFUSED}
