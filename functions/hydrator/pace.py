"""Not more requests a second than GetProfile's API was promised, over all threads of a worker."""

import threading
import time
from collections.abc import Callable

from hydrator.errors import ApiPausedError, OutOfTimeError


class Pace:
    """Lets one request begin in every 1 / per_second seconds, and none while the API wants a pause.

    It stays as the worker does, so that the next batch goes on where this one ended.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._paused_until = float("-inf")

    def wait(self, seconds: Callable[[], float]) -> None:
        """Return when a request may begin.

        seconds: in how many it has to begin, asked anew each time.
        Raises: OutOfTimeError, ApiPausedError when it may not begin by then.
        """
        while True:
            with self._lock:
                now = self._clock()
                begin = max(self._next, self._paused_until)
                room = seconds()
                if begin <= now and room >= 0:
                    self._next = now + self._interval
                    return
                paused = self._paused_until - now
            if paused > max(room, 0):
                raise ApiPausedError("The API wants a pause", retry_after=paused)
            if room < max(begin - now, 0):
                raise OutOfTimeError("Too little time is left to ask the API")
            self._sleep(begin - now)

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)
