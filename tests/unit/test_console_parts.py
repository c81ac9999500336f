"""The console's small parts: search, differences, highlighting, types, files of others."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpw.console import charts
from gpw.console.compare import changes, first
from gpw.console.counts import MINUTES, SERIES, Counts
from gpw.console.events import exported
from gpw.console.filters import read
from gpw.console.highlight import json_html, markdown_html
from gpw.console.kinds import MAX_FIELDS, MAX_NAME, MAX_PATH, MAX_PATHS, Kinds
from gpw.console.store import Store
from gpw.history.export_formats import Format
from gpw.history.history import Key, key
from gpw.history.log_lines import Seen
from gpw.history.selection import Selection, holds, searchable
from gpw.operations import runbook
from gpw.stack.errors import OperatorError

STATIC = Path(charts.__file__).parent / "static"
# Of the released files: `npm pack htmx.org@2.0.11 htmx-ext-sse@2.2.4`.
CHECKSUMS = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "htmx-ext-sse-2.2.4.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
DEEP: list[Any] = []  # deeper than Python's own JSON can write
for _ in range(99_999):
    DEEP = [DEEP]


def make_row(number: int = 1, /, **changed: Any) -> dict[str, Any]:
    """An item of the history, received in the order of its number."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    created_at = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
    return {
        "subject": '["t","p"]',
        "version": f"{created_at}#3#evt-{number}",
        "event_id": f"evt-{number}",
        "event": "profile.updated",
        "tenant_id": "t",
        "profile_id": "p",
        "created_at": created_at,
        "received_at": created_at,
        "outcome": "applied",
        "data": {"profile_id": "p", "status": "ready"},
    } | changed


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store()) as store:
        yield store


# ---------------------------------------------------------------- what is others'


@pytest.mark.parametrize("name", CHECKSUMS)
def test_what_others_wrote_is_what_they_released(name: str) -> None:
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == CHECKSUMS[name]
    assert name in (STATIC / "LICENSES.txt").read_text(encoding="utf-8")


def test_every_script_of_a_page_is_a_file_of_the_console_and_none_is_inline() -> None:
    for template in (STATIC.parent / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        for script in re.findall(r"<script\b[^>]*>.*?</script>", text, re.DOTALL):
            source = re.fullmatch(r'<script src="/static/([^"]+)"(?: defer)?></script>', script)
            assert source is not None, script
            assert (STATIC / source[1]).is_file()
        assert not re.search(r"\s(style|on\w+)=|javascript:|<style", text), template.name


# ---------------------------------------------------------------- the store


def test_the_newest_received_event_comes_first_and_each_event_once(store: Store) -> None:
    new = store.add([make_row(1), make_row(3), make_row(2), make_row(3)])

    assert new == 3
    assert [row.event_id for row in store.newest(Selection())] == ["evt-3", "evt-2", "evt-1"]


def test_a_list_goes_on_where_it_ended(store: Store) -> None:
    store.add(make_row(number) for number in range(7))
    first = store.newest(Selection(), limit=3)
    last = first[-1]
    store.forget([Key(last.subject, last.version)])
    rest = store.newest(Selection(), before=(last.at, last.id), limit=10)

    assert [row.event_id for row in first + rest] == [f"evt-{n}" for n in reversed(range(7))]


def test_a_page_that_follows_new_events_still_does_after_the_history_was_read_again(
    store: Store,
) -> None:
    store.add(make_row(number) for number in range(7))
    last = store.last_id()
    store.clear()
    store.add([make_row(1), make_row(2)])
    store.add([make_row(8)], live=True)

    assert [row.event_id for row in store.arrived(Selection(), after=last)] == ["evt-8"]


@given(
    notes=st.lists(st.text('aAßé日*?[]"_%\0', max_size=12) | st.text(max_size=6), max_size=4),
    asked=st.text('aAßé日*?[]"_% \0', max_size=4) | st.text(max_size=4),
)
def test_the_console_finds_by_words_exactly_what_gpw_finds(notes: list[str], asked: str) -> None:
    notes = [note.encode("utf-8", "ignore").decode() for note in notes]
    asked = asked.encode("utf-8", "ignore").decode()
    items = [make_row(n, data={"note": note}) for n, note in enumerate(notes)]
    with closing(Store()) as store:
        store.add(items)
        found = {row.event_id for row in store.newest(Selection(text=asked))}

    assert found == {item["event_id"] for item in items if holds(item, Selection(text=asked).words)}


@pytest.mark.parametrize("word", ["*", "[a", "a]", "?", "x*y", "%", "_", '"', "日本", "ß", "É"])
def test_what_is_special_to_a_search_engine_is_found_as_itself(store: Store, word: str) -> None:
    store.add([make_row(1, data={"note": f"before{word}after"}), make_row(2)])

    assert [row.event_id for row in store.newest(Selection(text=f"e{word}a"))] == ["evt-1"]


def test_the_oldest_events_make_room_and_are_counted() -> None:
    size = len(searchable(make_row(10)))
    with closing(Store(max_bytes=size * 10)) as store:
        store.add(make_row(number) for number in range(10, 40))
        left = store.count(Selection())
        newest = store.newest(Selection())[0]

    assert 1 <= left <= 10
    assert store.dropped == 30 - left
    assert newest.event_id == "evt-39"


def test_an_event_that_is_forgotten_is_not_found_either(store: Store) -> None:
    store.add([make_row(1), make_row(2)])
    store.forget([key(make_row(1)), Key("never", "there")])

    assert [row.event_id for row in store.newest(Selection(text="evt"))] == ["evt-2"]


@pytest.mark.parametrize("before", ["x\0", "\0", "\0\0"])
def test_what_follows_a_nul_is_found_by_its_word(store: Store, before: str) -> None:
    store.add([make_row(1, data={"note": before, "more": f"{before}needle"})])

    for word in ("needle", "evt-1", "ne"):
        assert store.count(Selection(text=word)) == 1


def test_a_word_of_any_length_can_be_searched_for(store: Store) -> None:
    long = "0123456789" * 6_000
    store.add([make_row(1, data={"note": f"before{long}after"})])

    assert store.count(Selection(text=long)) == 1
    assert store.count(Selection(text=f"{long}x")) == 0


def test_an_error_while_events_are_added_leaves_nothing_half_done(store: Store) -> None:
    def items() -> Iterator[dict[str, Any]]:
        yield make_row(1)
        raise RuntimeError("anything")

    with pytest.raises(RuntimeError):
        store.add(items())
    store.add([make_row(2)])

    assert [row.event_id for row in store.newest(Selection())] == ["evt-2"]
    assert store.kinds.by_name["profile.updated"].seen.count == 1


@pytest.mark.parametrize(
    "edited",
    [
        {"subject": "x", "version": "y"},
        make_row(1) | {"data": {b"x"}},
        make_row(1) | {"data": b"x"},
        make_row(1, event_id="\ud800"),
        make_row(1, data=DEEP),
    ],
    ids=["attributes", "set", "bytes", "surrogate", "depth"],
)
def test_items_that_are_not_events_are_counted_and_the_others_taken(
    store: Store, edited: dict[str, Any]
) -> None:
    store.add([make_row(2), edited, make_row(3)])

    assert (store.count(Selection()), store.unreadable) == (2, 1)


def test_an_item_with_a_profile_that_is_no_text_is_taken(store: Store) -> None:
    store.add([make_row(1, profile_id={"a": Decimal(1)})])

    assert store.newest(Selection())[0].profile is None


def test_what_is_read_while_the_history_is_filled_does_not_appear_as_new(store: Store) -> None:
    store.add([make_row(1)])
    after = store.last_id()
    store.add([make_row(2)])
    store.add([make_row(3)], live=True)

    assert [row.event_id for row in store.arrived(Selection(), after=after)] == ["evt-3"]


# ---------------------------------------------------------------- filters


def test_filters_are_the_options_of_gpw() -> None:
    filters = read({"tenant": "t", "q": "two words", "status": "", "since": "2026-01-01"})

    assert filters.options() == (
        "--received --tenant t --text 'two words' --since 2026-01-01T00:00:00.000000Z"
    )
    assert filters.query == "tenant=t&since=2026-01-01&q=two+words"


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"until": "9" * 400 + "w"}])
def test_an_invalid_time_is_refused_with_the_formats_that_are_understood(
    query: dict[str, str],
) -> None:
    with pytest.raises(OperatorError, match="write 30m, 2h or 7d"):
        read(query)


# ---------------------------------------------------------------- what pages show


@given(JSON)
def test_a_highlighted_value_is_the_same_json_and_nothing_of_it_is_markup(value: Any) -> None:
    html = str(json_html(value))
    text = re.sub(r"</?(?:bdi|span)(?: class=\"j-\w+\")?>", "", html)

    assert "<" not in text
    assert json.loads(unescape(text)) == value


def test_characters_that_turn_the_direction_of_text_are_shown_as_escapes() -> None:
    assert "\\u202e" in json_html({"a": "\u202egnp.exe", "b": "\x9b31m"})
    assert "\u202e" not in json_html("\u202e")


@given(JSON, JSON)
def test_two_values_differ_in_nothing_exactly_if_they_are_the_same(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

    assert (not list(changes(one, other))) == same


def test_a_difference_names_the_field_and_both_values() -> None:
    before = {"a": {"b": [1, 2]}, "gone": None, "same": 1}
    after = {"a": {"b": [1, 3, 4]}, "new": True, "same": 1}

    assert [(c.path, c.kind, c.before, c.after) for c in changes(before, after)] == [
        ("a.b[1]", "changed", 2, 3),
        ("a.b[2]", "added", None, 4),
        ("gone", "removed", None, None),
        ("new", "added", None, True),
    ]


def test_a_payload_with_many_names_does_not_grow_the_list_of_fields_without_end() -> None:
    kinds = Kinds()
    for number in range(MAX_PATHS + 10):
        kinds.see(make_row(number, data={f"name-{number}": number}))
    kind = kinds.by_name["profile.updated"]

    assert len(kind.paths) == MAX_PATHS
    assert kind.cut
    assert kind.seen.count == MAX_PATHS + 10


def test_the_fields_of_all_types_take_limited_memory() -> None:
    kinds = Kinds()
    for number in range(MAX_FIELDS // MAX_PATHS + 10):
        data: Any = {f"name-{n}": n for n in range(MAX_PATHS)}
        for _ in range(30):
            data = {"n" * 500: data}
        kinds.see(make_row(number, event=f"type-{number}", data=data))
    paths = [path for kind in kinds.by_name.values() for path in kind.paths]

    assert len(paths) <= MAX_FIELDS
    assert max(map(len, paths)) <= MAX_PATH
    assert all(kind.cut for kind in kinds.by_name.values() if not kind.paths)


def test_long_names_are_cut_in_the_path_of_a_change_and_many_changes_are_only_counted() -> None:
    before = {"n" * 59_000: {str(n): n for n in range(50)}}
    shown, more = first(changes(before, {"n" * 59_000: {}}), 10)

    assert (len(shown), more) == (10, 40)
    assert shown[0].path == f"{'n' * MAX_NAME}….0"


def test_a_value_that_is_too_long_to_show_is_cut_and_says_so() -> None:
    html = json_html({"a": "<" * 500, "b": 1}, 100)

    assert "<<" not in html
    assert "more characters" in html
    assert html.count("&lt;") < 100


def test_a_spreadsheet_gets_no_formula_from_an_event() -> None:
    row = make_row(1, event_id="=HYPERLINK(1)", tenant_id="\uff20x\u202e", data={"status": "+1"})
    [_names, line] = b"".join(exported(Format.CSV, [[row]])).decode().splitlines()

    assert ""","'=HYPERLINK(1)",""" in line
    assert ""","'\uff20x\\u202e",""" in line
    assert ""","'+1",""" in line


def test_a_timeline_of_one_event_and_of_many_is_drawn() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    marks = [charts.Mark(at + timedelta(days=n), "stale", "<b>", "/x?a=1&b=2") for n in range(300)]

    assert str(charts.timeline(marks)).count("<circle") == charts.MAX_MARKS
    assert "<b>" not in charts.timeline(marks[:1])


# ---------------------------------------------------------------- the runbook


def test_the_runbook_has_a_word_on_every_reason_that_it_names_and_on_the_others() -> None:
    assert "can never be stored as it is" in runbook.about("not_storable")
    assert runbook.about("never heard of") == runbook.sections()["no reason"]


def test_the_runbooks_text_becomes_html_and_what_looks_like_html_stays_text() -> None:
    html = markdown_html("**Do:** run `gpw <x>`, see [there](x.md#y)\n\nNext & last.")

    assert str(html) == (
        "<p><strong>Do:</strong> run <code>gpw &lt;x&gt;</code>, see there</p>"
        "<p>Next &amp; last.</p>"
    )


# ---------------------------------------------------------------- the minutes


def test_an_event_is_counted_once_for_each_thing_that_became_of_it() -> None:
    now = datetime.now(UTC)
    target: Any = None
    counts = Counts(target)
    for function, outcome, reason in (
        ("ingest", "accepted", None),
        ("consumer", "applied", None),
        ("publisher", "applied", None),  # says again what the consumer said
        ("ingest", "refused", "wrong_secret"),
        ("ingest", "refused", "not_json"),
        ("consumer", "dead-lettered", "not_storable"),
        ("consumer", None, None),
    ):
        counts.add(Seen(now, function, "", outcome=outcome, reason=reason))
    *_, (_minute, last) = counts.series(now)

    assert last == {"accepted": 1, "applied": 1, "refused": 2, "dead": 2}


def test_minutes_without_events_are_drawn_and_old_ones_forgotten() -> None:
    now = datetime.now(UTC)
    target: Any = None
    counts = Counts(target)
    counts.add(Seen(now - timedelta(hours=2), "ingest", "", outcome="accepted"))
    series = counts.series(now)

    assert len(series) == MINUTES
    assert [one for _, one in series if one] == []
    assert "0 accepted" in charts.bars(series, SERIES[:2], SERIES[2:])
