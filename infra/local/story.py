"""Prints the progress of `make demo`, `make start` and `make bench` to a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(text: str = "") -> None:
    print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print what the block does before it starts, and how long it took when it ends."""
    print(f"  {text} ...", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", flush=True)


def wait_until[T](found: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """Call `found` until it returns a value other than None.

    Raises: TimeoutError, which names what was awaited.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (answer := found()) is not None:
            return answer
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds:.0f} s for {what}")


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
