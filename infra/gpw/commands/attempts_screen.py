"""Shows attempts on a terminal, where the operator can select and retry one."""

import os
import select
import signal
import sys
import termios
import threading
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text

from gpw.cli.output import Output, safe
from gpw.listening.attempts import Attempt
from gpw.stack.text import OUTCOME_STYLES
from gpw.stack.when import duration

ROWS = 10  # attempts that can be selected; older ones have scrolled away
REST = 8  # lines of a small terminal that are reserved for other output
RESPONSE_LINES = 3
HELP = "↑/k ↓/j select   r retry   q quit"

KEYS = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"k": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"j": "down",
    b"r": "retry",
    b"q": "quit",
}


class Screen:
    """Shows the newest attempts at the bottom of the terminal, until the `with` block ends.

    retry: forwards the event of an attempt again; called from the keyboard's thread.
    """

    def __init__(self, out: Output, retry: Callable[[Attempt], None]) -> None:
        self._out = out
        self._retry = retry
        self._lock = threading.RLock()
        self._rows: deque[Attempt] = deque()
        self._most = max(2, min(ROWS, out.console.height - REST))
        self._selected: int | None = None  # None: the newest
        self._live = Live(console=out.console, auto_refresh=False, transient=True)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        # Notes must also be printed above the attempts.
        self._errors, self._out.errors = self._out.errors, self._out.console
        self._live.start()
        self._draw()
        self._keyboard = keyboard(sys.stdin.fileno())
        self._keyboard.__enter__()
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        with suppress(OSError):  # the terminal may be gone
            self._keyboard.__exit__(kind, error, trace)
        with suppress(OSError), self._lock:
            self._live.stop()
            for row in self._rows:
                self._out.say(attempt_line(row))
        self._out.errors = self._errors

    def show(self, attempt: Attempt) -> None:
        """Add an attempt below the others."""
        with self._lock:
            self._rows.append(attempt)
            if len(self._rows) > self._most:
                self._out.say(attempt_line(self._rows.popleft()))
                if self._selected is not None:
                    self._selected = max(0, self._selected - 1)
            self._draw()

    def press(self, key: str) -> None:
        """Handle a key."""
        with self._lock:
            last = len(self._rows) - 1
            at = last if self._selected is None else self._selected
            chosen = self._rows[at] if self._rows else None
            if key in {"up", "down"}:
                at = max(0, min(last, at + (1 if key == "down" else -1)))
                self._selected = None if at >= last else at
            self._draw()
        if key == "retry" and chosen:
            self._retry(chosen)
        if key == "quit":
            os.kill(os.getpid(), signal.SIGINT)

    def _draw(self) -> None:
        last = len(self._rows) - 1
        at = last if self._selected is None else self._selected
        lines = [_line(row, selected=number == at) for number, row in enumerate(self._rows)]
        if self._rows:
            lines += _answer(self._rows[at])
        self._live.update(Group(*lines, Text(HELP, "dim")), refresh=True)

    def _listen(self) -> None:
        for key in pressed(sys.stdin.fileno(), self._ended):
            self.press(key)


def attempt_line(attempt: Attempt) -> Text:
    """The attempt as one line for people. `Output` makes it safe to show."""
    event, result = attempt.event, attempt.result
    status = str(result.status or ("ok" if result.well else "failed"))
    notes = [
        "" if event.receipt else "from the history",
        "replayed" if event.replayed else "",
        "data omitted" if event.incomplete else "",
    ]
    parts = [event.type, event.tenant, event.profile or "", event.id, *notes]
    return Text.assemble(
        (f"{attempt.at:%H:%M:%S} ", "dim"),
        (f"{status:<6} ", "green" if result.well else "bold red"),
        (f"{duration(result.seconds):>7} #{attempt.number}  ", "dim"),
        (f"{event.outcome:<8} ", OUTCOME_STYLES.get(event.outcome, "")),
        "  ".join(part for part in parts if part),
        (f"  {result.error or result.response[:200]}", "" if result.error else "dim"),
    )


def _line(row: Attempt, *, selected: bool) -> Text:
    text = safe(Text.assemble(("> " if selected else "  "), attempt_line(row)))
    text.no_wrap, text.overflow = True, "ellipsis"
    if selected:
        text.stylize("reverse")
    return text


def _answer(row: Attempt) -> list[Text]:
    """The first lines of the selected attempt's response or error."""
    lines = (row.result.error or row.result.response).splitlines()
    shown = [safe(Text(f"    {line}", "dim")) for line in lines[:RESPONSE_LINES]]
    for text in shown:
        text.no_wrap, text.overflow = True, "ellipsis"
    return shown


# ---------------------------------------------------------------- the keyboard


def can_be_used(out: Output) -> bool:
    """Whether an operator can use the screen: not in a pipe, not in the background."""
    return (
        not out.as_json
        and out.console.is_terminal
        and sys.stdin.isatty()
        and _in_foreground(sys.stdin.fileno())
    )


@contextmanager
def keyboard(terminal: int) -> Iterator[None]:
    """Read keys one by one without echo; restore the terminal afterwards.

    Ctrl-C and Ctrl-Z work as usual. When the process continues after Ctrl-Z, the mode is set again,
    because the shell may have reset the terminal.
    """
    before = termios.tcgetattr(terminal)

    def set_again(*_: Any) -> None:
        if _in_foreground(terminal):
            tty.setcbreak(terminal)

    def stop(*_: Any) -> None:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)

    def go_on(*_: Any) -> None:
        signal.signal(signal.SIGTSTP, stop)
        set_again()

    handlers = {
        signal.SIGTSTP: stop,
        signal.SIGCONT: go_on,
        signal.SIGINT: signal.default_int_handler,  # some launchers start a process that ignores it
    }
    old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def pressed(terminal: int, ended: threading.Event) -> Iterator[str]:
    """The known keys that are pressed, until `ended` is set or the terminal is closed."""
    while not ended.is_set():
        try:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if not ready:
                continue
            if not _in_foreground(terminal):  # reading would stop the process
                ended.wait(0.5)
                continue
            read = os.read(terminal, 64)
        except OSError:
            return
        if not read:
            return
        yield from keys(read)


def keys(read: bytes) -> Iterator[str]:
    """The known keys in the bytes that a terminal sent."""
    while read:
        name = next((name for name in KEYS if read.startswith(name)), None)
        if name:
            yield KEYS[name]
        read = read[len(name) if name else 1 :]


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
