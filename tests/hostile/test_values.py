"""JSON values, and what only looks like one: in `data`, in other fields, and as the whole body."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import make_body, make_event, to_json
from tests.hostile.world import MARK, Verdict, World, put, with_data
from tests.strategies import json_values

KEPT, QUARANTINED, REFUSED = Verdict.KEPT, Verdict.QUARANTINED, Verdict.REFUSED

NUMBERS: dict[str, Verdict] = {
    **dict.fromkeys(
        [
            *("0", "-0", "0.0", "-0.0", "0E0", "0e-5", "0E+500", "-0E-500", "1", "-1", "1.0"),
            *("1E0", "1e+0", "10.10", "1E+2", "0.1", "1e-7", "123456789012345678901234567890"),
            *("9007199254740993", "18446744073709551616", "0.30000000000000004"),
            *("0.1000000000000000055511151231257827", "3.141592653589793238462643383279502884"),
            *("12345678901234567890123456789012345678", "-99999999999999999999999999999999999999"),
            *("1" + "0" * 125, "1." + "0" * 5_000, "0." + "0" * 129 + "1", "1E125", "1E-130"),
            *("9.9999999999999999999999999999999999999E+125", "1.7976931348623157E+100"),
            *("0E999999999999999999", "1234567890" * 3 + "0" * 90),
        ],
        KEPT,
    ),
    **dict.fromkeys(
        [
            *("123456789012345678901234567890123456789", "0." + "9" * 39, "1." + "0" * 38 + "1"),
            *("1E126", "-1E126", "9.9E-131", "1E400", "-1E400", "1E-400", "1E999999999999999999"),
            *("1E-999999999999999999", "1" + "0" * 126, "9" * 5_000, "0." + "1" * 5_000),
            *("1.7976931348623157E+308", "5E-324"),
        ],
        QUARANTINED,
    ),
    **dict.fromkeys(
        [
            *("NaN", "Infinity", "-Infinity", "nan", "inf", "+1", "01", "-01", "00", "1.", ".5"),
            *(
                "-",
                "--1",
                "1e",
                "1e+",
                "0x10",
                "1_000",
                "1,000",
                "\u0661",
                "\uff11",
                "1\u00b2",
                "\u00bd",
                "1f",
            ),
            *("1E9999999999999999999", "1E-9999999999999999999", "-0E99999999999999999999"),
        ],
        REFUSED,
    ),
}
REASONS = {KEPT: "", QUARANTINED: "not_storable", REFUSED: "not_json"}

# What surrounds the ranges that SQS and XML know, and the noncharacters of every plane.
ODD_CHARACTERS = [
    *("\x7f", "\x80", "\x85", "\x9f", "\u00a0", "\u00ad", "\u200b", "\u200f", "\u2028", "\u2029"),
    *("\u202e", "\u2066", "\ud7ff", "\ue000", "\uf8ff", "\ufdd0", "\ufdef", "\ufeff", "\ufff9"),
    *("\ufffc", "\ufffd", "\U00010000", "\U000e0001", "\U0010fffd", "e\u0301", "\U0001f468\u200d"),
    *("\ufffe", "\uffff", "\U0001fffe", "\U0001ffff"),
    "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF)),
]

TEXTS: dict[str | bytes, Verdict] = {
    **{f'"{character}"': KEPT for character in ODD_CHARACTERS},
    **{json.dumps(character): KEPT for character in ODD_CHARACTERS},
    **{f'"\\u{code:04x}"': KEPT for code in range(0x20)},
    **{f'"{chr(code)}"': REFUSED for code in range(0x20)},
    **dict.fromkeys(
        [
            *('""', '"\\u0000"', '"a\\u0000b"', '"\\/"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"'),
            *('"\\\\\ufffe"', '"\\\\ufffe"', '"\ufffe\\\\"', '"\\"\uffff\\""', '"\\\\\\\\\uffff"'),
            *('"' + "x" * 60_000 + '"', '"' + "\uffff" * 20_000 + '"', '"{}"', '"NaN"', '" "'),
            *('"<!--"', '"]]>"', '"&amp;&#0;"', '"\'; DROP TABLE profiles; --"', '"${jndi:ldap}"'),
        ],
        KEPT,
    ),
    **dict.fromkeys(
        [
            *('"\\ud800"', '"\\udfff"', '"\\ude00\\ud83d"', '"\\ud83d \\ude00"', '"a\\uD800z"'),
            *('{"\\ud800": 1}', '["\\udc00", 1]', '{"a": {"\\udbff": {}}}', '"\\ud83d\U0001f600"'),
        ],
        QUARANTINED,
    ),
    **dict.fromkeys(
        [
            *("'single'", '"open', 'close"', '"\\x41"', '"\\u12"', '"\\u{41}"', '"\\\ufffe"'),
            *('"\\U00000041"', '"\\u+123"', '"\\a"', "\u201cquotes\u201d", '"a\\\nb"', "`tick`"),
            # Bytes that are not UTF-8: latin-1, overlong, surrogates, past U+10FFFF, cut short.
            *(b'"caf\xe9"', b'"\xc0\x80"', b'"\xc1\xbf"', b'"\xe0\x80\x80"', b'"\xf0\x80\x80\x80"'),
            *(b'"\xed\xa0\x80"', b'"\xed\xb0\x80"', b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xff"'),
            *(
                b'"\xf4\x90\x80\x80"',
                b'"\xf8\x88\x80\x80\x80"',
                b'"\x80"',
                b'"\xe2\x82"',
                b'"\xfe"',
            ),
        ],
        REFUSED,
    ),
}

CONTAINERS: dict[str, Verdict] = {
    **dict.fromkeys(
        [
            *("null", "true", "false", "[]", "{}", "[[]]", "[{}]", '{"a":{}}', "[null]"),
            "[0, false]",
            *("[true, 1]", "[1, 1.0, true, null]", '{"a":null}', '{" ":1}', '{"a":1,"A":2}'),
            *('{"__proto__":{"x":1}}', '{"constructor":1}', '{"$ref":"#"}', '{"$":1}'),
            '{"#status":1}',
            *('{":version":1}', '{"a.b":1,"a":{"b":2}}', '{"a[0]":1}', '{"S":"x"}'),
            '{"M":{"N":"1"}}',
            *('{"NULL":true}', '{"BOOL":1}', '{"version":"9999"}', '{"\\u0000":1}', '{"\uffff":1}'),
            *('{"\u00e9":1,"e\u0301":2}', '{"\U0001f600":1}', '{"\\n":1,"\\t":2}', '{"null":null}'),
            *('{"' + "k" * 65_535 + '":1}', "[" + "[]," * 200 + "{}]", "[" + "0," * 500 + "1]"),
            *("{" + ",".join(f'"{n}":{n}' for n in range(200)) + "}", "[1,[2,[3,{}]]]"),
        ],
        KEPT,
    ),
    **dict.fromkeys(
        ['{"":1}', '[{"":{}}]', '{"a":{"":null}}', '{"' + "k" * 65_536 + '":1}'], QUARANTINED
    ),
    **dict.fromkeys(
        [
            *('{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"x":{"b":1,"b":2}}]', '{"":1,"":2}'),
            *("[1,]", "[,1]", "[1 2]", '{"a":1,}', "{a:1}", "{'a':1}", '{"a" 1}', '{"a":}'),
            "{1:2}",
            *("[", "]", "{", "}", "[}", "[1]]", "{}}", "/* c */ 1", "1 // c", "# c\n1", "1;"),
            "1 1",
            *("True", "None", "undefined", "nul", "tru", "NULL", "", "\\", "\0", "\f1", "\u00a01"),
            *("\ufeff1", "\u20281", "<xml/>", "a=1&b=2", "!!python/object:os.system"),
        ],
        REFUSED,
    ),
}  # fmt: skip


def ids(literal: str | bytes) -> str:
    return ascii(literal)[:40]


EVERYTHING = [*NUMBERS.items(), *TEXTS.items(), *CONTAINERS.items()]


@pytest.mark.parametrize(
    ("literal", "verdict"),
    [
        pytest.param(literal, verdict, id=f"{n}-{ids(literal)}")
        for n, (literal, verdict) in enumerate(EVERYTHING)
    ],
)
def test_a_value_is_kept_exactly_quarantined_or_refused_wherever_it_stands(
    world: World, literal: str | bytes, verdict: Verdict
) -> None:
    """In the open fields of a known type, in an unknown type, and as a body of its own."""
    places = [{"value"}, {"status"}, {"webhook_id"}]
    if verdict is KEPT:  # all at once; what is not kept, each place must find by itself
        places = [{"value", "status", "webhook_id"}]
    for here in places:
        data: dict[str, Any] = dict.fromkeys(here - {"webhook_id"}, "<v>")
        event = make_event(note=MARK, **data)
        event |= dict.fromkeys(here & {"webhook_id"}, "<v>")

        assert world.journey(put("<v>", literal, event)) is verdict
        assert world.reason == REASONS[verdict]

    unknown = make_event(event_type="test.unknown", note=MARK, value="<v>")
    recorded = Verdict.RECORDED if verdict is KEPT else verdict

    assert world.journey(put("<v>", literal, unknown)) is recorded
    assert world.journey(put("<v>", literal, {"": "<v>"})) is REFUSED
    assert world.journey(literal) is REFUSED


@pytest.mark.parametrize(
    "wrap",
    [
        *("{} {}", "{}{}", "{},{}", "[{}]", "[{},{}]", '"{}"', "// c\n{}", "{} // c", "/**/{}"),
        *(
            "\ufeff\ufeff{}",
            "{}\0",
            "\0{}",
            "{}\ufeff",
            "callback({})",
            ")]}}',\n{}",
            "data: {}",
            "{};",
        ),
        *("{}\x0b", "\x0c{}", "\u00a0{}", "{}\u2028", "\x1e{}\n{}", "<!-- {} -->", "{}x", "'{}'"),
    ],
    ids=ids,
)
def test_more_than_one_value_is_refused(world: World, wrap: str) -> None:
    event = make_body(make_event(note=MARK))

    assert world.journey(wrap.replace("{}", event)) is REFUSED


@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "\t", "\r", " \t\r\n" * 1_000], ids=ids)
def test_white_space_around_an_event_is_allowed_and_alone_it_is_no_event(
    world: World, space: str
) -> None:
    assert world.journey(space + make_body() + space) is KEPT
    assert world.journey(space) is REFUSED
    assert world.reason == "not_json"


@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
        *("utf-7", "latin-1", "cp1252", "cp037", "shift-jis", "gb18030"),
    ],
)
def test_an_event_in_another_encoding_is_refused_and_kept_byte_for_byte(
    world: World, encoding: str
) -> None:
    event = json.dumps(make_event(note="£" + MARK), ensure_ascii=False)
    if encoding == "utf-7":  # its bytes are ASCII, so it is JSON of another text
        assert world.journey(event.encode(encoding)) is KEPT
        return

    assert world.journey(event.encode(encoding)) is REFUSED
    assert world.reason == "not_json"


@pytest.mark.parametrize("mark", ["\ufeff", "\ufeff \r\n"], ids=ids)
def test_a_byte_order_mark_before_an_event_is_skipped_and_is_no_event(
    world: World, mark: str
) -> None:
    assert world.journey(mark + make_body(make_event(note=MARK))) is KEPT
    assert world.journey(mark) is REFUSED
    assert world.reason == "not_json"


@pytest.mark.parametrize("kind", ["arrays", "objects", "both"])
@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        *((30, KEPT), (31, KEPT), (32, QUARANTINED), (33, QUARANTINED), (34, QUARANTINED)),
        *((200, QUARANTINED), (1_000, QUARANTINED), (5_000, QUARANTINED), (19_000, REFUSED)),
    ],
)
def test_nesting_is_kept_up_to_dynamodbs_limit_and_past_it_never_ends_the_function(
    world: World, kind: str, levels: int, verdict: Verdict
) -> None:
    opening = {"arrays": ["[", "["], "objects": ['{"a":', '{"a":'], "both": ["[", '{"a":']}[kind]
    closing = {"[": "]", '{"a":': "}"}
    opened = [opening[level % 2] for level in range(levels)]
    literal = "".join(opened) + "7" + "".join(closing[one] for one in reversed(opened))

    # `data` itself is the first level of its attribute.
    assert world.journey(with_data(literal)) is verdict


@pytest.mark.parametrize(
    "literal",
    ["[" * 100_000, '{"a":' * 50_000, "[" * 262_144, "[{" * 100_000, "]" * 262_144],
    ids=ids,
)
def test_what_is_opened_a_hundred_thousand_times_is_refused(world: World, literal: str) -> None:
    assert world.journey(literal[:262_144]) is REFUSED


@pytest.mark.parametrize(
    "end", ['\\"', '\\",', "\\", "\\\\", "\\u", "\\ud83", "x", ",[{"], ids=repr
)
def test_a_body_that_is_cut_inside_a_string_is_refused_and_kept(world: World, end: str) -> None:
    """It is not JSON, however many commas and brackets its string holds."""
    inner = json.dumps([{"a": n, "b": "c"} for n in range(20_000)], separators=(",", ":"))
    event = make_body(make_event(note=MARK, payload=inner))[: 262_144 - len(end)]

    assert world.journey(event + end) is REFUSED
    assert world.reason == "not_json"


@pytest.mark.parametrize(
    ("size", "verdict", "reason"),
    [
        (262_144 - 1, KEPT, ""),
        (262_144, KEPT, ""),
        (262_144 + 1, REFUSED, "body_too_large"),
        (765 * 1024, REFUSED, "body_too_large"),
        (1_044_480 + 1, REFUSED, "body_too_large"),
        (6_000_000, REFUSED, "body_too_large"),
    ],
)
@pytest.mark.parametrize("filler", [b"x", "\uffff".encode(), b" ", b"\\n"])
def test_the_largest_body_is_kept_and_one_byte_more_is_refused(
    world: World, size: int, verdict: Verdict, reason: str, filler: bytes
) -> None:
    room = size - len(with_data('""'))
    content = b'"' + filler * (room // len(filler)) + b"x" * (room % len(filler)) + b'"'
    body = with_data(content)
    assert len(body) == size

    assert world.journey(body) is verdict
    assert world.reason == reason
    assert world.answer["statusCode"] == (200 if verdict is KEPT else 413)


@pytest.mark.parametrize("filler", [b"\xff", b"\x00", "\ufffe".encode(), b"\x1b", b"x"])
@pytest.mark.parametrize("size", [1, 262_144, 262_145, 783_360, 783_361, 1_044_480, 1_044_481])
def test_a_body_of_any_bytes_is_kept_as_far_as_a_message_holds_it(
    world: World, filler: bytes, size: int
) -> None:
    body = (filler * size)[:size]

    assert world.journey(body) is REFUSED


@pytest.mark.parametrize(("length", "verdict"), [(200_000, KEPT), (210_000, QUARANTINED)])
def test_an_item_over_dynamodbs_size_is_quarantined(
    world: World, length: int, verdict: Verdict
) -> None:
    """`status` stands in the item twice: alone, and in `data`."""
    assert world.journey(make_body(make_event(status="x" * length, note=MARK))) is verdict

    assert world.limits.refused == []  # the function knew


@pytest.mark.parametrize("length", [380_000, 400_000, 411_000, 519_000])
def test_the_largest_body_that_an_owner_can_allow_is_kept_or_quarantined(
    world: World, length: int
) -> None:
    with world.receiving(max_body_bytes=520_192):
        verdict = world.journey(with_data('"' + "x" * length + '"'))
        doubled = world.journey(with_data(b'"' + "\uffff".encode() * (length // 3) + b'"'))

    assert verdict is doubled is (KEPT if length < 409_600 else QUARANTINED)


@pytest.mark.parametrize("literal", ["9" * 262_000, "0." + "1" * 250_000, "1E" + "9" * 200_000])
def test_a_number_as_long_as_a_body_is_quarantined_or_refused(world: World, literal: str) -> None:
    assert world.journey(with_data(literal[:261_000])) is (
        REFUSED if "E" in literal else QUARANTINED
    )


@pytest.mark.parametrize("literal", ["[]", "{}", "0", '""'])
def test_many_tiny_members_are_kept(world: World, literal: str) -> None:
    assert world.journey(with_data("[" + ",".join([literal] * 1_000) + "]")) is KEPT


@settings(max_examples=60)
@given(value=json_values)
def test_any_json_value_is_kept_or_quarantined(world: World, value: Any) -> None:
    assert world.journey(with_data(to_json(value))) in {KEPT, QUARANTINED}


@settings(max_examples=30)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_is_kept_raw_as_well_as_escaped(world: World, text: str) -> None:
    assert world.journey(with_data(json.dumps(text, ensure_ascii=False))) is KEPT
    assert world.journey(with_data(json.dumps(text))) is KEPT


@settings(max_examples=50)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused(world: World, body: bytes) -> None:
    assert world.journey(body) is REFUSED


@settings(max_examples=200)
@given(data=st.data())
def test_an_event_with_some_bytes_changed_is_kept_recorded_quarantined_or_refused(
    world: World, data: st.DataObject
) -> None:
    body = bytearray(with_data('[1.5, "\\u00e9", {"a": null}]'))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 3)))
        body[start:end] = data.draw(
            st.sampled_from(
                [b'"', b"\\", b"{", b"}", b"[", b",", b":", b"\\u", b"-", b"E9", b"\xff"]
            )
            | st.binary(max_size=3)
        )

    assert world.journey(bytes(body)) in {KEPT, Verdict.RECORDED, QUARANTINED, REFUSED}


@pytest.mark.parametrize(
    "extra",
    [
        *(
            "__proto__",
            "data ",
            "DATA",
            "",
            "received_at",
            "version",
            "profile_id",
            "\0",
            "expires_at",
        ),
        *("__class__", "model_config", "types", "profile_state", "created_at ", "\ud800"),
    ],
)
def test_a_field_that_nobody_knows_changes_nothing_in_the_state(world: World, extra: str) -> None:
    odd = {
        "": Verdict.QUARANTINED,
        "\ud800": Verdict.REFUSED,
    }  # DynamoDB has no such name; it is no text
    kept = odd.get(extra, Verdict.KEPT)

    assert world.journey(make_body(make_event(note=MARK) | {extra: {"x": [MARK]}})) is kept
    assert kept is not Verdict.KEPT or world.kept.keys() == {
        *("tenant_id", "profile_id", "status", "version", "event_id", "event_at"),
        *("received_at", "updated_at", "webhook_id", "data"),
    }
