"""The outcome of an event."""

from enum import StrEnum


class Outcome(StrEnum):
    """The effect that an event had on its profile's state."""

    APPLIED = "applied"
    """The event set the profile's state, which a newer event may have replaced since."""

    STALE = "stale"
    """An equal or newer event had already set the profile's state."""

    RECORDED = "recorded"
    """The event's type does not affect profile state."""
