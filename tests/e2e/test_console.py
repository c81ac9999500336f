"""The console in a real browser, on the deployed template."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gpw.stack.listener_names import prefix
from infra.local.stack import Stack
from infra.local.start import announced
from infra.local.story import wait_until
from tests.e2e.console_process import Running, Window, console, launch, window
from tests.factories import make_body, make_event

AXE = Path(__file__).parent / "axe" / "axe-4.14.1.min.js"
SECONDS = 30_000  # milliseconds that a page may take on a busy machine
SERIOUS = {"serious", "critical"}
PAGES = ("/", "/events", "/listen", "/types", "/dead-letters", "/held", "/actions/replay")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cloud_file(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("console") / "cloud.json"
    with announced(stack, path):
        yield path


@pytest.fixture(scope="module")
def running(cloud_file: Path) -> Iterator[Running]:
    with console(cloud_file, "--write") as running:
        yield running


@pytest.fixture(scope="module")
def session(browser: Browser, running: Running) -> Any:
    """What the browser keeps after the link was opened: the cookie."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(running.link)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def shown(browser: Browser, session: Any) -> Iterator[Window]:
    """A window that is let in; it must not have complained in the end."""
    with window(browser, storage_state=session) as shown:
        shown.page.set_default_timeout(SECONDS)
        yield shown

        assert shown.problems == []


@pytest.fixture
def page(shown: Window) -> Page:
    return shown.page


Send = Callable[..., str]


@pytest.fixture
def send(stack: Stack, profile_id: str, history: Callable[..., list[dict[str, Any]]]) -> Send:
    """Delivers an event of the test's profile, and waits until the history has it."""

    def deliver(event_id: str, **data: Any) -> str:
        named = f"{event_id}-{profile_id}"
        event = make_event(named, **({"profile_id": profile_id} | data))
        assert stack.post(make_body(event)).status == 200
        wait_until(
            lambda: (
                named in [item["event_id"] for item in history(event["data"]["profile_id"])] or None
            ),
            seconds=60,
            what="the event in the history",
        )
        return named

    return deliver


def row(page: Page, event_id: str) -> Any:
    return page.locator("#rows tr", has=page.get_by_role("link", name=event_id, exact=True))


# ---------------------------------------------------------------- pages


def test_new_events_appear_without_a_reload_and_only_those_that_match(
    page: Page, running: Running, send: Send
) -> None:
    page.goto(f"{running.url}/events?status=ready")
    page.evaluate("document.body.dataset.same = 'page'")
    other = send("live-other", status="processing")
    live = send("live", status="ready")

    expect(row(page, live)).to_be_visible()
    expect(row(page, other)).to_have_count(0)
    expect(page.locator("body")).to_have_attribute("data-same", "page")


def test_an_event_is_found_by_a_word_in_its_payload_and_compared_with_the_one_before(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    send("first", status="processing", created_at="2023-10-01T12:00:00Z")
    found = send("second", note=f"Hummingbird{profile_id}", created_at="2023-10-01T12:00:05Z")
    page.goto(f"{running.url}/events")
    expect(row(page, found)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type(f"hummingbird{profile_id}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=hummingbird"))
    expect(page.locator("#rows tr[data-row]")).to_have_count(1)
    page.locator("main").click(position={"x": 1, "y": 1})
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text(found)
    expect(page.locator("table.changes")).to_contain_text("data.status")

    def way_is_whole() -> bool | None:
        """A function's log line arrives after what it has done."""
        page.reload()
        return "consumer: event applied" in page.locator("ol.way").inner_text() or None

    wait_until(way_is_whole, seconds=60, what="the consumer's log line")


def test_a_list_with_long_names_has_one_line_an_event_and_each_row_opens_its_event(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    word = f"dense{profile_id}"
    name = send(f"evt-{'long' * 25}", status="processing" * 9, note=word)
    page.goto(f"{running.url}/events?q={word}")
    cells = page.locator("#rows tr[data-row] td")
    expect(cells).to_have_count(6)
    heights = cells.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    line = cells.first.evaluate("one => parseFloat(getComputedStyle(one).lineHeight)")
    cells.nth(3).click()

    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert max(heights) < 2 * line


def test_a_filter_applies_at_once_and_is_removed_by_its_chip(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    word = f"chip{profile_id}"
    names = [send(f"chip-{status}", status=status, note=word) for status in ("ready", "processing")]
    page.goto(f"{running.url}/events?q={word}")
    expect(page.locator("#rows tr[data-row]")).to_have_count(2)
    page.get_by_label("Status").select_option("ready")
    expect(page.locator("#rows tr[data-row]")).to_have_count(1)
    expect(page).to_have_url(f"{running.url}/events?status=ready&q={word}")
    expect(row(page, names[0])).to_be_visible()
    page.get_by_role("link", name="Remove the filter status ready").click()
    expect(page.locator("#rows tr[data-row]")).to_have_count(2)
    expect(page).to_have_url(f"{running.url}/events?q={word}")
    expect(page.get_by_role("link", name="Replay all")).to_be_visible()
    page.get_by_role("searchbox").fill("nothing-has-this-word")
    page.keyboard.press("Enter")

    expect(page.get_by_text("No event in memory matches")).to_be_visible()
    expect(page.get_by_role("link", name="Replay all")).to_be_hidden()


def test_the_page_of_an_event_copies_its_payload_leads_to_the_next_and_replays_it_alone(
    page: Page, running: Running, send: Send
) -> None:
    first = send("walk-1", created_at="2023-10-01T12:00:00Z")
    second = send("walk-2", created_at="2023-10-01T12:00:05Z", note="copied")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{running.url}/events?q={first}")
    row(page, first).get_by_role("link", name=first).click()
    page.get_by_role("link", name=f"Later: {second}").click()
    expect(page.get_by_role("link", name=f"Earlier: {first}")).to_be_visible()
    page.get_by_role("region", name="Payload").get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.get_by_text("exact times")).to_be_visible()
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Replayed 1 event")).to_be_in_viewport()
    page.get_by_role("link", name="Show its path now").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(second)
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["note"] == "copied"


def test_all_events_that_match_are_replayed_after_a_dry_run(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    for number in range(3):
        send(f"many-{number}", note=f"replay{profile_id}")
    page.goto(f"{running.url}/events?q=replay{profile_id}")
    expect(page.locator("#rows tr[data-row]")).to_have_count(3)
    page.get_by_role("link", name="Replay all").click()
    expect(page.get_by_text("Would replay 3 events")).to_be_visible()
    page.get_by_role("button", name="Replay 3 events").click()

    expect(page.get_by_text("Replayed 3 events")).to_be_visible()


@pytest.fixture
def own_app() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An application on this machine: its URL, and the events that it got."""
    got: list[dict[str, Any]] = []

    class App(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(f"<b>request {len(got)}</b>".encode())

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), App) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hooks", got
        server.shutdown()
        thread.join()


def test_an_application_gets_live_events_and_its_responses_are_shown_and_one_is_retried(
    page: Page,
    running: Running,
    send: Send,
    profile_id: str,
    own_app: tuple[str, list[dict[str, Any]]],
) -> None:
    url, got = own_app
    page.goto(f"{running.url}/listen?tenant=abc-tenant&profile={profile_id}")
    page.get_by_role("textbox", name="URL").fill(url)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(f"Live events go to {url}")).to_be_visible()
    page.evaluate("document.body.dataset.same = 'page'")
    name = send("forwarded")
    attempts = page.locator("tr[data-row]", has=page.get_by_role("link", name=name, exact=True))
    expect(attempts).to_have_count(1)
    expect(attempts).to_contain_text("<b>request 1</b>")
    attempts.get_by_role("button", name=f"Retry {name}").click()
    expect(attempts).to_have_count(2)
    expect(attempts.first).to_contain_text("<b>request 2</b>")
    expect(page.locator("body")).to_have_attribute("data-same", "page")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start")).to_be_visible()

    assert [event["id"] for event in got] == [name, name]


def test_an_edited_event_is_sent_and_arrives(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    name = send("edit", status="processing")
    page.goto(f"{running.url}/events?q={name}")
    row(page, name).get_by_role("link", name=name).click()
    body = page.get_by_role("textbox", name="as GetProfile would send it")
    body.fill(body.input_value().replace('"processing"', '"edited"'))
    page.get_by_role("button", name="New id and time").click()
    sent = json.loads(body.input_value())
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#sent")).to_contain_text("200 OK")
    page.goto(f"{running.url}/events?tenant=abc-tenant&profile={profile_id}")

    expect(row(page, sent["id"])).to_contain_text("edited")
    assert sent["id"] != name


def test_a_dead_letter_is_redriven_after_a_dry_run(
    page: Page, running: Running, stack: Stack, profile_id: str, dead_letters: Callable[[], Any]
) -> None:
    dead_letters()
    stack.client("sqs").send_message(
        QueueUrl=stack.outputs["DeadLetterQueueUrl"],
        MessageBody=make_body(make_event(f"dead-{profile_id}", profile_id=profile_id)),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in {"source": "consumer", "reason": "not_storable"}.items()
        },
    )
    page.goto(f"{running.url}/dead-letters")
    expect(page.get_by_role("heading", name="not_storable")).to_be_visible()
    page.get_by_text("What to do about it").click()
    expect(page.get_by_text("DynamoDB can't hold the event")).to_be_visible()
    page.get_by_label("all of these").check()
    page.get_by_role("button", name="Redrive selected").click()
    expect(page.get_by_text("Would redrive 1 dead letter")).to_be_in_viewport()
    page.get_by_role("button", name="Redrive 1 dead letter").click()
    expect(page.get_by_text("Redrove 1 dead letter")).to_be_in_viewport()
    page.goto(f"{running.url}/events?q=dead-{profile_id}")

    expect(row(page, f"dead-{profile_id}")).to_be_visible()


def test_a_hostile_event_runs_no_script_anywhere(
    page: Page, running: Running, send: Send, profile_id: str
) -> None:
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e"
    name = send("hostile", status=bad, note=bad, **{f"{bad}": bad})
    page.goto(f"{running.url}/events?q={name}")
    expect(row(page, name)).to_contain_text("<script>alert(1)")
    row(page, name).get_by_role("link", name=name).click()
    expect(page.locator("pre.json").first).to_contain_text("<script>alert(1)")
    for path in (f"/profile?tenant=abc-tenant&profile={profile_id}", "/types", "/"):
        page.goto(f"{running.url}{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_the_keys_are_listed_and_the_list_closes(page: Page, running: Running) -> None:
    page.goto(f"{running.url}/events")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_overview_shows_checks_queues_minutes_and_cost(page: Page, running: Running) -> None:
    page.goto(running.url)

    expect(page.locator(".checks li", has_text="alarms")).to_be_visible()
    expect(page.get_by_role("region", name="Queues")).to_contain_text("dead letters")
    expect(page.get_by_role("region", name="Cost of the last day")).to_contain_text("gpw cost")
    expect(page.locator("svg.chart")).to_be_visible()


def test_the_webhook_url_is_copied_from_the_overview(
    page: Page, running: Running, stack: Stack
) -> None:
    url = stack.url
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(running.url)
    webhook = page.get_by_role("region", name="Webhook URL")
    webhook.get_by_role("button", name="Copy").click()
    expect(webhook.get_by_role("button", name="Copied")).to_be_visible()

    assert page.evaluate("navigator.clipboard.readText()") == url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_has_a_serious_fault_of_accessibility_nor_is_wider_than_the_window(
    browser: Browser, session: Any, running: Running, send: Send, scheme: str, width: int
) -> None:
    name = send("axe", note="for everybody")
    settings = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    with window(browser, storage_state=session, **settings) as shown:
        page = shown.page
        page.goto(f"{running.url}/events?q={name}")
        links = row(page, name).get_by_role("link")
        own = [links.nth(number).get_attribute("href") for number in (0, 1)]
        faults = {}
        for path in (*PAGES, *own):
            page.goto(f"{running.url}{path}")
            page.wait_for_load_state("networkidle" if path in own else "load")
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run()")["violations"]
            faults[path] = [
                (one["id"], node["html"])
                for one in found
                if one["impact"] in SERIOUS
                for node in one["nodes"]
            ]
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(overflow) <= 0, path
            menu = page.get_by_role("navigation", name="Pages").get_by_role("link")
            ends = menu.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
            assert len(ends) == len(PAGES) - 1  # each but an action, which the list leads to
            assert max(ends) <= width, path

        assert {path: found for path, found in faults.items() if found} == {}
        assert shown.problems == []


# ---------------------------------------------------------------- what is refused


def test_the_link_works_in_one_browser_and_another_one_sees_nothing(
    browser: Browser, running: Running, session: Any
) -> None:
    with window(browser) as stranger:
        for url in (running.link, running.url, f"{running.url}/static/console.css"):
            answer = stranger.page.goto(url)
            assert answer is not None
            assert answer.status == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_another_name_for_this_machine_is_refused(
    browser: Browser, running: Running, session: Any, name: str
) -> None:
    with window(browser, storage_state=session) as shown:
        answer = shown.page.goto(f"http://{name}:{running.port}/events")

        assert answer is not None
        assert answer.status == 421


def test_a_server_on_another_port_does_not_get_the_cookie_to_read_the_console_with(
    browser: Browser, running: Running, session: Any
) -> None:
    got: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                got.append(self.headers["cookie"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with window(browser, storage_state=session) as shown:
            for name in ("127.0.0.1", "localhost", "other.localhost"):
                shown.page.goto(f"http://{name}:{server.server_port}/")
        server.shutdown()
        thread.join()
    # What it got, sent to the console by a program that knows even its name.
    read = []
    for cookie in got:
        connection = HTTPConnection("127.0.0.1", running.port)
        host = running.url.partition("//")[2]
        connection.request("GET", "/events", headers={"host": host, "cookie": cookie or ""})
        read.append(connection.getresponse().status)
        connection.close()

    assert (got, read) == ([None] * 3, [403] * 3)


@pytest.fixture
def elsewhere(running: Running) -> Iterator[str]:
    """Another server on this machine, whose page attacks the console; the site is the same."""
    attack = f"""<!doctype html><title>Elsewhere</title>
    <form method=post action="{running.url}/profile/erase"><input name=tenant value=x>
    <input name=profile value=y><button>Send</button></form>
    <iframe name=framed src="{running.url}/events"></iframe>"""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(attack.encode())

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_of_another_server_on_this_machine_can_neither_read_nor_write_nor_frame(
    browser: Browser, running: Running, session: Any, elsewhere: str
) -> None:
    with window(browser, storage_state=session) as shown:
        page = shown.page
        page.goto(elsewhere)
        read = page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')",
            f"{running.url}/events",
        )
        written = page.evaluate(
            "url => fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include'})"
            ".then(() => 'sent', () => 'refused')",
            f"{running.url}/profile/erase",
        )
        framed = page.frame("framed")
        shown_in_frame = framed.url if framed else ""
        with page.expect_response(f"{running.url}/profile/erase") as answer:
            page.get_by_role("button", name="Send").click()

        assert read == "refused"
        assert written in {"sent", "refused"}  # nobody can read what became of it
        assert shown_in_frame.startswith("chrome-error:")
        assert answer.value.status == 403


def test_a_console_without_write_shows_and_changes_nothing(
    browser: Browser, cloud_file: Path, send: Send
) -> None:
    name = send("read-only")
    with ExitStack() as closing:
        running = closing.enter_context(console(cloud_file))
        page = closing.enter_context(window(browser)).page
        page.goto(running.link)
        expect(page.locator(".badge").first).to_have_text("read only")
        page.goto(f"{running.url}/events?q={name}")
        row(page, name).get_by_role("link", name=name).click()
        # A script that runs while the page is still changing has no answer.
        expect(page).to_have_url(re.compile(r"/event\?"))
        page.wait_for_load_state()
        expect(page.get_by_text("Actions are off in this console").first).to_be_visible()
        sent = page.evaluate(
            "() => fetch('/event/send', {method: 'POST', body: 'to=local&body={}'})"
            ".then(answer => answer.status)"
        )

        expect(page.get_by_role("textbox")).to_have_count(0)
        assert sent == 400


def test_a_console_that_has_ended_leaves_neither_rule_nor_queue(
    stack: Stack, cloud_file: Path
) -> None:
    bus = stack.outputs["EventBusName"]

    def left() -> set[str]:
        rules = stack.client("events").list_rules(EventBusName=bus)["Rules"]
        return {rule["Name"] for rule in rules if rule["Name"].startswith(prefix(bus))}

    before = left()
    with console(cloud_file):
        during = wait_until(lambda: left() - before or None, seconds=60, what="the console's rule")

    assert during
    assert left() == before


def test_a_page_whose_console_has_ended_says_that_it_is_offline(
    browser: Browser, cloud_file: Path
) -> None:
    with window(browser) as shown:
        badge = shown.page.locator(".live b")
        with console(cloud_file) as running:
            shown.page.goto(running.link)
            expect(badge).to_have_text("live")

        expect(badge).to_have_text("offline")
