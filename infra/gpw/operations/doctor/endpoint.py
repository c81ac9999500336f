"""Whether the endpoint refuses a request without a secret, as ingest does."""

from collections.abc import Iterator

from gpw.operations.checks import Check
from gpw.stack.target import Target
from gpw.stack.webhook import NO_TOKEN, Webhook, WebhookResponse
from gpw.stack.when import duration

# What to do if it does not answer 401, by its status.
_WRONG_ANSWER = {
    403: "AllowedSourceCidrs excludes this machine, or OnlyOwnDomain excludes this URL",
    None: "is it this stack's endpoint? read IngestFunction's log: gpw tail --errors",
}


def look(target: Target) -> Iterator[Check]:
    yield refuses(target.webhook_url, Webhook(target.webhook_url).probe())


def refuses(url: str, answer: WebhookResponse) -> Check:
    right = (answer.status, answer.body) == (401, NO_TOKEN)
    return Check(
        "endpoint",
        right,
        f"{url} answers {answer.status} without a secret, in {duration(answer.seconds)}"
        + ("" if right else f", not 401: {answer.body[:80]}"),
        "" if right else _WRONG_ANSWER.get(answer.status, _WRONG_ANSWER[None]),
    )
