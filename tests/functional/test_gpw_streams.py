"""Standard streams that are closed, full, or take no Unicode: one line and an exit code."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A command that works on no stack, and one that asks; `table` prints what a test needs.
PROGRAM = """
import sys
from gpw.cli import streams
from gpw.cli.output import Output
from gpw.stack.errors import OperatorError
def command():
    out = Output(as_json="--json" in sys.argv)
    out.say("tenant müller \\U0001f600")
    out.document({"tenant": "müller \\U0001f600"})
    if "--ask" in sys.argv:
        try:
            out.confirm("Sure?")
        except OperatorError as error:
            sys.stderr.write(str(error))
            sys.exit(error.code)
sys.exit(streams.run(command))
"""


def shell(line: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the program in a shell, whose redirections close or replace its streams."""
    words = " ".join(arguments)
    return subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "$PROGRAM" {words} {line}'],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={"PROGRAM": PROGRAM, **environment},
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_unicode_gets_escapes_that_can_be_pasted_back(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": encoding},
    )

    told = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert told.replace(r"\u00fc", "ü") == "tenant müller \\U0001f600\n"


def test_json_on_a_stream_without_unicode_has_jsons_escapes() -> None:
    done = shell("", "--json", PYTHONIOENCODING="ascii")

    assert done.stdout.isascii()
    assert json.loads(done.stdout) == {"tenant": "müller \U0001f600"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_output_that_cannot_be_written_is_one_line_and_an_exit_code(
    arguments: tuple[str, ...],
) -> None:
    done = shell("> /dev/full", *arguments)

    assert (done.returncode, done.stderr) == (
        1,
        "Output can't be written: No space left on device\n",
    )


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_with_standard_output_closed_nothing_is_done(arguments: tuple[str, ...]) -> None:
    done = shell(">&-", *arguments)

    assert (done.returncode, done.stderr) == (1, "Standard output is closed, so nothing was done\n")


def test_a_closed_standard_error_changes_nothing_else() -> None:
    done = shell("2>&-")

    assert (done.returncode, done.stdout) == (0, "tenant müller \U0001f600\n")


def test_a_question_without_standard_input_is_not_confirmed() -> None:
    done = shell("<&-", "--ask")

    assert done.returncode == 2
    assert "No input to confirm with, so nothing was done" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    done = shell("| true")

    assert done.stderr == ""


@pytest.mark.parametrize("command", ["secret set", "erase a b", "replay --all", "events"])
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_no_command_ends_in_a_traceback(command: str, closed: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m gpw.cli.app {command} --local {closed}'],
        capture_output=True,
        text=True,
        check=False,
        env={"GPW_CLOUD_FILE": str(tmp_path / "none.json")},
    )

    assert done.returncode in {1, 2}
    assert len(done.stderr.splitlines()) in {1, 2}


UNFINISHED = """
import sys, time
from pathlib import Path
from gpw.cli import streams
from gpw.operations.export import new_file
def command():
    with new_file(Path(sys.argv[1])) as file:
        file.write(b"personal data")
        file.flush()
        print("writing", flush=True)
        time.sleep(60)
sys.exit(streams.run(command))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_no_part_of_an_export(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", UNFINISHED, tmp_path / "events.csv"],
        stdout=subprocess.PIPE,
        env={},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        parts = list(tmp_path.iterdir())
        process.send_signal(number)

    assert len(parts) == 1
    assert (process.returncode, list(tmp_path.iterdir())) == (code, [])
