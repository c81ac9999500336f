"""What became of an event."""

from enum import StrEnum


class Outcome(StrEnum):
    """How the consumer finished with an event."""

    APPLIED = "applied"
    """It is the profile's newest event: the profile's state is this event's."""

    STALE = "stale"
    """An equal or newer event had already set the profile's state."""

    RECORDED = "recorded"
    """Its type says nothing about a profile's state."""
