"""The console's pages on the stack in memory (moto), asked as a browser asks."""

import hashlib
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatch
from html import escape, unescape
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts
from typer.testing import CliRunner

from gpw.cli.app import app as command_line
from gpw.cli.table import loaded
from gpw.console import (
    actions,
    event,
    events,
    fill,
    filters,
    forwarder,
    letters,
    listening,
    live,
    one_event,
    overview,
    parked,
)
from gpw.console.app import application
from gpw.console.filters import Filters
from gpw.console.forwarder import Attempts, Run
from gpw.console.jobs import Job
from gpw.console.security import Access
from gpw.console.web import Console
from gpw.history.history import Key
from gpw.history.selection import Selection
from gpw.listening.bus_event import BusEvent, from_history
from gpw.listening.forward import DEVELOPMENT_SECRET, RESPONSE_BYTES, Result
from gpw.operations import erase
from gpw.stack import queues
from gpw.stack.errors import OperatorError
from gpw.stack.permissions import LISTENING, physical_name
from gpw.stack.permissions import STACK as PLACE
from gpw.stack.target import Target
from receiver.aws.dynamodb import item_from_dynamodb, to_dynamodb
from receiver.domain.outcome import Outcome
from receiver.messages import held
from tests.factories import SECRET, make_body, make_event, make_item
from tests.functional.cloud import REGION, STACK, Cloud
from tests.functional.console_browser import Browser
from tests.functional.gpw_calls import Calls
from tests.functional.gpw_stack import OperatedStack
from tests.functional.listening_app import App, running
from tests.functional.listening_app import answer as respond

HOSTILE = (
    "{{7*7}}<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x9b31m\x00\u05d0\u05d1"
)
Item = dict[str, Any]


@pytest.fixture(autouse=True)
def quick(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop talks to itself through a socket pair; SQS is not waited for."""
    enable_socket()
    disable_socket(allow_unix_socket=True)
    monkeypatch.setattr(queues, "WAIT_SECONDS", 0)
    monkeypatch.setattr(erase, "COUNT_SECONDS", 0.0)


@pytest.fixture
def stack(cloud: Cloud) -> OperatedStack:
    return OperatedStack(cloud)


@pytest.fixture
def target(stack: OperatedStack) -> Target:
    return Target(STACK, boto3.Session(region_name=REGION))


@pytest.fixture
def console(target: Target) -> Iterator[Console]:
    """A console that has read the history so far when `filled` is called; nothing runs beside."""
    console = Console(target, Access(8765), write=True, since="30d", requirements={})
    yield console
    console.stop()
    console.store.close()


@pytest.fixture
def browser(console: Console) -> Browser:
    access = console.access
    return Browser(application(console), access.host, f"{access.cookie}={access.session}")


@pytest.fixture
def happened(stack: OperatedStack, console: Console) -> Callable[..., Item]:
    """Puts an event into the history, and has the console read it."""

    def put(
        event_id: str = "evt_1",
        outcome: Outcome = Outcome.APPLIED,
        received_at: str | None = None,
        **data: Any,
    ) -> Item:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        event = make_event(event_id, **data)
        item = stack.happened(event, outcome, received_at=received_at or now)
        take(console, item)
        return item

    return put


def take(console: Console, item: Item, *, live: bool = False) -> None:
    """Have the console read an item of the history."""
    found = console.target.table("EventsTableName").get(address(item))
    assert found is not None
    console.store.add([found], live=live)


def address(item: Item) -> dict[str, str]:
    return {name: item[name]["S"] for name in ("subject", "version")}


# ---------------------------------------------------------------- what pages show


PAGES = [
    "/",
    "/events",
    "/types",
    "/dead-letters",
    "/listen",
    "/listen/state",
    "/overview/queues",
    "/overview/minutes",
    "/overview/cost",
    "/fill",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_something_where_there_is_nothing_yet(browser: Browser, path: str) -> None:
    answer = browser.get(path)

    assert answer.status == 200
    assert len(answer.text) > 50


def test_a_hostile_event_is_text_on_every_page(
    browser: Browser, console: Console, stack: OperatedStack
) -> None:
    event = make_event(
        f"evt-{HOSTILE}",
        event_type=HOSTILE,
        tenant_id=HOSTILE,
        profile_id=HOSTILE,
        status=HOSTILE,
    )
    event["data"] |= {HOSTILE: HOSTILE, "number": 10**37}
    item = stack.happened(event, Outcome.STALE, received_at="2099-01-01T00:00:00.000000Z")
    older = event | {"id": "evt-before", "created_at": "2023-09-30T12:00:00Z", "data": {}}
    older["data"] = {"profile_id": HOSTILE, "status": "ready"}
    stack.happened(older)
    stack.put_raw(
        "ProfilesTableName",
        {n: to_dynamodb(v) for n, v in {"profile_id": HOSTILE, "tenant_id": HOSTILE}.items()},
    )
    stack.dead_letter(make_body(event), reason="not_storable", detail="<script>", source="consumer")
    take(console, item, live=True)
    browser.job("/dead-letters/look")
    profile = {"tenant": HOSTILE, "profile": HOSTILE}
    shown = [
        browser.get("/events"),
        browser.get("/events", q="<script>", **profile),
        browser.request("GET", "/events/stream", query="after=0", parts=2),
        browser.get("/types"),
        browser.get("/event", **address(item)),
        browser.get("/profile", **profile),
        browser.get("/dead-letters"),
        browser.get("/actions/replay", q="{{7*7}}<script>", **profile),
    ]

    assert browser.get("/event/way", **address(item)).status == 200
    for answer in shown:
        assert answer.status == 200
        assert "alert(1)" in answer.text
        assert "<script>" not in answer.text
        assert "<img" not in answer.text
        assert "{{7*7}}" in answer.text
        beside_fields = re.sub(r' value="[^"]*"', "", answer.text)  # these have to be sent back
        assert not {"\u202e", "\x9b", "\x00"} & set(beside_fields)


def test_a_large_payload_is_shown_whole_and_found_by_a_word_in_it(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    item = happened("evt-large", many=[f"member-{n}" for n in range(15_000)])
    page = browser.get("/event", **address(item)).text

    assert page.count("member-14999") >= 1
    assert "evt-large" in browser.get("/events", q="member-14998").text


def test_an_event_with_long_names_makes_a_page_of_a_few_megabytes(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    """Their names are long, and all of them changes."""
    for minute in (1, 2):
        data: Any = {f"k{n}": n + minute for n in range(250)}
        for letter in "ABC":
            data = {letter * 20_000 + "\U0001f600": data}
        at = f"2023-10-01T12:0{minute}:00Z"
        item = happened(f"evt-{minute}", created_at=at, nested=data)
    page = browser.get("/event", **address(item))

    assert page.status == 200
    assert len(page.body) < 4 * 1024 * 1024


def test_events_are_found_by_any_word_and_every_filter_stands_in_the_address(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-a", note="Blue Whale", status="processing")
    happened("evt-b", Outcome.STALE, tenant_id="t-2", profile_id="p-2")

    def found(**query: str) -> set[str]:
        text = browser.get("/events", **query).text
        return {name for name in ("evt-a", "evt-b") if f">{name}<" in text}

    assert found() == {"evt-a", "evt-b"}
    assert found(q="whale blue") == {"evt-a"}
    assert found(status="processing") == {"evt-a"}
    assert found(outcome="stale") == {"evt-b"}
    assert found(tenant="t-2", profile="p-2") == {"evt-b"}
    assert found(type="profile.updated", since="1h") == {"evt-a", "evt-b"}
    assert found(until="2h") == set()
    page = browser.get("/events", q="blue", tenant="abc-tenant").text
    assert 'value="blue"' in page
    assert "gpw events --tenant abc-tenant --text blue --stack" in page


def test_filters_are_chips_in_an_address_without_empty_fields(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-a", status="ready")
    sent = browser.get("/events", q="", tenant="abc-tenant", profile="12345", status=" ")
    page = browser.get("/events", tenant="abc-tenant", profile="12345", status="ready").text
    chips = {unescape(one) for one in re.findall(r'class="chip" href="([^"]*)"', page)}

    assert (sent.status, sent.headers["location"]) == (
        303,
        "/events?tenant=abc-tenant&profile=12345",
    )
    assert chips == {
        "/events?status=ready",  # a profile belongs to a tenant
        "/events?tenant=abc-tenant&status=ready",
        "/events?tenant=abc-tenant&profile=12345",
    }


def test_a_row_shows_how_long_ago_and_the_exact_time_and_whole_values_on_hover(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    received = datetime.now(UTC) - timedelta(hours=3)
    happened(f"evt-{'long' * 30}", received_at=f"{received:%Y-%m-%dT%H:%M:%S.%fZ}")
    page = browser.get("/events").text

    assert f'title="{received:%Y-%m-%d %H:%M:%S} UTC">3 h ago</time>' in page
    assert f'title="evt-{"long" * 30}"' in page


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("since", "<yesterday>", "write 30m, 2h or 7d"),
        ("until", "tomorrow", "write 30m, 2h or 7d"),
        ("profile", "m1", "choose its tenant, too"),
        ("outcome", "lost", "there is no such outcome"),
    ],
)
def test_a_filter_that_is_wrong_is_answered_with_the_form_and_the_reason_beside_the_field(
    browser: Browser, happened: Callable[..., Item], name: str, value: str, why: str
) -> None:
    happened("evt-1")
    answer = browser.get("/events", q="kept", **{name: value})
    [field] = re.findall(rf"<label><span>{name.title()}.*?</label>", answer.text, re.DOTALL)

    assert answer.status == 400
    assert why in field
    assert escape(value) in field
    assert 'value="kept"' in answer.text
    assert "evt-1" not in answer.text
    assert "Replay all" not in answer.text
    assert "<yesterday>" not in answer.text


def test_new_events_that_match_are_streamed_once_and_others_are_not(
    browser: Browser, console: Console, happened: Callable[..., Item]
) -> None:
    happened("evt-old")
    after = console.store.last_id()
    for name, status in (("evt-new", "ready"), ("evt-other", "processing")):
        item = happened(name, status=status, profile_id=name)
        console.store.forget([Key(**address(item))])
        take(console, item, live=True)
    answer = browser.request("GET", "/events/stream", query=f"after={after}&status=ready", parts=2)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count("evt-new") >= 1
    assert "evt-old" not in answer.text
    assert "evt-other" not in answer.text


def test_an_event_is_compared_with_the_one_before_it(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-1", created_at="2023-10-01T12:00:00Z", status="processing", gone=1)
    item = happened("evt-2", created_at="2023-10-01T12:01:00Z", status="ready", added=[1])
    page = browser.get("/event", **address(item)).text

    assert "data.status" in page
    assert "data.gone" in page
    assert "data.added" in page
    assert "data.profile_id" not in page


def test_nothing_is_compared_with_another_type_or_with_another_event_of_a_tenant(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-1", created_at="2023-10-01T12:00:00Z")
    other = happened("evt-2", created_at="2023-10-01T12:01:00Z", event_type="profile.merged")
    happened("evt-3", created_at="2023-10-01T12:02:00Z", event_type="profile.merged")
    page = browser.get("/event", **address(other)).text

    assert "Changes since" not in page
    assert ">evt-1<" in page.partition('rel="prev"')[2]
    assert ">evt-3<" in page.partition('rel="next"')[2]


@pytest.mark.parametrize("name", ["replay", "republish", "forward"])
def test_an_action_on_the_page_of_an_event_reaches_this_event_and_tells_its_outcome(
    browser: Browser, happened: Callable[..., Item], app: App, name: str
) -> None:
    happened("evt-1", note="evt-2")  # a search for evt-2 would find it, too
    item = happened("evt-2")
    done = browser.job(f"/event/actions/{name}", **address(item), url=app.url)

    assert " 1 event" in done
    assert "notice good" in done
    assert f"gpw {name}" in done
    assert ids(app) == (["evt-2"] if name == "forward" else [])


def test_a_stale_event_names_the_newer_one_that_was_applied_before_it(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-newer", created_at="2023-10-01T12:05:00Z", received_at="2026-01-01T00:00:00Z")
    item = happened("evt-late", Outcome.STALE, received_at="2026-01-01T00:00:09Z")
    page = browser.get("/event", **address(item)).text

    assert "Why it is stale" in page
    assert "evt-newer" in page
    assert "before this one" in page


def test_the_way_of_an_event_has_the_times_that_the_functions_logged(
    browser: Browser, stack: OperatedStack, happened: Callable[..., Item]
) -> None:
    received = datetime.now(UTC)
    item = happened("evt-way", received_at=f"{received:%Y-%m-%dT%H:%M:%S.%fZ}")
    line = {"level": "INFO", "message": "event applied", "correlation_id": "evt-way"}
    stack.log(
        "ConsumerLogGroup",
        json.dumps(line | {"outcome": "applied"}),
        int((received + timedelta(milliseconds=250)).timestamp() * 1000),
    )
    page = browser.get("/event/way", **address(item)).text

    assert "consumer: event applied" in page
    assert "GetProfile: created" in page


def test_the_curl_command_holds_no_secret(
    browser: Browser, cloud: Cloud, happened: Callable[..., Item]
) -> None:
    cloud.set_secret("a-secret-that-no-page-may-show-0123456789")
    page = browser.get("/event", **address(happened(note="it's"))).text

    assert "$WEBHOOK_SECRET" in page
    assert "a-secret-that-no-page" not in page


def test_a_sample_is_the_event_as_getprofile_sends_it(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    answer = browser.get("/event/sample", **address(happened("evt-s", note="x")))
    sample = json.loads(answer.text)

    assert "attachment" in answer.headers["content-disposition"]
    assert set(sample) == set(make_event())
    assert sample["data"]["note"] == "x"


def test_an_export_has_what_matches_with_every_digit(
    browser: Browser, happened: Callable[..., Item]
) -> None:
    happened("evt-x", exact=Decimal("0.1234567890123456789012345678901234567"))
    happened("evt-y", status="processing")
    [line] = browser.get("/events/export.ndjson", status="ready").text.splitlines()
    rows = browser.get("/events/export.csv").text.splitlines()

    assert "0.1234567890123456789012345678901234567" in line
    assert len(rows) == 3


def test_an_address_that_names_nothing_is_answered_by_a_page(browser: Browser) -> None:
    assert browser.get("/nowhere").status == 404
    assert browser.get("/event", subject="x", version="y").status == 400
    assert browser.get("/profile").status == 400
    assert browser.get("/actions/destroy").status == 400
    assert browser.get("/jobs/99").status == 400
    assert browser.get("/events/export.xml").status == 400


# ---------------------------------------------------------------- what they do


def test_a_replay_sends_exactly_what_the_dry_run_counted_whatever_matches_by_then(
    browser: Browser, cloud: Cloud, console: Console, happened: Callable[..., Item]
) -> None:
    for number in range(12):
        happened(f"evt-{number}", profile_id=f"p-{number}", note="blue")
    happened("evt-red", note="red")
    page = browser.get("/actions/replay", q="blue").text
    dry = browser.job("/actions/replay", q="blue", dry_run="yes")
    untouched = cloud.messages("EventsQueue")
    console.fill.start("30d")  # "Read again": the rows get other numbers
    wait_for(lambda: not console.fill.running)
    happened("evt-later", note="blue")
    done = browser.job("/actions/replay", plan=plan_of(dry))
    again = browser.post("/actions/replay", plan=plan_of(dry)).text
    sent = {json.loads(message.body)["id"] for message in cloud.messages("EventsQueue")}

    assert "Replay all events that match" in page
    assert "Would replay 12 events" in dry
    assert ">Replay 12 events<" in dry
    assert "gpw replay --text blue --dry-run --stack" in dry
    assert untouched == []
    assert "Replayed 12 events" in done
    assert "The dry run is not remembered" in again
    assert sent == {f"evt-{number}" for number in range(12)}


def plan_of(dry_run: str) -> str:
    """The plan that the page of a dry run offers to confirm."""
    found = re.search(r'name="plan" value="(\d+)"', dry_run)
    assert found, dry_run
    return found[1]


def test_a_relative_time_is_the_one_of_the_dry_run(
    browser: Browser, cloud: Cloud, happened: Callable[..., Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC)
    for name, ago in (("evt-old", 9), ("evt-young", 3)):
        at = start - timedelta(minutes=ago)
        happened(name, received_at=f"{at:%Y-%m-%dT%H:%M:%S.%fZ}")
    dry = browser.job("/actions/republish", until="4m", dry_run="yes")
    monkeypatch.setattr(filters, "datetime", SimpleNamespace(now=lambda _: start + timedelta(1)))
    browser.job("/actions/republish", plan=plan_of(dry))

    assert "Would publish 1 event" in dry
    assert [event["detail"]["id"] for event in cloud.published()] == ["evt-old"]


def test_an_action_on_one_page_is_not_confirmed_on_another(
    browser: Browser, cloud: Cloud, happened: Callable[..., Item]
) -> None:
    happened("evt-1")
    dry = browser.job("/actions/replay", dry_run="yes")
    elsewhere = browser.post("/actions/republish", plan=plan_of(dry)).text

    assert "The dry run is not remembered" in elsewhere
    assert cloud.published() == []


PEOPLE = ("Ada Lovelace", "Grace Hopper")


@pytest.fixture
def erased(
    stack: OperatedStack, console: Console, happened: Callable[..., Item]
) -> dict[str, Item]:
    """A person who was erased in a terminal, and one who was not, in the console's memory."""
    people = zip(("p-1", "p-2"), PEOPLE, strict=True)
    items = {name: happened(f"evt-{who}", profile_id=who, name=name) for who, name in people}
    stack.run("erase", "abc-tenant", "p-1", "--yes", code=None)
    return items


@pytest.mark.parametrize("name", ["replay", "republish"])
def test_a_person_who_was_erased_elsewhere_does_not_come_back(
    browser: Browser, cloud: Cloud, console: Console, erased: dict[str, Item], name: str
) -> None:
    dry = browser.job(f"/actions/{name}", dry_run="yes")
    done = browser.job(f"/actions/{name}", plan=plan_of(dry))
    sent = [json.loads(message.body)["id"] for message in cloud.messages("EventsQueue")]
    sent += [event["detail"]["id"] for event in cloud.published()]

    assert "1 event<" in dry
    assert "1  no longer in the history" in dry
    assert "no longer" not in done
    assert sent == ["evt-p-2"]
    assert console.store.count(Selection(text="ada")) == 0


def test_a_person_who_is_erased_after_the_dry_run_does_not_come_back(
    browser: Browser, cloud: Cloud, stack: OperatedStack, happened: Callable[..., Item]
) -> None:
    happened("evt-1", profile_id="p-1")
    dry = browser.job("/actions/replay", dry_run="yes")
    stack.run("erase", "abc-tenant", "p-1", "--yes", code=None)
    done = browser.job("/actions/replay", plan=plan_of(dry))

    assert "Replayed 0 events" in done
    assert "1  no longer in the history" in done
    assert cloud.messages("EventsQueue") == []


@pytest.mark.parametrize("path", ["/events", "/events/older", "/events/export.ndjson"])
@pytest.mark.usefixtures("erased")
def test_no_list_and_no_file_shows_a_person_who_was_erased_elsewhere(
    browser: Browser, console: Console, happened: Callable[..., Item], path: str
) -> None:
    happened("evt-newest", profile_id="p-3")
    [newest] = console.store.newest(Selection(), limit=1)
    shown = browser.get(path, before=f"{newest.at} {newest.id}").text

    assert "evt-p-2" in shown
    assert "p-1" not in shown


@pytest.mark.usefixtures("erased")
def test_rows_that_could_not_be_checked_are_shown_as_such(
    browser: Browser, stack: OperatedStack
) -> None:
    boto3.client("dynamodb").delete_table(TableName=stack.outputs["EventsTableName"])
    page = browser.get("/events").text

    assert "evt-p-2" in page
    assert "the history could not be checked" in page


@pytest.mark.usefixtures("erased")
def test_a_list_does_not_wait_for_a_history_that_cannot_be_reached(
    browser: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.live.problem = "AWS cannot be reached"
    monkeypatch.setattr(console.target, "table", None)
    page = browser.get("/events").text

    assert "evt-p-2" in page
    assert "could not be checked: AWS cannot be reached" in page


def test_the_page_of_an_event_that_is_gone_takes_it_out_of_memory(
    browser: Browser, console: Console, erased: dict[str, Item]
) -> None:
    answer = browser.get("/event", **address(erased[PEOPLE[0]]))

    assert answer.status == 400
    assert console.store.count(Selection(text="ada")) == 0


def test_the_page_of_a_profile_takes_what_is_gone_out_of_memory(
    browser: Browser, console: Console, erased: dict[str, Item]
) -> None:
    assert erased
    browser.get("/profile", tenant="abc-tenant", profile="p-1")

    assert console.store.count(Selection(text="ada")) == 0


def test_an_erasure_forgets_all_that_names_the_person(
    browser: Browser, console: Console, happened: Callable[..., Item]
) -> None:
    happened("evt-list", event_type="group.updated", profile_id=None, profile_ids=["p-1"])
    happened("evt-map", profile_id="p-2", members={"p-1": "x", "p-10": "y"})
    happened("evt-1", profile_id="p-1")
    browser.job("/actions/replay", tenant="abc-tenant", profile="p-1", dry_run="yes")
    first = console.jobs.get(1)
    browser.job("/profile/erase", tenant="abc-tenant", profile="p-1")
    left = [row.event_id for row in console.store.newest(Selection())]
    paths = set(console.store.kinds.by_name["profile.updated"].paths)

    assert first is not None
    assert "p-1" in first.command
    assert console.jobs.get(1) is None
    assert left == ["evt-map"]  # it is another person's, so the history still has it
    assert "members.p-10" in paths
    assert "members.p-1" not in paths


ELSEWHERE = {
    "http://192.0.2.1/x": "not this machine",
    "ftp://localhost/": "not a URL",
    "javascript:alert(1)": "not a URL",
}


@pytest.mark.parametrize("url", ELSEWHERE)
def test_events_are_forwarded_to_this_machine_only(
    browser: Browser, happened: Callable[..., Item], app: App, url: str
) -> None:
    happened("evt-1")

    assert ELSEWHERE[url] in browser.job("/actions/forward", dry_run="yes", url=url)


def test_forwarded_are_the_events_of_the_page_and_the_command_beside_it_sends_the_same(
    browser: Browser, stack: OperatedStack, happened: Callable[..., Item], app: App
) -> None:
    for number in range(3):
        happened(f"evt-{number}", profile_id=f"p-{number}", note="-blue")
    happened("evt-red", note="red")
    asked = {"q": "-blue", "status": "ready", "since": "1h", "until": "2099-01-01"}
    dry = browser.job("/actions/forward", url=app.url, dry_run="yes", **asked)
    untouched = list(app.got)
    done = browser.job("/actions/forward", plan=plan_of(dry))
    by_page = sorted(ids(app))
    app.got.clear()
    [shown] = re.findall(r"<code>gpw (forward [^<]*) --stack", done)
    ran = stack.run(*shlex.split(unescape(shown)), "--json").document

    assert "Would forward 3 events" in dry
    assert untouched == []
    assert by_page == ["evt-0", "evt-1", "evt-2"]
    assert (sorted(ids(app)), ran["responses"]) == (by_page, {"200": 3})


def test_dead_letters_are_grouped_with_the_runbooks_word_and_redriven_after_a_dry_run(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    good = stack.dead_letter(make_body(), reason="received_too_often")
    bad = stack.dead_letter("{", reason="not_json", source="ingest")
    browser.job("/dead-letters/look")
    page = browser.get("/dead-letters").text
    dry = browser.job("/dead-letters/redrive", id=[good, bad], dry_run="yes")
    untouched = cloud.messages("EventsQueue")
    done = browser.job("/dead-letters/redrive", plan=plan_of(dry))

    assert "can never become an event" in page
    assert "Would redrive 1 dead letter" in dry
    assert '"primary">Redrive 1 dead letter<' in dry
    assert "would fail again: not_json" in dry
    assert untouched == []
    assert "Redrove 1 dead letter" in done
    assert len(cloud.messages("EventsQueue")) == 1


def test_a_redrive_of_nothing_offers_no_button_and_shows_the_number(
    browser: Browser, stack: OperatedStack
) -> None:
    ids = [stack.dead_letter("{", reason="not_json", source="ingest") for _ in range(2)]

    dry = browser.job("/dead-letters/redrive", id=ids, dry_run="yes")

    assert "Would redrive 0 dead letters" in dry
    assert "Redrive 2" not in dry
    assert "<form" not in dry


def test_a_redrive_that_finds_none_of_them_any_more_is_no_success(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    gone = stack.dead_letter(make_body(), reason="received_too_often")
    dry = browser.job("/dead-letters/redrive", id=gone, dry_run="yes")
    cloud.hide("DeadLetterQueue")

    done = browser.job("/dead-letters/redrive", plan=plan_of(dry))

    assert "Redrove 0 dead letters" in done
    assert "no longer there" in done or "did not return it again" in done
    assert "notice bad" in done


def test_a_confirmed_action_takes_what_its_dry_run_counted_once(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    digest = hashlib.sha256(b"somebody-elses").hexdigest()
    stack.put("HeldQueueUrl", "first", token_sha256=digest)
    dry = browser.job("/held/purge", digest=digest, dry_run="yes")
    stack.put("HeldQueueUrl", "late", token_sha256=digest)
    elsewhere = browser.post("/dead-letters/purge", plan=plan_of(dry)).text
    done = browser.job("/held/purge", plan=plan_of(dry))
    again = browser.post("/held/purge", plan=plan_of(dry)).text

    assert "Permanently delete 1 held delivery<" in dry
    assert "The dry run is not remembered" in elsewhere
    assert "Deleted 1 held delivery" in done
    assert "The dry run is not remembered" in again
    assert [message.body for message in cloud.messages("HeldQueue")] == ["late"]


def test_a_purge_deletes_what_was_chosen_and_nothing_else(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    gone = stack.dead_letter("{", reason="not_json")
    stack.dead_letter("[", reason="not_json")
    dry = browser.job("/dead-letters/purge", id=gone, dry_run="yes")
    done = browser.job("/dead-letters/purge", plan=plan_of(dry))

    assert "Deleted 1 dead letter" in done
    assert [message.body for message in cloud.messages("DeadLetterQueue")] == ["["]
    assert "Nothing is selected" in browser.post("/dead-letters/purge", dry_run="yes").text


def test_held_deliveries_of_an_accepted_secret_are_released_and_others_stay(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    cloud.set_secret(SECRET)
    for event_id, secret in (("evt-known", SECRET), ("evt-strange", "somebody-elses-0123456789")):
        message = held(
            make_body(make_event(event_id)).encode(),
            token_digest=hashlib.sha256(secret.encode()).hexdigest(),
            source_ip="203.0.113.9",
            received_at=datetime.now(UTC),
        )
        stack.put("HeldQueueUrl", message.body, **message.attributes)
    browser.job("/held/look")
    page = browser.get("/held").text
    dry = browser.job("/held/release", dry_run="yes")
    untouched = cloud.messages("EventsQueue")
    browser.job("/held/release", plan=plan_of(dry))

    assert page.count("203.0.113.9") == 2
    assert page.count("accepted now") == 1
    assert SECRET not in page
    assert "Would release 1" in dry
    assert untouched == []
    assert [json.loads(message.body)["id"] for message in cloud.messages("EventsQueue")] == [
        "evt-known"
    ]
    assert len(cloud.messages("HeldQueue")) == 1


def test_the_held_page_says_that_none_is_held_only_if_nobody_hides_any(
    browser: Browser, stack: OperatedStack, cloud: Cloud
) -> None:
    browser.job("/held/look")
    empty = browser.get("/held").text
    stack.put("HeldQueueUrl", "{}")
    cloud.hide("HeldQueue")
    browser.job("/held/look")
    hidden = browser.get("/held").text

    assert "SQS returned no held deliveries, and counts about 0 more" in empty
    assert "about 0 more" not in hidden
    assert "SQS counts 1 more held deliveries that another command hides" in hidden


def test_an_erasure_leaves_nothing_of_the_person_in_the_tables_nor_in_memory(
    browser: Browser, stack: OperatedStack, console: Console, happened: Callable[..., Item]
) -> None:
    happened("evt-1", profile_id="p-1", note="blue")
    happened("evt-2", profile_id="p-2")
    person = {"tenant": "abc-tenant", "profile": "p-1"}
    dry = browser.job("/profile/erase", **person, dry_run="yes")
    before = len(stack.history())
    browser.job("/profile/erase", **person)

    assert "events in the history" in dry
    assert "Erase all of this permanently" in dry
    assert before == 2
    assert [item["event_id"] for item in stack.history()] == ["evt-2"]
    assert console.store.count(Selection(text="blue")) == 0


CHANGES: list[tuple[str, dict[str, str]]] = [
    ("/actions/replay", {"plan": "1"}),
    ("/actions/republish", {"plan": "1"}),
    ("/actions/forward", {"plan": "1"}),
    ("/dead-letters/redrive", {"id": "x"}),
    ("/dead-letters/purge", {"id": "x"}),
    ("/held/release", {}),
    ("/held/purge", {"digest": "x"}),
    ("/profile/erase", {"tenant": "t", "profile": "p"}),
    ("/event/send", {"to": "stack", "body": "{}"}),
    ("/event/actions/replay", {"subject": "s", "version": "v"}),
    ("/listen/start", {"url": "http://127.0.0.1:1/"}),
    ("/listen/attempts/1/retry", {}),
]


@pytest.mark.parametrize(("path", "fields"), CHANGES, ids=[path for path, _ in CHANGES])
def test_without_write_nothing_can_be_changed(
    browser: Browser, console: Console, happened: Callable[..., Item], path: str, fields: Any
) -> None:
    happened("evt-1")
    console.write = False
    answer = browser.post(path, **fields)

    assert answer.status == 400
    assert "Actions are off in this console" in answer.text
    assert console.jobs.get(1) is None


def test_every_form_that_changes_something_is_among_those_that_need_write() -> None:
    posts = {
        route.path
        for module in (actions, event, events, letters, listening, one_event, overview, parked)
        for route in module.ROUTES
        if "POST" in (route.methods or ())
    }
    harmless = {
        "/fill",
        "/jobs/{number:int}/stop",
        "/dead-letters/look",
        "/held/look",
        "/listen/stop",
    }
    patterns = {
        "/actions/{name}",
        "/dead-letters/{name}",
        "/held/{name}",
        "/profile/erase",
        "/event/send",
        "/event/actions/{name}",
        "/listen/start",
        "/listen/attempts/{number:int}/retry",
    }

    assert posts == harmless | patterns


def test_a_read_only_console_offers_the_dry_run_and_the_command(
    browser: Browser, console: Console, happened: Callable[..., Item]
) -> None:
    happened("evt-1")
    console.write = False
    page = browser.get("/actions/replay").text
    dry = browser.job("/actions/replay", dry_run="yes", q="evt-1")

    assert "this page only counts" in page
    assert "Would replay 1 event" in dry
    assert "Actions are off in this console" in dry
    assert "<form" not in dry


def test_the_page_and_the_job_report_what_aws_refuses(
    browser: Browser, console: Console, stack: OperatedStack, happened: Callable[..., Item]
) -> None:
    happened("evt-1")
    boto3.client("sqs").delete_queue(QueueUrl=stack.outputs["EventsQueueUrl"])
    dry = browser.job("/actions/replay", q="evt-1", dry_run="yes")
    job = browser.job("/actions/replay", plan=plan_of(dry))

    assert "the resource does not exist" in job
    assert browser.get("/overview/queues").status == 400


# ---------------------------------------------------------------- live events, forwarded


@pytest.fixture
def app(quick: None) -> Iterator[App]:
    enable_socket()
    socket_allow_hosts(["127.0.0.1"])
    with running() as app:
        yield app


def bus_event(item: Item) -> BusEvent:
    """An item of the history as the bus brings it."""
    made = from_history(item_from_dynamodb(item), "bus", ("aws", REGION, "123456789012"))
    return BusEvent(made.envelope, "receipt")


def arrives(console: Console, *event_ids: str, **data: Any) -> None:
    """The live feed brings new events, which the history has."""
    items = [make_item(make_event(event_id, **data)) for event_id in event_ids]
    for item in items:
        console.target.client("dynamodb").put_item(
            TableName=console.target.output("EventsTableName"), Item=item
        )
    console.forwarder.offer(map(bus_event, items))


def attempted(console: Console, count: int) -> None:
    wait_for(lambda: len(console.forwarder.attempts.after(0)) >= count)


def ids(app: App) -> list[str]:
    return [headers["gpw-event-id"] for headers, _body in app.got]


def test_live_events_that_match_reach_the_application_once_with_the_development_secret(
    browser: Browser,
    console: Console,
    stack: OperatedStack,
    cloud: Cloud,
    app: App,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud.set_secret("a-secret-that-no-application-may-get-0123456789")
    item = stack.happened(make_event("evt-live", note="Blue"))
    other = stack.happened(make_event("evt-other", note="red"))
    arrived = FakeSubscription(item, other, item)
    monkeypatch.setattr(live, "Subscription", lambda _target: arrived)
    started = browser.post("/listen/start", url=app.url, status="ready", q="blue")
    console.start()
    wait_for(lambda: len(arrived.confirmed) == 3)
    attempted(console, 1)
    page = browser.get("/listen").text
    [(headers, body)] = app.got

    assert started.headers["hx-redirect"] == "/listen"
    assert json.loads(body)["data"]["note"] == "Blue"
    assert headers["authorization"] == f"Bearer {DEVELOPMENT_SECRET}"
    assert "a-secret-that-no-application" not in str(headers) + body + page
    assert ">evt-live<" in page
    assert "thanks" in page
    assert f"gpw listen --forward-to {app.url} --status ready --text blue --stack" in page


def test_attempts_are_streamed_newest_first_and_one_is_retried(
    browser: Browser, console: Console, app: App
) -> None:
    browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1", "evt-2")
    attempted(console, 2)
    app.respond = respond(500, b"not <b>now</b>")
    browser.post("/listen/attempts/1/retry")
    attempted(console, 3)
    text = browser.request("GET", "/listen/stream", query="after=1", parts=2).text
    numbers = re.findall(r'data-row="(\d+)"', text)

    assert ids(app) == ["evt-1", "evt-2", "evt-1"]
    assert [headers["gpw-attempt"] for headers, _ in app.got] == ["1", "1", "2"]
    assert numbers == ["3", "2"]
    assert "not &lt;b&gt;now" in text
    assert "3 attempts, 1 failed" in browser.get("/listen/state").text


def test_an_attempt_of_a_person_who_was_erased_elsewhere_is_not_retried(
    browser: Browser, console: Console, stack: OperatedStack, app: App
) -> None:
    browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1", profile_id="p-1")
    attempted(console, 1)
    stack.run("erase", "abc-tenant", "p-1", "--yes", code=None)
    answer = browser.post("/listen/attempts/1/retry")

    assert "no longer has this event" in answer.text
    assert ids(app) == ["evt-1"]
    assert console.forwarder.attempts.after(0) == []


RESPONSES = {
    "empty": (respond(204, b""), "empty"),
    "hostile": (respond(200, HOSTILE.encode()), "&lt;script&gt;alert(1)"),
    "bytes": (respond(200, b"\xff\x00\x1b[31m"), "\\u001b[31m"),
    "lines": (respond(500, b"Traceback\n  line 1\r\n" + b"x" * 60), "Traceback\n  line 1\n"),
    "huge": (respond(200, b"x" * 5_000_000), "x" * RESPONSE_BYTES),
    "redirect": (respond(302, b"elsewhere", location="http://192.0.2.1/"), ">302<"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_whatever_the_application_answers_is_shown_as_text_and_in_part(
    browser: Browser, console: Console, app: App, name: str
) -> None:
    app.respond, shown = RESPONSES[name]
    browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1")
    attempted(console, 1)
    page = browser.get("/listen").text

    assert shown in page
    assert "x" * (RESPONSE_BYTES + 1) not in page
    assert "<script>alert" not in page
    assert not {"\u202e", "\x9b", "\x00", "\x1b"} & set(page)


def test_a_hostile_event_is_forwarded_and_is_text_on_the_page(
    browser: Browser, console: Console, app: App
) -> None:
    browser.post("/listen/start", url=app.url)
    arrives(console, HOSTILE, event_type=HOSTILE, tenant_id=HOSTILE, profile_id=HOSTILE)
    attempted(console, 1)
    page = browser.get("/listen").text

    assert json.loads(app.got[0][1])["id"] == HOSTILE
    assert "{{7*7}}&lt;script" in page
    assert "<script>alert" not in page
    assert not {"\u202e", "\x9b", "\x00"} & set(page)


def test_a_slow_application_holds_up_no_one_and_the_page_says_what_was_dropped(
    browser: Browser, console: Console, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "MAX_WAITING", 2)
    go_on = threading.Event()

    def slowly(handler: Any) -> None:
        go_on.wait(30)
        respond(200, b"at last")(handler)

    app.respond = slowly
    browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1")
    wait_for(lambda: len(app.got) == 1)
    arrives(console, "evt-2", "evt-3", "evt-4", "evt-5")
    state = browser.get("/listen/state").text
    go_on.set()
    attempted(console, 3)

    assert "0 attempts, 0 failed, 2 waiting" in state
    assert "2 events were dropped" in state
    assert "gpw listen --since" in state
    assert ids(app) == ["evt-1", "evt-2", "evt-3"]


def test_events_that_wait_or_were_sent_take_a_limited_amount_of_memory(
    browser: Browser, console: Console, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.post("/listen/start", url=app.url)
    run = console.forwarder.run
    assert run is not None
    arrives(console, "evt-1", "evt-2", "evt-3", large="x" * 10_000)
    attempted(console, 3)
    monkeypatch.setattr(forwarder, "MAX_CHARACTERS", 25_000)
    arrives(console, "evt-4", large="x" * 10_000)
    wait_for(lambda: run.attempted == 4)
    kept = [one.event_id for one in console.forwarder.attempts.after(0)]
    arrives(console, "evt-5", large="x" * 30_000)

    assert kept == ["evt-4", "evt-3"]
    assert run.dropped == 1
    assert "This attempt is gone" in browser.post("/listen/attempts/1/retry").text


def test_a_fault_while_forwarding_ends_neither_the_thread_nor_the_feed(console: Console) -> None:
    attempts = Attempts()
    faults = [RuntimeError("<secret>")]

    def forward(_event: BusEvent, _number: int) -> Result:
        if faults:
            raise faults.pop()
        return Result(True, 0.0, 200)

    run = Run("http://localhost/", Filters(), forward, attempts, datetime.now(UTC))
    run.start()
    for event_id in ("evt-1", "evt-2"):
        run.offer(bus_event(make_item(make_event(event_id))))
    wait_for(lambda: len(attempts.after(0)) == 2)
    run.stop()

    assert [one.result.error for one in attempts.after(0)] == ["", "Unexpected error: RuntimeError"]


def test_what_was_stopped_forwards_nothing_and_can_be_started_again(
    browser: Browser, console: Console, app: App
) -> None:
    browser.post("/listen/start", url=app.url)
    twice = browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1")
    attempted(console, 1)
    browser.post("/listen/stop")
    arrives(console, "evt-2")
    off = browser.post("/listen/attempts/1/retry")
    browser.post("/listen/start", url=app.url, profile="p", tenant="t")
    arrives(console, "evt-3")
    arrives(console, "evt-4", profile_id="p", tenant_id="t")
    attempted(console, 2)
    console.stop()

    assert "already being forwarded" in twice.text
    assert "start it first" in off.text
    assert ids(app) == ["evt-1", "evt-4"]
    assert console.forwarder.run is None


@pytest.mark.parametrize("url", [*ELSEWHERE, "", " "])
def test_live_events_are_forwarded_to_this_machine_only(
    browser: Browser, console: Console, app: App, url: str
) -> None:
    refused = browser.post("/listen/start", url=url)

    assert refused.status == 400
    assert ELSEWHERE.get(url, "Where to?") in refused.text
    assert console.forwarder.run is None


def test_a_person_who_is_erased_is_in_no_attempt_and_in_no_event_that_waits(
    browser: Browser, console: Console, app: App
) -> None:
    go_on = threading.Event()
    browser.post("/listen/start", url=app.url)
    arrives(console, "evt-1", profile_id="p-1")
    attempted(console, 1)
    app.respond = lambda handler: (go_on.wait(30), respond(200, b"")(handler))[1]
    arrives(console, "evt-2", profile_id="p-2")
    wait_for(lambda: len(app.got) == 2)
    arrives(console, "evt-3", profile_id="p-1")
    browser.job("/profile/erase", tenant="abc-tenant", profile="p-1")
    arrives(console, "evt-4", profile_id="p-2")
    go_on.set()
    wait_for(lambda: len(app.got) == 3)

    assert ids(app) == ["evt-1", "evt-2", "evt-4"]
    assert "evt-1" not in {one.event_id for one in console.forwarder.attempts.after(0)}


def test_where_the_history_is_read_now_and_then_only_new_events_are_forwarded_and_once(
    stack: OperatedStack,
    browser: Browser,
    console: Console,
    app: App,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: Any) -> Any:
        raise OperatorError("The bus is missing")

    def happens(event_id: str) -> None:
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        stack.happened(make_event(event_id, profile_id=event_id), received_at=at)

    monkeypatch.setattr(live, "Subscription", refused)
    monkeypatch.setattr(live, "polling_seconds", lambda _table: 0.05)
    happens("evt-before")
    browser.post("/listen/start", url=app.url)
    console.start()
    for number in (1, 2):
        happens(f"evt-{number}")
        attempted(console, number)

    assert ids(app) == ["evt-1", "evt-2"]


# ---------------------------------------------------------------- the cost of a day


def test_the_cost_of_the_last_day_is_what_the_command_beside_it_says(
    browser: Browser, console: Console, stack: OperatedStack
) -> None:
    now = datetime.now(UTC)
    for number, hours in enumerate((1, 2, 3, 30)):
        at = f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S.%fZ}"
        stack.happened(make_event(f"evt-{number}", profile_id=f"p-{number}"), received_at=at)
    given = {"LogLevel": "WARNING", "EventRetentionDays": "90", "AlarmEmail": "a@example.com"}
    console.target.__dict__["parameters"] = given | {"OfAnotherVersion": "1"}
    console.fill.start("30d")
    wait_for(lambda: not console.fill.running)
    page = browser.get("/overview/cost").text
    [shown] = re.findall(r"<code>gpw (cost [^<]*)</code>", page)
    ran = CliRunner().invoke(command_line, [*shown.split(), "--json"])
    dollars = json.loads(ran.stdout)["totals"]["this receiver"]["dollars"]

    assert "3 events in 24 hours" in page
    assert "--set EventRetentionDays=90 --set LogLevel=WARNING" in shown
    assert "example.com" not in page
    assert f"costs about ${dollars:,.2f}" in page
    assert "list prices" in page


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: setattr(c.fill, "running", True), "still being read"),
        (lambda c: setattr(c.fill, "problem", "denied"), "could not be read"),
        (lambda c: setattr(c.fill, "first", datetime.now(UTC)), "only the events of the last"),
        (lambda c: setattr(c.store, "dropped", 1), "does not have all events"),
        (lambda c: setattr(c.live, "problem", "no network"), "are not arriving now"),
    ],
    ids=["running", "failed", "short", "dropped", "offline"],
)
def test_where_events_are_missing_the_cost_is_not_told_but_why(
    browser: Browser, console: Console, change: Callable[[Console], None], why: str
) -> None:
    console.fill.start("24h")
    wait_for(lambda: not console.fill.running)
    told = browser.get("/overview/cost").text
    change(console)
    page = browser.get("/overview/cost").text

    assert "$" in told
    assert why in page
    assert "$" not in page


# ---------------------------------------------------------------- how they know


def test_the_history_is_read_in_segments_as_far_back_as_asked(
    stack: OperatedStack, console: Console
) -> None:
    now = datetime.now(UTC)
    for number in range(20):
        at = now - timedelta(hours=number)
        event = make_event(f"evt-{number}", profile_id=f"p-{number}")
        stack.happened(event, received_at=f"{at:%Y-%m-%dT%H:%M:%S.%fZ}")
    console.fill.start("10h")
    wait_for(lambda: not console.fill.running)

    assert (console.fill.problem, console.fill.segments_done) == ("", fill.SEGMENTS)
    assert console.store.count(Selection()) == 10


def test_while_the_history_is_read_the_page_counts_what_was_found_so_far(
    browser: Browser, console: Console, happened: Callable[..., Item]
) -> None:
    console.fill.running = True
    empty = browser.get("/events").text
    happened("evt-1")
    happened("evt-2")
    streamed = browser.request("GET", "/events/stream", query="after=0", parts=2).text
    page = browser.get("/events").text
    console.fill.running = False

    assert "No events yet" not in empty
    assert "The history is being read" in empty
    assert "event: count\ndata: 2" in streamed
    assert '<b sse-swap="count">2</b> in memory so far' in page


def test_a_range_that_is_not_a_time_is_refused_beside_its_field_and_what_is_in_memory_stays(
    browser: Browser, console: Console, happened: Callable[..., Item]
) -> None:
    happened("evt-1")
    browser.post("/fill", since="soon")
    page = browser.get("/").text

    assert 'role="alert">' in page
    assert "&#39;soon&#39;" in page
    assert '<input id="fill-since"' in page
    assert console.store.count(Selection()) == 1


def test_where_the_bus_cannot_be_listened_to_the_history_is_read_now_and_then_and_the_page_says_so(
    stack: OperatedStack, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise OperatorError("The bus is missing")

    monkeypatch.setattr(live, "Subscription", refused)
    monkeypatch.setattr(live, "polling_seconds", lambda _table: 0.05)
    console.start()
    wait_for(lambda: "history is read every" in console.live.how)
    now = datetime.now(UTC)
    stack.happened(make_event("evt-polled"), received_at=f"{now:%Y-%m-%dT%H:%M:%S.%fZ}")
    wait_for(lambda: console.store.count(Selection(text="evt-polled")) == 1)

    assert "The bus is missing" in console.live.how


def test_without_the_bus_an_event_that_waited_for_days_is_shown_when_it_is_processed(
    stack: OperatedStack, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        raise OperatorError("The bus is missing")

    monkeypatch.setattr(live, "Subscription", refused)
    monkeypatch.setattr(live, "polling_seconds", lambda _table: 0.05)
    console.start()
    wait_for(lambda: "history is read every" in console.live.how and not console.fill.running)
    kept = timedelta(days=30)  # EventRetentionDays
    expires = str(int((datetime.now(UTC) + kept).timestamp()))
    waited = make_item(make_event("evt-waited")) | {"expires_at": {"N": expires}}
    stack.put_raw("EventsTableName", waited | {"received_at": {"S": "2020-01-01T00:00:00.000000Z"}})
    wait_for(lambda: console.store.count(Selection(text="evt-waited")) == 1)


def test_the_badge_is_live_only_while_reads_succeed_and_tells_how_old_the_page_is(
    browser: Browser, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = FakeSubscription()
    monkeypatch.setattr(live, "Subscription", lambda _target: arrived)
    monkeypatch.setattr(live, "OUTAGE_SECONDS", 0.01)
    works = arrived.receive
    before = browser.get("/live").text
    console.start()
    wait_for(lambda: console.live.state == "live")
    connected = browser.get("/events").text

    def fails(**_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://sqs.test")

    monkeypatch.setattr(arrived, "receive", fails)
    wait_for(lambda: console.live.state == "offline")
    console.live.read_at = datetime.now(UTC) - timedelta(minutes=5)
    offline = browser.get("/events").text
    monkeypatch.setattr(arrived, "receive", works)
    wait_for(lambda: console.live.state == "live")

    assert "<b>connecting</b>" in before
    assert "<b>live</b>" in connected
    assert "<b>offline</b>" in offline
    assert "Last read 5 min ago. AWS could not be reached" in offline


def test_checks_of_before_an_outage_are_shown_as_old(browser: Browser, console: Console) -> None:
    console.checks = Job(1, "Check the stack", "gpw doctor", over=True)
    console.checks.document = [{"what": "bus", "well": True, "found": "there", "fix": ""}]
    console.checks_at = datetime.now(UTC) - timedelta(minutes=20)
    console.live.problem = "AWS could not be reached"
    page = browser.get("/overview/checks").text

    assert 'class="checks stale"' in page
    assert "These results are from 20 min ago" in page


def test_the_overview_lists_problems_first_with_their_page_and_the_rest_in_one_line(
    browser: Browser, console: Console
) -> None:
    names = {"bus": True, "ping": None, "dead letters": False, "alarms": True}
    console.checks = Job(1, "Check the stack", "gpw doctor", over=True)
    console.checks.document = [
        {"what": name, "well": well, "found": f"{name} found", "fix": ""}
        for name, well in names.items()
    ]
    lines = re.findall(r"<li .*?</li>", browser.get("/overview/checks").text, re.DOTALL)

    assert [re.findall(r'class="(good|bad|unsure)"', one) for one in lines] == [
        ["bad"],
        ["unsure"],
        ["good"],
    ]
    assert 'href="/dead-letters"' in lines[0]
    assert {"bus", "alarms"} <= set(re.findall(r">([\w ]+)</span>", lines[2]))
    assert f"<code>{console.target.webhook_url}</code>" in browser.get("/").text


def test_events_of_the_bus_are_taken_from_the_history_and_then_confirmed(
    stack: OperatedStack, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = stack.happened(make_event("evt-live", exact=Decimal("1.10")))
    arrived = FakeSubscription(item)
    monkeypatch.setattr(live, "Subscription", lambda _target: arrived)
    console.start()
    wait_for(lambda: bool(arrived.confirmed))
    console.live.stop()

    assert [one.event_id for one in console.store.arrived(Selection(), after=0)] == ["evt-live"]
    assert arrived.left


def test_the_pages_call_exactly_the_actions_that_gpw_ui_declares(
    stack: OperatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    item = stack.happened(make_event("evt-1"), received_at=now)
    stack.happened(make_event("evt-2", created_at="2023-10-01T12:00:09Z"))
    calls.made.clear()
    console = Console(
        Target(STACK, boto3.Session(region_name=REGION)),
        Access(8765),
        write=False,
        since="30d",
        requirements={},
    )
    access = console.access
    browser = Browser(application(console), access.host, f"{access.cookie}={access.session}")
    console.start()
    wait_for(lambda: "rule on the bus" in console.live.how and not console.fill.running)
    for path in PAGES:
        browser.get(path)
    browser.get("/event", **address(item))
    browser.get("/event/way", **address(item))
    browser.get("/profile", tenant="abc-tenant", profile="12345")
    console.stop()
    console.store.close()
    needs = loaded()["ui"].requirement.needs
    called = {call for call in calls.made if call[0] != "sts:GetCallerIdentity"}

    assert {
        (action, resource)
        for action, resource in called
        if not any(
            action == need.action and matches(console.target, need.on, resource) for need in needs
        )
    } == set()
    # What only a listener that was killed, or sleeps, makes it call is `gpw listen`'s own to test.
    assert {
        need for need in needs - {*LISTENING} if need.action not in {action for action, _ in called}
    } == set()


def matches(target: Target, on: str, resource: str) -> bool:
    """Whether a need's resource is the one that a call names."""
    name = physical_name(target, on)
    return name is not None and (
        resource in {name, "*"} or (on == PLACE and resource == STACK) or fnmatch(resource, name)
    )


class FakeSubscription:
    """A subscription that brings these events."""

    def __init__(self, *items: Item) -> None:
        self._events = [bus_event(item) for item in items]
        self.confirmed: list[Any] = []
        self.left = False
        self._nothing = threading.Event()

    def __enter__(self) -> "FakeSubscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True

    def receive(self, **_: int) -> Any:
        events, self._events = self._events, []
        if not events:
            self._nothing.wait(0.05)
        return SimpleNamespace(events=events)

    def done(self, event: Any) -> None:
        self.confirmed.append(event)


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    ended = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if what():
            return
        ended.wait(0.02)
    raise AssertionError("it did not happen")
