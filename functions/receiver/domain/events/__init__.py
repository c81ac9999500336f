"""The event types that have a class of their own; CONTRIBUTING.md says how to add one."""

from receiver.domain.event import Event
from receiver.domain.events.profile_updated import ProfileUpdated

EVENT_TYPES: dict[str, type[Event]] = {
    "profile.updated": ProfileUpdated,
}
