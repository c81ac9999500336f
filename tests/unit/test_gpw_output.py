"""Nothing that gpw prints steers the terminal, whoever chose the text."""

import ast
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from gpw.cli.output import Output
from gpw.stack.files import ROOT
from gpw.stack.text import plain

HOSTILE = "id \x1b[2J \x9b31m \u202e \u2066 \u2028 \ud800 \x00 \U000e0001 end"


def printed(*, as_json: bool = False, options: Sequence[str] = ()) -> tuple[Output, io.StringIO]:
    """An output whose two consoles write into one text."""
    out, text = Output(as_json=as_json, options=options), io.StringIO()
    out.console = out.errors = Console(file=text, markup=False, width=1000, highlight=False)
    return out, text


def escapes(text: str) -> list[str]:
    return [character for character in text if not character.isprintable() and character != "\n"]


# ---------------------------------------------------------------- escapes


@given(st.text())
def test_shown_text_has_only_printable_characters(text: str) -> None:
    assert plain(text).isprintable()


@given(st.text())
def test_text_that_is_already_safe_does_not_change(text: str) -> None:
    assert plain(plain(text)) == plain(text)


def test_ordinary_text_is_shown_unchanged() -> None:
    assert plain("Ünï 日本 [bold]") == "Ünï 日本 [bold]"


def test_an_escape_shows_the_code_of_the_character_that_it_replaces() -> None:
    assert plain("\x9b \u202e \U000e0001") == r"\u009b \u202e \U000e0001"


# ---------------------------------------------------------------- every way out


@pytest.mark.parametrize("part", [HOSTILE, Text(HOSTILE, "red")])
@pytest.mark.parametrize("way", ["say", "note", "table", "heading", "confirm"])
def test_every_way_to_print_escapes_control_characters(
    way: str, part: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, text = printed()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    match way:
        case "table":
            out.table(["column"], [[part]])
        case "heading":
            out.table([str(part)], [["cell"]])
        case "confirm":
            out.confirm(str(part))
        case _:
            getattr(out, way)("before ", part, " after")

    assert escapes(text.getvalue()) == []
    assert r"\u001b[2J \u009b31m \u202e \u2066 \u2028 \ud800" in text.getvalue()


def test_json_escapes_control_characters() -> None:
    out, text = printed(as_json=True)

    out.line({"id": HOSTILE})
    out.document({HOSTILE: [HOSTILE]})

    assert escapes(text.getvalue()) == []


def test_a_style_stays_on_its_words_when_text_before_them_is_escaped() -> None:
    out, text = printed()
    out.console = Console(file=text, markup=False, width=1000, force_terminal=True, no_color=False)

    out.say(Text.assemble("\x9b", ("red", "bold"), " plain"))

    assert "\\u009b\x1b[1mred\x1b[0m plain" in text.getvalue()


def test_no_module_but_output_writes_to_the_terminal() -> None:
    """Anything that another module printed would be raw."""
    allowed = {
        "cli/output.py",
        "cli/app.py",  # only its version
        "cli/streams.py",  # only that a stream is broken, when nothing else can be printed
    }
    gpw, found = ROOT / "infra" / "gpw", []
    for path in sorted(gpw.rglob("*.py")):
        if path.relative_to(gpw).as_posix() in allowed:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [(path.name, call.lineno) for call in calls if _writes(call.func)]

    assert found == []


def _writes(function: ast.expr) -> bool:
    match function:
        case ast.Name(id="print"):
            return True
        case ast.Attribute(attr="echo" | "secho" | "print" | "print_json"):
            return True
        case ast.Attribute(attr="write", value=ast.Attribute(attr="stdout" | "stderr")):
            return True
        case _:
            return False
