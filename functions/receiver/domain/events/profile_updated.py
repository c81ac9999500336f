"""`profile.updated`: a profile has a new status."""

from typing import Any, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from receiver.domain.event import Event, Id, ProfileState


@with_config(ConfigDict(extra="allow"))
class ProfileData(TypedDict):
    """`data` of `profile.updated`. Unknown `status` values and other fields are kept."""

    profile_id: Id
    status: NotRequired[Any]


class ProfileUpdated(Event):
    """`data.profile_id` has a new `data.status`: `processing`, `summarizing` or `ready`."""

    data: ProfileData

    def profile_state(self) -> ProfileState:
        status = self.data.get("status")
        return ProfileState(
            profile_id=self.data["profile_id"],
            status=status if isinstance(status, str) else None,
            data=dict(self.data),
        )
