"""What became of an event."""

from enum import StrEnum


class Outcome(StrEnum):
    """How the consumer finished with an event."""

    APPLIED = "applied"
    """The profile's state was this event's at some time."""

    STALE = "stale"
    """An equal or newer event had already set the profile's state."""

    RECORDED = "recorded"
    """Its type does not affect profile state."""
