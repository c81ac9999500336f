"""The event types that have a class of their own; CONTRIBUTING.md says how to add one."""

from getprofile.event import Event
from getprofile.events.profile_updated import ProfileUpdated

EVENT_TYPES: dict[str, type[Event]] = {
    "profile.updated": ProfileUpdated,
}
