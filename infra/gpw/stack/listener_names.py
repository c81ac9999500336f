"""The names of the rules and queues that listeners create."""

import hashlib
import secrets


def prefix(bus: str) -> str:
    """The prefix of the names of a bus's listeners. Other rules do not have it.

    It has a digest of the bus's name, because a queue's name is too short for the name itself.
    """
    return f"gpw-listen-{hashlib.sha256(bus.encode()).hexdigest()[:12]}-"


def new_name(bus: str) -> str:
    """A unique name for a rule and its queue."""
    return prefix(bus) + secrets.token_hex(6)
