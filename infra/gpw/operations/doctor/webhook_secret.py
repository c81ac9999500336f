"""Whether the webhook secret is set and usable, and whether the previous one is still in use."""

from collections.abc import Iterator
from datetime import UTC, datetime

from gpw.operations import secret
from gpw.operations.checks import Check
from gpw.operations.secret import SecretState, Which
from gpw.operations.secret_status import USED, SecretStatus, previous_last_used
from gpw.stack.target import Target
from gpw.stack.when import ago

NEEDS = (*secret.READ, USED)


def look(target: Target) -> Iterator[Check]:
    state, now = secret.state(target), datetime.now(UTC)
    yield usable("secret", state, now, "gpw secret set")
    if state.previous_accepted(now):
        used = previous_last_used(target, state.set_at)
        yield previous(SecretStatus(Which.WEBHOOK, state, used, now))


def dates(target: Target) -> Iterator[Check]:
    yield changed("secret", secret.changed_at(target), datetime.now(UTC), "gpw secret set")


def changed(what: str, at: datetime | None, now: datetime, fix: str) -> Check:
    """What is known of a secret without its value. at: None if it was never changed."""
    if at is None:
        return Check(what, False, "is not set, so nothing is accepted", fix)
    when = f"{ago(at, now)} ago ({at:%Y-%m-%d %H:%M:%S} UTC)"
    return Check(what, None, f"was last changed {when}; its value was not read")


def usable(what: str, state: SecretState, now: datetime, fix: str) -> Check:
    """Whether a secret is set and usable."""
    if state.generated:
        return Check(what, False, "is not set, so nothing is accepted", fix)
    if state.problem:
        return Check(what, False, state.problem, fix)
    return Check(what, True, f"is set, {ago(state.set_at, now)} ago, and usable")


def previous(found: SecretStatus) -> Check:
    """Whether the previous secret, which is accepted, is still in use."""
    if found.used:
        return Check(
            "secret",
            False,
            f"webhooks still carry the previous one ({ago(found.used, found.at)} ago); it will be "
            f"refused in {found.left}",
            "set the new one at GetProfile",
        )
    known = True if found.state.uses_known(found.at) else None
    text = f"{found.state.unused(found.at)}; it is accepted for {found.left} more"
    return Check("secret", known, text)
