"""`gpw mcp`: the guard of --http, and the form of answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from gpw.mcp import answers
from gpw.mcp.http import Access, Guard
from gpw.stack.text import visible
from tests.unit.test_console_security import finished

PORT = 8765
TOKEN = "the-token-of-this-start"
MINE: dict[str, str | list[str]] = {"host": f"127.0.0.1:{PORT}", "authorization": f"Bearer {TOKEN}"}


def status(headers: dict[str, str | list[str]]) -> int:
    """The status of the guard's answer; 200 is that of the application behind it."""
    sent: list[Any] = []
    pairs = [
        (name.encode(), value.encode("latin-1"))
        for name, given in headers.items()
        for value in ([given] if isinstance(given, str) else given)
    ]

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the body is not read")

    guard = Guard(PlainTextResponse("the application"), Access(PORT, TOKEN))
    finished(guard({"type": "http", "method": "POST", "headers": pairs}, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 200),
        ({"authorization": "Bearer another"}, 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": []}, 401),
        ({"authorization": [f"Bearer {TOKEN}", f"Bearer {TOKEN}"]}, 401),
        ({"host": f"attacker.test:{PORT}"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": []}, 421),
        ({"origin": f"http://127.0.0.1:{PORT}"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 403),
    ],
)
def test_only_a_client_with_the_token_is_let_through(
    changes: dict[str, str | list[str]], expected: int
) -> None:
    assert status(MINE | changes) == expected


def test_each_start_has_a_token_of_its_own() -> None:
    assert Access(PORT).token != Access(PORT).token


@given(st.text(max_size=300), st.integers(min_value=0, max_value=9))
def test_a_payload_is_one_text_whatever_it_holds(value: str, number: int) -> None:
    shown = answers.payload({"target": value, "n": number})

    assert set(shown) == {"untrusted_payload", "bytes", "cut"}
    assert all(map(visible, shown["untrusted_payload"]))


def test_rows_are_left_out_rather_than_cut() -> None:
    rows = [{"text": "x" * 100} for _ in range(20)]

    found = answers.fitting(rows, most=500)

    assert 0 < len(found) < 20
    assert len(json.dumps(found)) < 600
    assert answers.fitting([{"text": "x" * 10_000}], most=500) == [{"text": "x" * 10_000}]
