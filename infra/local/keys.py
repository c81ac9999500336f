"""Keys that a person presses while a program runs in a terminal."""

import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress


@contextmanager
def pressed(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """In the block, call the function of each pressed key, in another thread.

    Yields: whether there is a terminal whose keys this program gets.
    """
    if not _in_foreground():
        yield False
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    # Else reading would stop the process when it is put into the background.
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)

    def read() -> None:
        with suppress(OSError):  # in the background, or the terminal is gone
            while key := os.read(terminal, 1):
                if action := actions.get(key.decode("ascii", "replace")):
                    action()

    tty.setcbreak(terminal)  # a key at a time, without Enter; Ctrl-C stays a signal
    try:
        threading.Thread(target=read, daemon=True).start()
        yield True
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _in_foreground() -> bool:
    """Whether standard input is a terminal that this program may use."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal that controls nobody, so it knows no background
        return True
