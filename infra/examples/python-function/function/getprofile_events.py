"""An event on the bus, as types. Written by `make docs` of the webhook receiver.

A field that GetProfile adds is there as well, without a type.
"""

from typing import Any, Literal, NotRequired, TypedDict


class ProfileData(TypedDict):
    """`data` of `profile.updated`. Unknown `status` values and other fields are kept."""

    profile_id: str
    status: NotRequired[Any]


class AnyDetail(TypedDict):
    """What every event has in its detail, whatever its type."""

    id: str
    tenant_id: str
    created_at: str
    webhook_id: Any
    outcome: Literal["applied", "stale", "recorded"]
    version: str
    received_at: str
    replayed: NotRequired[Literal[True]]
    synced: NotRequired[Literal[True]]
    data_omitted: NotRequired[Literal[True]]


class ProfileUpdatedDetail(AnyDetail):
    """`profile.updated`."""

    event: Literal["profile.updated"]
    data: ProfileData


class OtherDetail(AnyDetail):
    """An event of any other type."""

    event: str
    data: Any


ProfileUpdatedEvent = TypedDict(
    "ProfileUpdatedEvent",
    {
        "version": Literal["0"],
        "id": str,
        "detail-type": str,
        "source": Literal["getprofile.webhooks"],
        "account": str,
        "time": str,
        "region": str,
        "resources": list[str],
        "detail": ProfileUpdatedDetail,
    },
)

Event = TypedDict(
    "Event",
    {
        "version": Literal["0"],
        "id": str,
        "detail-type": str,
        "source": Literal["getprofile.webhooks"],
        "account": str,
        "time": str,
        "region": str,
        "resources": list[str],
        "detail": ProfileUpdatedDetail | OtherDetail,
    },
)
