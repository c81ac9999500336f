"""Tools about events and profiles."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gpw.history.history import subject
from gpw.history.selection import select
from gpw.mcp.answers import fitting, ident, payload, text
from gpw.mcp.in_step import in_step
from gpw.mcp.tools.base import Tools
from gpw.operations import one_event, trace
from gpw.operations.events import ReadLimit, kept, newest_within
from gpw.operations.one_event import SearchLimitError
from gpw.stack.errors import OperatorError
from gpw.stack.text import pasted
from receiver.domain.version import timestamp

# 10,000 events of the usual 1 KB are 10 MB: 1,250 read units, 0.0002 dollars, and about 3 seconds.
# Large events cost more, so dollars have a limit of their own.
LIMIT = ReadLimit(items=10_000, dollars=0.01)
SEARCHED_EVENTS = 2_000  # of one profile, for an event's id

Tenant = Annotated[str, Field(description="The tenant's id.")]
ProfileId = Annotated[str, Field(description="The profile's id.")]


class EventTools(Tools):
    """Tools about events and profiles."""

    def find_events(
        self,
        *,
        tenant: Annotated[str | None, Field(description="Only this tenant.")] = None,
        profile: Annotated[
            str | None, Field(description="Only this profile; needs tenant. Much cheaper.")
        ] = None,
        event_type: Annotated[str | None, Field(description="Such as profile.updated.")] = None,
        outcome: Literal["applied", "stale", "recorded"] | None = None,
        status: Annotated[str | None, Field(description="The status in the event's data.")] = None,
        words: Annotated[
            str | None, Field(description="Words that the event must all contain.")
        ] = None,
        since: Annotated[str, Field(description="2h, 3d (ago) or ISO 8601, of receipt.")] = "24h",
        until: Annotated[str | None, Field(description="As since; exclusive.")] = None,
        limit: Annotated[int, Field(ge=1, le=50)] = 15,
        before: Annotated[
            str | None, Field(description="`next` of an earlier answer, for the next page.")
        ] = None,
    ) -> dict[str, Any]:
        """Find accepted events of the history, newest first, and count them by outcome.

        `stale` is an event that arrived after a newer one of its profile; it changed no state.
        `recorded` is of a type without a state. Without tenant and profile this reads the whole
        history, in no order, up to 10,000 events or 0.01 dollars; if `stopped` says that it ended
        there, newer events may be missing. Payloads are not shown: ask show_event. Events that
        never became part of the history are elsewhere: dead_letters, held, metrics.
        """
        chosen = select(
            now=datetime.now(UTC),
            since=since,
            until=until,
            received=True,
            tenant=_id(tenant),
            profile=_id(profile),
            event=_id(event_type),
            outcome=outcome,
            status=_id(status),
            text=words,
        )
        found = newest_within(self.target, chosen, limit, self.call, LIMIT, before=before)
        rows = fitting(map(_row, found.items))
        total = found.outcomes.total()
        return {
            "matched": total,
            "by_outcome": dict(found.outcomes),
            "events": rows,
            "next": rows[-1]["version"] if rows and len(rows) < total else None,
            "read": {"events": found.scanned, "dollars": round(found.dollars, 6)},
            "stopped": found.stopped,
        }

    def show_event(
        self,
        *,
        event_id: Annotated[str, Field(description="The event's id.")],
        tenant: Tenant,
        profile: Annotated[
            str | None, Field(description="Its profile's id; none for an event without one.")
        ] = None,
        show_payload: Annotated[
            bool, Field(description="Also show its data, which is personal. Only if needed.")
        ] = False,
    ) -> dict[str, Any]:
        """Show one event: its outcome, why it is stale, and its way through the functions.

        The way ends with "event published" once the event is on the bus. Rules of the bus start
        workflows; stack_health lists them. An event that the history does not have is searched in
        the functions' logs of the last 24 hours.
        """
        self.check_payload(show_payload)
        target, named = self.target, pasted(event_id)
        place = subject(pasted(tenant), _id(profile))
        try:
            item = one_event.in_history(target, self.call, named, place, SEARCHED_EVENTS)
        except SearchLimitError as error:
            raise OperatorError(str(error), "use find_events with since and until") from None
        if item is None:
            lines = one_event.logged(target, named)
            steps = trace.logged_steps(lines, since=lines[0].at) if lines else []
            return {"in_history": False, "logged": _steps(steps)}
        found = one_event.story(target, item)
        shown = {"in_history": True, "event": _row(item), "way": _steps(found.way)}
        shown["event_before"] = _row(found.before) if found.before else None
        if item.get("outcome") == "stale":
            shown["stale_because_of"] = _row(found.newer) if found.newer else None
        if show_payload:
            shown["data"] = payload(item.get("data"))
        return shown

    def profile(
        self,
        *,
        tenant: Tenant,
        profile: ProfileId,
        show_payload: Annotated[
            bool, Field(description="Also show the state's data, which is personal.")
        ] = False,
    ) -> dict[str, Any]:
        """Show a profile: its state, its newest events, and how old its full profile is."""
        self.check_payload(show_payload)
        found = kept(self.target, pasted(tenant), pasted(profile), 10, self.call)
        state = found.state
        shown: dict[str, Any] = {
            "state": _row(state) if state else None,
            "full_profile": in_step(found.state, found.full),
            "newest_events": fitting(map(_row, found.events)),
        }
        if show_payload and state:
            shown["data"] = payload(state.get("data"))
        return shown


def _steps(steps: Iterable[trace.Step]) -> list[dict[str, str]]:
    return fitting(
        {"at": timestamp(one.at), "what": text(one.what), "detail": text(one.detail)}
        for one in steps
    )


def _id(value: str | None) -> str | None:
    return None if value is None else pasted(value)


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the history or a state, without its payload and without what is absent."""
    data = item.get("data")
    shown = {
        "event_id": ident(item.get("event_id")),
        "type": ident(item.get("event")),
        "tenant": ident(item.get("tenant_id")),
        "profile": ident(item.get("profile_id")),
        "status": text(data["status"]) if isinstance(data, dict) and "status" in data else None,
        "outcome": item.get("outcome"),
        "created_at": item.get("created_at"),
        "received_at": item.get("received_at"),
        "version": ident(item.get("version")),
    }
    return {name: value for name, value in shown.items() if value is not None}
