"""The pages of an event and of a profile."""

import re
import shlex
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.requests import Request
from starlette.responses import Response

from gpw.console import charts
from gpw.console.compare import Change, changes, first
from gpw.console.highlight import SHOWN
from gpw.console.recheck import forget_gone
from gpw.console.web import Console, check_write, console_of, event_link, form, post, render, route
from gpw.history import history
from gpw.history.history import Key
from gpw.history.selection import Selection
from gpw.operations import trace
from gpw.operations.events import kept
from gpw.operations.reporter import Silent
from gpw.operations.tail import LOG_GROUPS
from gpw.stack.errors import OperatorError
from gpw.stack.printable_json import dumps
from gpw.stack.target import on_local_cloud
from gpw.stack.text import plain
from gpw.stack.webhook import Webhook, current_secret
from gpw.stack.when import ago, duration
from receiver.domain.errors import EventError

SHOWN_CHANGES = 200
SHOWN_EVENTS = 100  # of a profile


def show(request: Request) -> Response:
    console, item = console_of(request), wanted(request)
    table = console.target.table("EventsTableName")
    before = trace.previous(table, item)
    body = _body(item)
    comparable = before is not None and _comparable(before, item)
    differing, more = _changes(before, item) if before and comparable else ([], 0)
    return render(
        request,
        "event.html",
        item=item,
        body=body,
        before=before,
        after=trace.following(table, item),
        comparable=comparable,
        changes=differing,
        more_changes=more,
        overtaken=trace.overtaking(table, item) if item.get("outcome") == "stale" else None,
        curl=curl(console.target.webhook_url, body),
        destinations=destinations(console),
        link=event_link(item["subject"], item["version"]),
    )


def wanted(request: Request) -> dict[str, Any]:
    """The event that the address names. Raises: OperatorError."""
    subject = request.query_params.get("subject", "")
    version = request.query_params.get("version", "")
    console = console_of(request)
    key = Key(subject, version)
    table = console.target.table("EventsTableName")
    item = table.get(key._asdict()) if subject and version else None
    if item is None:
        console.store.forget([key])
        raise OperatorError("The history has no such event", "it was erased, or it has expired")
    return item


def sample(request: Request) -> Response:
    """The event as a file like those in tests/samples/."""
    item = wanted(request)
    name = re.sub(r"[^\w.-]", "_", str(item["event"]), flags=re.ASCII)[:80]
    return Response(
        _body(item) + "\n",
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}.json"'},
    )


def _comparable(before: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether both tell the same of the same profile. Events of a tenant are unrelated."""
    return "profile_id" in item and before["event"] == item["event"]


def _changes(before: dict[str, Any], item: dict[str, Any]) -> tuple[list[Change], int]:
    names = ("event", "data", "extra", "webhook_id")
    old, new = ({n: one[n] for n in names if n in one} for one in (before, item))
    return first(changes(old, new), SHOWN_CHANGES)


def way(request: Request) -> Response:
    """The event's way through the system, from the logs if they can be read."""
    item, target = wanted(request), console_of(request).target
    try:
        steps = trace.steps(target, item, LOG_GROUPS)
    except (ClientError, BotoCoreError):
        steps = trace.known_steps(target, item)
    return render(request, "_way.html", steps=steps)


# ---------------------------------------------------------------- sent again


def curl(url: str, body: str) -> str:
    """A command that sends this event. The secret is neither in it nor in a process's arguments."""
    return (
        "printf 'Authorization: Bearer %s' \"$WEBHOOK_SECRET\" |\n"
        f"  curl {shlex.quote(url)} -H @- \\\n"
        f"    -H 'Content-Type: application/json' --data-raw {shlex.quote(body)}"
    )


def _body(item: dict[str, Any]) -> str:
    """The event as GetProfile sends it, indented unless that makes it too long to edit."""
    try:
        event = history.event(item)
    except (EventError, KeyError, TypeError, ValueError):
        event = item  # somebody edited the item
    indented = dumps(event, indent=2)
    return indented if len(indented) <= SHOWN else dumps(event)


def destinations(console: Console) -> dict[str, str]:
    """The places to which an edited event can be sent, the default first."""
    if console.target.local:
        return {"local": "the local cloud"}
    found = {"stack": f"{console.target.stack} in {console.target.where}"}
    try:
        on_local_cloud()
    except OperatorError:
        return found
    return {"local": "the local cloud"} | found


def send(request: Request) -> Response:
    """Send an edited event to the webhook, as GetProfile would."""
    console = console_of(request)
    check_write(console)
    fields = form(request)
    to, body = fields.get("to", [""])[0], fields.get("body", [""])[0]
    if to not in destinations(console):
        raise OperatorError("The event cannot be sent there", "start the local cloud: `make start`")
    target = console.target if to == "stack" or console.target.local else on_local_cloud()
    body = body.replace("\r\n", "\n")  # forms send CRLF line ends
    answer = Webhook(target.webhook_url).post(body.encode(), current_secret(target))
    return render(
        request,
        "_sent.html",
        answer=answer,
        took=duration(answer.seconds),
        where=destinations(console)[to],
        command=console.command("send event.json"),
    )


# ---------------------------------------------------------------- the profile


def profile(request: Request) -> Response:
    console = console_of(request)
    target = console.target
    tenant = request.query_params.get("tenant", "")
    name = request.query_params.get("profile", "")
    if not tenant or not name:
        raise OperatorError("No profile is named", "the address needs `tenant` and `profile`")
    found = kept(target, tenant, name, SHOWN_EVENTS, Silent())
    in_memory = console.store.keys(Selection(tenant=tenant, profile=name))
    if len(found.events) < min(SHOWN_EVENTS, len(in_memory)):  # then some are gone
        forget_gone(console, in_memory)
    return render(
        request,
        "profile.html",
        tenant=tenant,
        profile=name,
        state=found.state,
        full=found.full,
        full_table="FullProfilesTableName" in target.outputs,
        items=found.events,
        timeline=charts.timeline(_marks(found.events)) if found.events else "",
    )


def _marks(items: list[dict[str, Any]]) -> list[charts.Mark]:
    now = datetime.now(UTC)
    found = []
    for item in reversed(items):
        at = datetime.fromisoformat(item["created_at"])
        outcome = str(item.get("outcome", ""))
        label = f"{item['event_id']} {outcome}, {ago(at, now)} ago"
        link = event_link(item["subject"], item["version"])
        found.append(charts.Mark(at, outcome, plain(label), link))
    return found


ROUTES = [
    route("/event", show),
    route("/event/sample", sample),
    route("/event/way", way),
    post("/event/send", send),
    route("/profile", profile),
]
