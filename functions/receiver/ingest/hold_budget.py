"""How many deliveries with an unknown secret a worker holds, and whose.

Anybody can send such deliveries, so their number is limited. GetProfile's new key comes repeatedly,
so a part of the budget is kept for tokens that this worker has seen before.
"""

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable

MINUTE = 60.0
# The memory of tokens: one slot of 8 bytes for each, chosen by the token's digest, and the newest
# token has it (1 MiB). Whatever arrives, its size is fixed and no token can be locked out. A flood
# of n random tokens erases a given one with a probability of 1 - exp(-n / SLOTS): of a key that
# comes every 5 minutes, 50 requests a second (the default RequestsPerSecond) erase one sighting in
# ten.
SLOTS = 1 << 17


class HoldBudget:
    """Limits the deliveries that a worker holds per minute, so that a flood costs only cents.

    Half of the budget is open to every delivery. The other half is only for tokens that were seen
    before. It is divided evenly among those of this minute and the one before, and one share more
    is left for a token that comes less often. So neither many tokens that come once nor some that
    come all the time keep out a key that comes now and then. No budget can tell GetProfile's key
    from a flood of other tokens that each come repeatedly, once they are as many as the reserved
    half has places.

    Thread-safe.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._reserved = per_minute // 2
        self._open = per_minute - self._reserved
        self._clock = clock
        self._lock = threading.Lock()
        self._slots = array("Q", bytes(8 * SLOTS))
        self._began = float("-inf")
        self._taken_open = 0
        self._taken: Counter[int] = Counter()  # of the reserved half, by token
        self._returning: set[int] = set()  # tokens of this minute that were seen before
        self._returned: set[int] = set()  # those of the minute before

    def take(self, token_digest: str) -> bool:
        """Whether another delivery may be held. token_digest: SHA-256 of its token, in hex."""
        token = int(token_digest[:16], 16)
        with self._lock:
            self._turn(self._clock())
            if self._seen_before(token) and self._take_reserved(token):
                return True
            if self._taken_open < self._open:
                self._taken_open += 1
                return True
            return False

    def _turn(self, now: float) -> None:
        """Begin another minute if this one is over."""
        passed = now - self._began
        if 0 <= passed < MINUTE:
            return
        self._returned = self._returning if 0 <= passed < 2 * MINUTE else set()
        self._returning = set()
        self._taken.clear()
        self._taken_open = 0
        self._began = now  # also if the clock was set back

    def _seen_before(self, token: int) -> bool:
        slot = token % SLOTS
        seen = self._slots[slot] == token
        self._slots[slot] = token
        return seen

    def _take_reserved(self, token: int) -> bool:
        if len(self._returning) < self._reserved:  # with more, a share is 1 anyway
            self._returning.add(token)
        shares = len(self._returning | self._returned) + 1
        share = max(1, self._reserved // shares)
        if self._taken[token] >= share or self._taken.total() >= self._reserved:
            return False
        self._taken[token] += 1
        return True
