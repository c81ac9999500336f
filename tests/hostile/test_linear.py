"""Work grows in proportion to the input, whatever its shape.

A parser holds the interpreter's lock, so no deadline of ours can end it. Time is therefore bounded
by construction: twice the bytes may take twice the work, and never four times.
"""

import gc
import json
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gpw.console import compare, highlight, kinds
from gpw.history import log_lines, selection
from gpw.listening import bus_event
from gpw.operations import mentions, verify_report
from gpw.parked import dead_letters
from gpw.parked.dead_letters import NotRedrivableError
from gpw.stack import printable_json
from gpw.stack.text import plain
from receiver import messages
from receiver.aws.dynamodb import item_to_dynamodb
from receiver.domain import credential, exact_json, parse, strict_json
from receiver.domain.content import Content
from receiver.domain.errors import EventError, NotJsonError
from receiver.domain.parse import parse_event
from receiver.hydrator import hydration, profile_api
from receiver.hydrator.errors import HydrationError
from receiver.ingest.authorization import bearer_token
from receiver.ingest.request import from_api_gateway
from receiver.ingest.validation import validated_event
from tests.factories import NOON, make_event, make_record

# Bytes of the largest input, and into how many inputs the same bytes are divided. Quadratic work is
# PARTS times as much on the one as on the parts together; linear work is the same on both.
LARGE = 65_536
PARTS = 8
# Between both. Memory of another size and the processor's caches cost a factor of up to 2.
MOST = 3.5
ROUNDS = 6

type Make = Callable[[int], str]
type Work = Callable[[str], object]


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a body has too many values must not depend on its size; `counting` counts them."""
    monkeypatch.setattr(parse, "MAX_VALUES", None)
    monkeypatch.setattr(hydration, "MAX_MESSAGE_VALUES", None)
    monkeypatch.setattr(profile_api, "MAX_VALUES", None)


def growth(work: Work, make: Make, size: int = LARGE) -> float:
    """CPU time of one large input, as a multiple of that of PARTS inputs with the same bytes.

    The smallest of several runs counts for each, and runs end as soon as the answer is certain:
    noise can only add time. The machine's speed divides out.
    """
    large, small = make(size), make(size // PARTS)
    whole = parts = float("inf")
    gc.disable()
    try:
        for _ in range(ROUNDS):
            parts = min(parts, _seconds(work, [small] * PARTS))
            whole = min(whole, _seconds(work, [large]))
            if whole < MOST * parts:
                break
    finally:
        gc.enable()
    return whole / parts


def _seconds(work: Work, texts: Iterable[str]) -> float:
    began = time.process_time()
    for text in texts:
        with suppress(EventError, HydrationError, NotRedrivableError, RecursionError, ValueError):
            work(text)
    return time.process_time() - began


# ---------------------------------------------------------------- JSON

START = json.dumps(make_event(text="<v>")).partition('"<v>"')[0]


def event(value: str) -> str:
    return f"{START}{value}}}}}"


def repeated(text: str) -> Make:
    """An event whose data has the text again and again."""
    return lambda size: event(text * (size // len(text)))


def cut(text: str, end: str = "") -> Make:
    """A body that ends inside a string."""
    return lambda size: f'{START}"{text * (size // len(text))}{end}'


def raw(text: str) -> Make:
    return lambda size: text * (size // len(text))


def members(member: str, before: str = "[", after: str = "]") -> Make:
    """An event with many members of one array or object."""

    def make(size: int) -> str:
        count = size // (len(member) + 1)
        return event(before + ",".join(member for _ in range(count)) + after)

    return make


def many_names(size: int) -> str:
    names = (f'"{number:08}":1' for number in range(size // 13))
    return event("{" + ",".join(names) + "}")


def long_name(before: str, member: str, after: str) -> Make:
    """Half of the bytes are one name, and the other half are values under it."""

    def make(size: int) -> str:
        name = "profile" + "n" * (size // 2)
        values = ",".join([member] * (size // 2 // (len(member) + 1)))
        return event(f'{{"{name}":{before}{values}{after}}}')

    return make


def long_name_of_many_names(size: int) -> str:
    inner = ",".join(f'"{number:08}":1' for number in range(size // 2 // 13))
    return event(f'{{"{"n" * (size // 2)}":{{{inner}}}}}')


JSON: dict[str, Make] = {
    "a long string": lambda size: event(f'"{"x" * size}"'),
    "a string of escapes": lambda size: event(f'"{chr(92)}n' * (size // 4) + '"'),
    "JSON in a string": lambda size: event(json.dumps('{"a":[1,"b"]},' * (size // 18))),
    "cut in a string of escaped quotes": cut('\\",'),
    "cut in JSON in a string": cut('{\\"a\\": [1, 2]}, '),
    "cut behind a backslash": cut('\\",', "\\"),
    "cut in an escape": cut('\\",', "\\ud83"),
    "cut in a string of backslashes": cut("\\"),
    "cut in a string of escaped backslashes": cut("\\\\,"),
    "cut in a string of commas": cut(",[{"),
    "cut in an array": lambda size: event("[" + "1," * (size // 2))[:-3],
    "cut in a number": lambda size: f"{START}{'1' * size}",
    "nothing but quotes": raw('"'),
    "quotes and commas": raw('",'),
    "strings without a comma between": raw('"a"'),
    "nothing but backslashes": raw("\\"),
    "arrays in arrays": raw("["),
    "objects in objects": raw('{"":'),
    "arrays in objects": raw('[{"":'),
    "nested and closed": lambda size: event("[" * (size // 2) + "]" * (size // 2)),
    "nested as deep as it is wide": lambda size: event(
        "[" * 900 + "1," * (size // 2 - 901) + "1" + "]" * 900
    ),
    "nothing but closing brackets": raw("]"),
    "nothing but commas": raw(","),
    "digits": lambda size: event("7" * size),
    "digits behind the point": lambda size: event(f"0.{'7' * size}"),
    "a one and zeros": lambda size: event(f"1{'0' * size}"),
    "digits and an exponent": lambda size: event(f"{'7' * size}e99999"),
    "digits of an exponent": lambda size: event(f"1e{'9' * size}"),
    "huge numbers": members("1e999999999"),
    "tiny numbers": members("1e-999999999"),
    "numbers of a thousand digits": members("7" * 1_000),
    "numbers": members("1"),
    "the same name again and again": members('"a":1', "{", "}"),
    "different names": many_names,
    "a long name over an array": long_name("[", "1", "]"),
    "a long name over strings": long_name("[", '"x"', "]"),
    "a long name over names": long_name_of_many_names,
    "white space": raw(" "),
    "white space in an event": repeated(" "),
    "lines": raw("\n"),
    "lines in an event": lambda size: event("\n" * size + "!"),
    "byte-order marks": lambda size: "\ufeff" * (size // 3),
    "halves of pairs": lambda size: event('"' + "\\ud800" * (size // 6) + '"'),
    "a control character at the end": lambda size: event(f'"{"x" * size}\x01"'),
    "characters that SQS refuses": lambda size: event('"' + "\uffff" * (size // 3) + '"'),
    "characters that do not print": lambda size: event('"' + "\u202e" * (size // 3) + '"'),
    "a long id": lambda size: event("1").replace('"evt_1"', f'"{"i" * size}"'),
    "a long time": lambda size: event("1").replace("00Z", f"00.{'1' * size}Z"),
    "parts of a long time": lambda size: event("1").replace("2023", "2" * size),
    "more fields": lambda size: (
        event("1")[:-1] + "".join(f',"{number:08}":1' for number in range(size // 13)) + "}"
    ),
    "markup": lambda size: event('"' + "<b>&amp;" * (size // 8) + '"'),
    "ARNs": lambda size: event('"' + "arn:http://1234567" * (size // 18) + '"'),
    "escaped names of a profile": lambda size: event('"' + "\\u0031\\u0032" * (size // 12) + '"'),
}


def dead_letter(text: str) -> dead_letters.DeadLetter:
    return dead_letters.from_sqs(
        {
            "MessageId": "1",
            "ReceiptHandle": "1",
            "Body": text,
            "Attributes": {"SentTimestamp": "1696161602000"},
            "MessageAttributes": {
                "source": {"DataType": "String", "StringValue": "ingest"},
                "reason": {"DataType": "String", "StringValue": "not_json"},
            },
        }
    )


def parsed(work: Callable[[Any], object]) -> Work:
    """Work on the value in a text, whose parsing is a part of what is measured."""
    return lambda text: work(strict_json.loads(text))


def ingest(text: str) -> object:
    body = text.encode()
    try:
        return validated_event(
            body,
            content_type="application/json",
            content_encoding=None,
            received_at=NOON,
            max_body_bytes=len(body),
        )
    except EventError as error:
        return messages.refused(body, error, NOON)


def table(value: Any) -> object:
    return item_to_dynamodb({"data": value})


def fetch(text: str) -> object:
    answer = f'{{"profile_id":"1","profile":{{"last_updated":"{NOON.isoformat()}","x":{text}}}}}'
    return profile_api.parse_profile(answer.encode(), "1", NOON)


def differences(value: Any) -> object:
    return list(compare.changes(value, emptied(value)))


def emptied(value: Any) -> Any:
    """The same names and lengths, and no value."""
    match value:
        case dict():
            return {name: emptied(inner) for name, inner in value.items()}
        case list():
            return [emptied(inner) for inner in value]
        case _:
            return None


def lenient(text: str) -> object:
    return mentions.in_message(dead_letter(text), "abc-tenant", "12")


def bus(text: str) -> object:
    envelope = {"source": "getprofile.webhooks", "detail": "<d>"}
    body = json.dumps(envelope).replace('"<d>"', text)
    return bus_event.from_message(
        {"Body": body, "ReceiptHandle": "1", "Attributes": {"SentTimestamp": "1696161602000"}}
    )


READERS: dict[str, Work] = {
    "counting": lambda text: strict_json.loads(text, max_values=1),
    "parsing": strict_json.loads,
    "ingest": ingest,
    "ingest's messages": lambda text: messages.accepted(text, NOON),
    "the consumer": lambda text: parse_event(text).version,
    "two deliveries": parsed(
        lambda value: Content("event", value).differences(Content("event", value))
    ),
    "the tables": parsed(table),
    "the bus": parsed(exact_json.dumps),
    "the hydrator's messages": lambda text: hydration.parse_request(make_record(text)),
    "the hydrator's answers": fetch,
    "dead letters": dead_letter,
    "redrive": lambda text: dead_letters.redrive(
        dead_letter(text), hydrating=True, now=NOON, retention=timedelta(days=30)
    ),
    "erase": lenient,
    "listen": bus,
    "tail": lambda text: log_lines.read("ingest", text, NOON),
    "dlq show": plain,
    "the report of verify": lambda text: verify_report._NAMES.sub("…", text),
    "printed JSON": parsed(printable_json.dumps),
    "the console's JSON": parsed(highlight.json_html),
    "the console's differences": parsed(differences),
    "the console's fields": parsed(lambda value: list(kinds.leaves(value))),
    "search": parsed(lambda value: selection.holds({"data": value}, ("no", "such", "word"))),
}

# Values of a table, which holds 32 levels. What these make for a value is as long as its path, or
# is indented by its level, so a deeper value would take more. Dead letters are shown as they are.
OF_TABLES = {"the console's JSON", "the console's differences", "the console's fields"}
DEEP = {"nested as deep as it is wide", "nested and closed"}


PAIRS = [
    (reader, shape)
    for reader in READERS
    for shape in JSON
    if not (reader in OF_TABLES and shape in DEEP)
]


@pytest.mark.parametrize(("reader", "shape"), PAIRS)
def test_json_of_any_shape_takes_linear_work(reader: str, shape: str) -> None:
    assert growth(READERS[reader], JSON[shape]) < MOST


# ---------------------------------------------------------------- headers and other texts

TEXTS: dict[str, Make] = {
    "spaces": raw(" "),
    "tabs and spaces": raw("\t "),
    "letters": raw("x"),
    "spaces, then a letter": lambda size: " " * size + "x",
    "a token, then spaces and a letter": lambda size: f"Bearer x{' ' * size}é",
    "spaces before the token": lambda size: f"Bearer{' ' * size}é",
    "bearer again and again": raw("bearer "),
    "a long token": lambda size: f"Bearer {'x' * size}é",
    "a type and spaces": lambda size: f"application/json{' ' * size}x",
    "a type and semicolons": lambda size: f"application/json{';' * size}\n",
    "a long subtype": lambda size: f"application/{'a' * size}",
    "a subtype of plus signs": lambda size: f"application/{'a+' * (size // 2)}json",
    "commas": raw("gzip, "),
    "brackets": raw("["),
    "a JSON string": lambda size: f'"{"x" * size}',
    "percent signs": lambda size: f"%{'25' * (size // 2)}2e",
    "slashes": raw("/."),
    "digits": raw("9"),
    "digits, then a letter": lambda size: "9" * size + "x",
    "months": raw("Jan, "),
    "a date": lambda size: f"Sun, 01 Oct 2023 {'1:' * (size // 2)}",
}

HEADERS: dict[str, Work] = {
    "Authorization": bearer_token,
    "a secret": credential.is_usable,
    "Content-Type": lambda text: validated_event(
        b"", content_type=text, content_encoding=None, received_at=NOON, max_body_bytes=1
    ),
    "Content-Encoding": lambda text: validated_event(
        b"", content_type=None, content_encoding=text, received_at=NOON, max_body_bytes=1
    ),
    "the request": lambda text: from_api_gateway(
        {"headers": {"x": text}, "body": text, "isBase64Encoded": True}
    ),
    "Retry-After": lambda text: profile_api.pause_seconds(503, text, datetime.now(UTC)),
    "escapes in a dead letter": lambda text: mentions._ESCAPES.sub(mentions._unescaped, text),
}


@pytest.mark.parametrize("shape", TEXTS)
@pytest.mark.parametrize("reader", HEADERS)
def test_a_header_of_any_shape_takes_linear_work(reader: str, shape: str) -> None:
    """API Gateway allows 10,240 bytes of headers; a secret may have 65,536."""
    assert growth(HEADERS[reader], TEXTS[shape]) < MOST


def test_an_id_that_is_encoded_again_and_again_is_as_long_as_an_id_may_be() -> None:
    """Each decoding shortens the id, so its 128 characters bound the number of decodings."""
    nested = "%" + "25" * 62 + "2e"
    body = json.dumps({"hydrate": {"profile_id": nested, "tenant_id": "t"}})

    assert len(nested) <= 128
    assert not hydration.fetchable(nested)
    with pytest.raises(EventError):
        hydration.parse_request(make_record(body))


# ---------------------------------------------------------------- the measure itself

# As it was: it searches for the closing quote again from each quote of a text that has none.
_INSISTING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def long_paths(value: Any, path: str = "") -> list[str]:
    """Quadratic on purpose: each member of an object holds a copy of the object's whole path."""
    if not isinstance(value, dict):
        return [path]
    return [one for name, inner in value.items() for one in long_paths(inner, f"{path}.{name}")]


QUADRATIC: list[tuple[Work, str, int]] = [  # with a size at which the work is done soon
    (lambda text: _INSISTING.sub("", text), "cut in a string of escaped quotes", 8_192),
    (lambda text: _INSISTING.sub("", text), "cut in JSON in a string", 8_192),
    (parsed(long_paths), "a long name over names", 65_536),
    (lambda text: [text[n:] for n in range(0, len(text), 16)], "white space", 65_536),
    (lambda text: int(Decimal(10) ** len(text)), "white space", 16_384),
]


@pytest.mark.parametrize(("work", "shape", "size"), QUADRATIC)
def test_quadratic_work_is_noticed(work: Work, shape: str, size: int) -> None:
    assert growth(work, JSON[shape], size) > MOST


def test_a_cut_string_is_not_json_and_not_too_many_values() -> None:
    for make in (JSON["cut in a string of escaped quotes"], JSON["cut in JSON in a string"]):
        with pytest.raises(NotJsonError):
            strict_json.loads(make(LARGE), max_values=20)
