"""The console's guard: what it refuses, and what every answer says."""

from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gpw.console.security import MAX_FORM_BYTES, Access, Guard

PORT = 8765
NAME = "gpw-0123456789abcdef.localhost"
HOST = f"{NAME}:{PORT}"
INNER = "the application"


class Served:
    """A guard in front of an application that answers everything."""

    def __init__(self) -> None:
        self.access = Access(PORT, NAME)
        self.reached = 0
        self._guard = Guard(self._application, self.access)

    @property
    def cookie(self) -> str:
        return f"{self.access.cookie}={self.access.session}"

    def ask(
        self, method: str = "GET", path: str = "/", query: str = "", **headers: str | list[str]
    ) -> tuple[int, dict[str, str], str]:
        """headers: with underscores in their names; a list for one that comes several times."""
        sent: list[Any] = []
        pairs = [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, given in headers.items()
            for value in ([given] if isinstance(given, str) else given)
        ]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": pairs,
        }

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("the body is not read")

        finished(self._guard(scope, receive, send))
        start, body = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, body["body"].decode()

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        await PlainTextResponse(INNER)(scope, receive, send)


def finished(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nobody; an event loop would open a socket."""
    with pytest.raises(StopIteration):
        work.send(None)


@pytest.fixture
def served() -> Served:
    return Served()


def test_the_link_works_once_and_sets_a_cookie_that_no_script_or_other_site_can_read(
    served: Served,
) -> None:
    query = served.access.link.partition("?")[2]
    status, headers, _ = served.ask(query=query, host=HOST)
    again, _, _ = served.ask(query=query, host=HOST)

    assert (status, headers["location"]) == (303, "/")
    assert headers["set-cookie"] == f"{served.cookie}; HttpOnly; Path=/; SameSite=strict"
    assert again == 403
    assert served.ask(host=HOST, cookie=served.cookie)[0] == 200


def test_each_console_has_a_host_name_that_nobody_can_guess_so_its_cookie_goes_nowhere_else() -> (
    None
):
    name, _, parent = Access(PORT).name.partition(".")

    assert parent == "localhost"
    assert len(name.removeprefix("gpw-")) * 4 >= 128  # bits
    assert Access(PORT).name != Access(PORT).name


def test_a_new_link_lets_another_browser_in_once_and_the_first_one_stays_in(
    served: Served,
) -> None:
    first = served.access.link.partition("?")[2]
    served.ask(query=first, host=HOST)
    another = served.access.new_link().partition("?")[2]

    assert [served.ask(query=query, host=HOST)[0] for query in (another, another, first)] == [
        303,
        403,
        403,
    ]
    assert served.ask(host=HOST, cookie=served.cookie)[0] == 200


def test_a_browser_with_the_cookie_can_open_the_used_link(served: Served) -> None:
    query = served.access.link.partition("?")[2]
    served.ask(query=query, host=HOST)

    assert served.ask(query=query, host=HOST, cookie=served.cookie)[0] == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost:8765"},
        {"host": "127.0.0.1:8765"},
        {"host": NAME},
        {"host": f"{NAME}:8766"},
        {"host": "console.attacker.test:8765"},
        {"host": [HOST, "console.attacker.test"]},
    ],
)
def test_another_host_name_is_refused_even_with_the_cookie(
    served: Served, headers: dict[str, Any]
) -> None:
    status, _, body = served.ask(cookie=served.cookie, **headers)

    assert (status, served.reached) == (421, 0)
    assert NAME not in body


@pytest.mark.parametrize("cookie", ["", "gpw-console=", "gpw-console=é", "=;;=\x01"])
def test_without_the_cookie_everything_is_refused_even_static_files(
    served: Served, cookie: str
) -> None:
    for path in ("/", "/events", "/static/console.css"):
        status, _, body = served.ask(path=path, host=HOST, cookie=cookie)

        assert (status, served.reached) == (403, 0)
        assert INNER not in body


@pytest.mark.parametrize("key", ["", "x", "é", "%00"])
def test_a_wrong_key_is_refused_and_the_right_one_stays_valid(served: Served, key: str) -> None:
    assert served.ask(query=f"key={key}", host=HOST)[0] == 403
    assert served.ask(query=served.access.link.partition("?")[2], host=HOST)[0] == 303


@pytest.mark.parametrize("site", [None, "cross-site", "same-site", "none", "", "same-origin, x"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_request_other_than_get_must_come_from_a_page_of_the_console(
    served: Served, method: str, site: str | None
) -> None:
    headers = {} if site is None else {"sec_fetch_site": site}
    status, answered, _ = served.ask(
        method, host=HOST, cookie=served.cookie, content_length="0", **headers
    )

    assert (status, served.reached) == (403, 0)
    assert not any(name.startswith("access-control") for name in answered)


@pytest.mark.parametrize(
    "length", [None, "-1", "1e3", "²", str(MAX_FORM_BYTES + 1), "9" * 5_000, ["1", "2"]]
)
def test_a_form_that_is_too_large_or_of_unknown_length_is_refused_before_it_is_read(
    served: Served, length: str | list[str] | None
) -> None:
    headers: dict[str, Any] = {} if length is None else {"content_length": length}
    status, _, _ = served.ask(
        "POST", host=HOST, cookie=served.cookie, sec_fetch_site="same-origin", **headers
    )

    assert (status, served.reached) == (413, 0)


def test_every_response_has_the_policy_and_is_not_cached(served: Served) -> None:
    refused = served.ask(host="other")
    shown = served.ask(host=HOST, cookie=served.cookie)

    assert (refused[0], shown[0]) == (421, 200)
    for _, headers, _ in (refused, shown):
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_a_websocket_reaches_nothing(served: Served) -> None:
    async def never(*_: Any) -> None:
        raise AssertionError("nothing is sent")

    finished(served._guard({"type": "websocket"}, never, never))  # type: ignore[arg-type]

    assert served.reached == 0
