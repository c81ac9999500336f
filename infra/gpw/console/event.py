"""One event: what it says, what it changed, and which way it took."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.requests import Request
from starlette.responses import Response

from gpw.commands.tail import LOG_GROUPS
from gpw.console import charts
from gpw.console.compare import Change, changes
from gpw.console.web import Console, check_write, console_of, event_link, form, post, render, route
from gpw.history import history, log_lines
from gpw.history.selection import Selection
from gpw.stack.errors import OperatorError
from gpw.stack.printable_json import dumps
from gpw.stack.tables import Table
from gpw.stack.target import Target, on_local_cloud
from gpw.stack.text import plain
from gpw.stack.webhook import Webhook, current_secret
from gpw.stack.when import ago, duration
from receiver.domain.errors import EventError

SHOWN_CHANGES = 200
SHOWN_EVENTS = 100  # of a profile
LOOK_AROUND = timedelta(hours=6)  # how long after it was received an event's log lines are sought
_PLAIN_ID = re.compile(r"[\w.:-]{4,128}", re.ASCII)  # what a filter pattern takes as it is


def show(request: Request) -> Response:
    console, item = console_of(request), wanted(request)
    table = console.target.table("EventsTableName")
    before = _neighbour(table, item, newer=False)
    differing = _changes(before, item) if before else []
    return render(
        request,
        "event.html",
        item=item,
        body=_body(item),
        before=before,
        changes=differing[:SHOWN_CHANGES],
        more_changes=len(differing) - SHOWN_CHANGES,
        overtaken=_overtaking(table, item) if item.get("outcome") == "stale" else None,
        curl=curl(console.target.webhook_url, _body(item)),
        destinations=destinations(console),
        link=event_link(item["subject"], item["version"]),
    )


def wanted(request: Request) -> dict[str, Any]:
    """The event that the address names. Raises: OperatorError."""
    subject = request.query_params.get("subject", "")
    version = request.query_params.get("version", "")
    table = console_of(request).target.table("EventsTableName")
    item = table.get({"subject": subject, "version": version}) if subject and version else None
    if item is None:
        raise OperatorError(
            "The history has no such event", "it may have expired: EventRetentionDays"
        )
    return item


def sample(request: Request) -> Response:
    """The event as a file, as tests/samples/ has them."""
    item = wanted(request)
    name = re.sub(r"[^\w.-]", "_", str(item["event"]), flags=re.ASCII)[:80]
    return Response(
        _body(item) + "\n",
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}.json"'},
    )


# ---------------------------------------------------------------- compared with others


def _neighbour(table: Table, item: dict[str, Any], *, newer: bool) -> dict[str, Any] | None:
    """The event of the same subject before or after this one."""
    found = table.pages(
        "query",
        KeyConditionExpression=f"subject = :subject AND version {'>' if newer else '<'} :version",
        ExpressionAttributeValues={
            ":subject": {"S": item["subject"]},
            ":version": {"S": item["version"]},
        },
        ScanIndexForward=newer,
        Limit=1,
    )
    return next((one for page in found for one in page.items), None)


def _changes(before: dict[str, Any], item: dict[str, Any]) -> list[Change]:
    meant = ("event", "data", "extra", "webhook_id")
    old, new = ({n: one[n] for n in meant if n in one} for one in (before, item))
    return list(changes(old, new))


def _overtaking(table: Table, item: dict[str, Any]) -> dict[str, Any] | None:
    """Why an event is stale: one that is newer, and was applied before it."""
    found = table.pages(
        "query",
        KeyConditionExpression="subject = :subject AND version > :version",
        ExpressionAttributeValues={
            ":subject": {"S": item["subject"]},
            ":version": {"S": item["version"]},
        },
        Limit=100,
    )
    newer = [one for one in next(found).items if one.get("outcome") == "applied"]
    received = str(item.get("received_at", ""))
    earlier = [one for one in newer if str(one.get("received_at", "")) <= received]
    return next(iter(earlier or newer), None)


# ---------------------------------------------------------------- its way


@dataclass(frozen=True)
class Step:
    """A place on an event's way. at: when it was there; after: how long that was from the start."""

    at: str
    after: str
    what: str
    detail: str


def way(request: Request) -> Response:
    item, target = wanted(request), console_of(request).target
    try:
        steps = _steps(item, target)
    except (ClientError, BotoCoreError):
        steps = _known_steps(item, target)
    return render(request, "_way.html", steps=steps)


def _steps(item: dict[str, Any], target: Target) -> list[Step]:
    """What the history knows, and what the functions logged."""
    received = datetime.fromisoformat(item.get("received_at") or item["created_at"])
    event_id = str(item["event_id"])
    pattern: dict[str, Any] = (
        {"filterPattern": f'"{event_id}"'} if _PLAIN_ID.fullmatch(event_id) else {}
    )
    seen = []
    for group, function in LOG_GROUPS.items():
        if group not in target.resources:
            continue
        answer = target.client("logs").filter_log_events(
            logGroupName=target.resources[group],
            startTime=int((received - timedelta(minutes=1)).timestamp() * 1000),
            endTime=int((received + LOOK_AROUND).timestamp() * 1000),
            **pattern,
        )
        for line in answer["events"]:
            found = log_lines.read(
                function, line["message"], log_lines.moment_of(line["timestamp"])
            )
            if found and found.event_id == event_id:
                seen.append(found)
    logged = [
        Step(
            f"{one.at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            duration((one.at - received).total_seconds()),
            f"{one.function}: {one.message}",
            " ".join(part for part in (one.outcome, one.reason, one.detail) if part),
        )
        for one in sorted(seen, key=lambda one: one.at)
    ]
    known = _known_steps(item, target)
    return known[:1] + logged if logged else known


def _known_steps(item: dict[str, Any], target: Target) -> list[Step]:
    """What the history alone tells."""
    created = datetime.fromisoformat(item["created_at"])
    steps = [Step(_at(created), "", "GetProfile: created", "whole seconds, by its clock")]
    if "received_at" in item:
        received = datetime.fromisoformat(item["received_at"])
        after = duration((received - created).total_seconds())
        steps.append(Step(_at(received), after, "ingest: accepted", "answered 200 OK"))
    days, expires = target.parameters.get("EventRetentionDays", ""), item.get("expires_at")
    if days.isdecimal() and expires is not None:
        written = datetime.fromtimestamp(int(expires), UTC) - timedelta(days=int(days))
        steps.append(
            Step(_at(written), "", f"consumer: {item.get('outcome')}", "written to the history")
        )
    return steps


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3]


# ---------------------------------------------------------------- sent again


def curl(url: str, body: str) -> str:
    """A command that sends this event; the secret is not in it, and in no process's arguments."""
    return (
        "printf 'Authorization: Bearer %s' \"$WEBHOOK_SECRET\" |\n"
        f"  curl {shlex.quote(url)} -H @- \\\n"
        f"    -H 'Content-Type: application/json' --data-raw {shlex.quote(body)}"
    )


def _body(item: dict[str, Any]) -> str:
    """The event as GetProfile sends it, indented."""
    try:
        event = history.event(item)
    except (EventError, KeyError, TypeError, ValueError):
        event = item  # somebody edited it
    return dumps(event, indent=2)


def destinations(console: Console) -> dict[str, str]:
    """Where an edited event can go, the default first."""
    if console.target.local:
        return {"local": "the local cloud"}
    found = {"stack": f"{console.target.stack} in {console.target.where}"}
    try:
        on_local_cloud()
    except OperatorError:
        return found
    return {"local": "the local cloud"} | found


def send(request: Request) -> Response:
    """Send an edited event to the webhook's URL, as GetProfile would."""
    console = console_of(request)
    check_write(console)
    fields = form(request)
    to, body = fields.get("to", [""])[0], fields.get("body", [""])[0]
    if to not in destinations(console):
        raise OperatorError("There is nowhere to send it", "start the local cloud: `make start`")
    target = console.target if to == "stack" or console.target.local else on_local_cloud()
    body = body.replace("\r\n", "\n")  # a form's own line ends
    answer = Webhook(target.webhook_url).post(body.encode(), current_secret(target))
    return render(
        request,
        "_sent.html",
        answer=answer,
        took=duration(answer.seconds),
        where=destinations(console)[to],
        command=f"gpw send event.json {'--local' if target.local else console.options}",
    )


# ---------------------------------------------------------------- its profile


def profile(request: Request) -> Response:
    console = console_of(request)
    target = console.target
    tenant = request.query_params.get("tenant", "")
    name = request.query_params.get("profile", "")
    if not tenant or not name:
        raise OperatorError("Which profile?", "an address names tenant and profile")
    key = {"tenant_id": tenant, "profile_id": name}
    full_table = "FullProfilesTableName" in target.outputs
    first = next(
        iter(history.read(target.table("EventsTableName"), Selection(tenant=tenant, profile=name)))
    )
    items = first.items[:SHOWN_EVENTS]
    return render(
        request,
        "profile.html",
        tenant=tenant,
        profile=name,
        state=target.table("ProfilesTableName").get(key),
        full=target.table("FullProfilesTableName").get(key) if full_table else None,
        full_table=full_table,
        items=items,
        timeline=charts.timeline(_marks(items)) if items else "",
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
