"""Replay, republish or forward one event, from its page."""

from starlette.requests import Request
from starlette.responses import Response

from gpw.console import actions
from gpw.console.actions import ACTIONS, Plan
from gpw.console.filters import checked
from gpw.console.overview import job_fragment
from gpw.console.web import check_write, console_of, event_link, form, post
from gpw.history.history import Key
from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError


def act(request: Request) -> Response:
    """Act on the event at once; nothing else can match."""
    console, name = console_of(request), actions.verb(request)
    check_write(console)
    fields = {key: values[0].strip() for key, values in form(request).items()}
    key, url = Key(fields.get("subject", ""), fields.get("version", "")), fields.get("url", "")
    item = console.target.table("EventsTableName").get(key._asdict()) if all(key) else None
    if item is None:
        raise OperatorError("The history has no such event", "it was erased, or it has expired")
    if name == "forward" and not url:
        raise OperatorError("No URL is given", "write a URL such as http://localhost:3000/hooks")
    named = {"tenant": item["tenant_id"], "profile": item.get("profile_id"), "q": item["event_id"]}
    same = checked({name: str(value) for name, value in named.items() if value})
    job = console.jobs.new(
        f"{ACTIONS[name].verb} {item['event_id']}",
        actions.command_of(console, name, same, False, url),
    )
    if name != "forward":
        job.follow = (event_link(*key), "Show its path now")

    def work(reporter: Reporter) -> None:
        actions.run(console, job, name, Plan([key], 1, url), reporter, dry_run=False)

    console.jobs.begin(job, work)
    return job_fragment(request, job)


ROUTES = [post("/event/actions/{name}", act)]
