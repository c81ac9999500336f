"""`profile.updated`: a profile has a new status."""

from typing import Any, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from getprofile.event import Event, Id, ProfileState


@with_config(ConfigDict(extra="allow"))
class ProfileData(TypedDict):
    """`data` of `profile.updated`. A new `status`, or a field that is not named here, is kept."""

    profile_id: Id
    status: NotRequired[Any]


class ProfileUpdated(Event):
    """The profile `data.profile_id` now is `data.status`: `processing`, `summarizing`, `ready`."""

    data: ProfileData

    def profile_state(self) -> ProfileState:
        status = self.data.get("status")
        return ProfileState(
            profile_id=self.data["profile_id"],
            status=status if isinstance(status, str) else None,
            data=dict(self.data),
        )
