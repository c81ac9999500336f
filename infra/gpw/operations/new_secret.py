"""Sets a new secret, and releases the deliveries that were held before it was accepted."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.operations import secret
from gpw.operations.held_queue import HELD
from gpw.operations.lines import Line, bad, count_line, good, held_deliveries, unsure
from gpw.operations.parked_lines import unchecked_held
from gpw.operations.release import Released, plan_release, release
from gpw.operations.reporter import Reporter
from gpw.operations.secret import SecretState, Which
from gpw.operations.settling import wait_for_workers
from gpw.stack.errors import USAGE, OperatorError, explained
from gpw.stack.target import Target
from gpw.stack.when import ago
from receiver.domain.credential import UnusableCredentialError, digest, usable
from receiver.ingest.secret import REREAD_SECONDS

_IN_USE = {
    Which.WEBHOOK: f"Webhooks that carry it are accepted within {REREAD_SECONDS} seconds",
    Which.API: "The hydrator uses it within 5 minutes, sooner if the API refuses the old one",
}


def replaceable(target: Target, which: Which, *, rotating: bool) -> SecretState:
    """Check that there is a secret to replace, before the operator is asked for a value.

    rotating: somebody must have set it. Raises: OperatorError.
    """
    before = secret.state(target, which)
    if rotating and before.generated:
        raise OperatorError("There is nothing to rotate: no secret was set yet", "gpw secret set")
    return before


@dataclass(frozen=True)
class NewSecret:
    """A value to set. before: the secret's state before. same: whether it has this value already.

    question: what to ask before it is set; None if nothing needs to be asked.
    """

    which: Which
    value: str = field(repr=False)
    before: SecretState
    same: bool
    question: str | None


def plan(
    target: Target, which: Which, value: str, before: SecretState, *, rotating: bool
) -> NewSecret:
    """Check a value before it is set. rotating: it must differ. Raises: OperatorError."""
    try:
        usable(value)
    except UnusableCredentialError as error:
        raise OperatorError(
            f"Nothing was changed, because this value {error.problem}", error.remedy, code=USAGE
        ) from None
    same = secret.is_current(target, which, value)
    if same and rotating:
        raise OperatorError(
            "That is already the current secret", "create a new one at GetProfile first"
        )
    question = None
    if not same and not before.generated:
        set_ago = ago(before.set_at, secret.now_utc())
        question = f"Replace the secret that was set {set_ago} ago?"
    elif not same and not target.local:
        question = f"Set the secret of the stack {target.stack!r}?"
    return NewSecret(which, value, before, same, question)


@dataclass
class SecretSet:
    """What was done about a new secret so far, even if it was interrupted.

    set_at: by this machine's clock; if the secret had this value already, by that of AWS. after:
    the secret's state, if it was changed. refused_until: when no worker can refuse the secret any
    more; None if it is not known yet, or if nothing is held. found: the held deliveries that carry
    it; None if `unread` says why they could not be read. released: those that were sent on.
    api_key: whether it was also set as the API key.
    """

    new: NewSecret = field(repr=False)
    set_at: datetime
    after: SecretState | None = None
    refused_until: datetime | None = None
    found: Released | None = None
    unread: OperatorError | None = None
    released: Released | None = None
    api_key: bool = False

    @property
    def held(self) -> int:
        """The number of held deliveries to release."""
        return self.found.count if self.found else 0

    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {"changed": self.after is not None, "api_key": self.api_key}
        if self.after:
            told["set_at"] = self.after.set_at
            told["previous_accepted_until"] = self.after.previous_until
        if self.refused_until:
            told |= {"refused_until": self.refused_until, "held": None}
        if self.found:
            told["held"] = self.held
            told["other_secrets"] = self.found.others
            told["unseen"] = bool(self.found.unchecked)
        if self.released:
            told["released"] = self.released.document()
        return told

    def lines(self) -> list[Line]:
        """What became of the secret."""
        also = [good(f"The API key is set. {_IN_USE[Which.API]}.")] if self.api_key else []
        if self.after is None:
            return [good("That is already the current secret; nothing to do."), *also]
        lines = [good(f"The secret is set. {_IN_USE[self.new.which]}."), *also]
        if until := self.after.previous_until:
            lines.append(
                Line(
                    f"  The previous one is accepted until {until:%Y-%m-%d %H:%M} UTC; "
                    "`gpw secret status` shows whether it is still in use."
                )
            )
        return lines

    def held_notes(self) -> list[Line]:
        """What is not known about the held deliveries."""
        if self.unread:
            return [
                unsure(
                    f"Could not read the held deliveries: {self.unread}. `gpw held release` sends "
                    "on those that carry this secret."
                )
            ]
        return unchecked_held(self.found.unchecked) if self.found else []

    def held_lines(self) -> list[Line]:
        """The held deliveries that carry the secret."""
        if self.found is None:
            return []
        text = f"{held_deliveries(self.held)} carried this secret before it was accepted."
        sure = not self.held and not self.found.unchecked
        lines = [good(text) if sure else unsure(text)]
        if others := self.found.others:
            what = "carry other secrets. Did you set the right one? gpw held ls"
            lines.append(Line(count_line(others, what)))
        return lines

    def rest(self) -> Line:
        """What may still be held after a release, or without one."""
        if self.released is None:
            return Line("  They are kept for 4 days. To send them on: gpw held release")
        if self.released.incomplete:
            return bad("Some may remain. To send them on: gpw held release")
        return Line(
            "  None that was found remains. A worker that Lambda froze while it held a delivery "
            "sends it when it runs again; gpw held ls shows it."
        )


def may_be_api_key(target: Target, new: NewSecret) -> bool:
    """Whether to ask if a new webhook secret is the API key too, as it can be at GetProfile.

    So if nobody has set the API key yet, or if both were the same value until now.
    """
    if new.which is not Which.WEBHOOK or secret.OUTPUTS[Which.API] not in target.outputs:
        return False
    if secret.is_current(target, Which.API, new.value):
        return False
    return secret.state(target, Which.API).generated or secret.are_same(target)


def put(target: Target, new: NewSecret, *, api_key: bool = False) -> SecretSet:
    """Set a secret, unless it has this value already. Raises: OperatorError.

    api_key: whether the value is the API key too, and is set as such.
    """
    done = _put(target, new)
    if api_key:
        try:
            secret.store(target, Which.API, new.value)
        except (ClientError, BotoCoreError, OperatorError) as error:
            raise OperatorError(
                f"The webhook secret is set, and the API key is not: {error}",
                "gpw secret set --for api",
            ) from None
        done.api_key = True
    return done


def _put(target: Target, new: NewSecret) -> SecretSet:
    if new.same:
        return SecretSet(new, new.before.set_at)
    set_at = secret.store(target, new.which, new.value)
    return SecretSet(new, set_at, secret.state(target, new.which))


def find_held(target: Target, reporter: Reporter, done: SecretSet) -> None:
    """Wait until no worker refuses the secret, then find the held deliveries that carry it.

    done: gets the result, even if interrupted. If the queue can't be read, that is no failure,
    because the secret is set. The API key has no deliveries, nor has a stack of an older version.
    """
    if done.new.which is not Which.WEBHOOK or HELD not in target.outputs:
        return
    done.refused_until = wait_for_workers(reporter, done.set_at, secret.now_utc())
    try:
        done.found = plan_release(target, reporter, _accepted(done.new))
    except (ClientError, BotoCoreError) as error:
        done.unread = explained(error)


def release_held(target: Target, reporter: Reporter, done: SecretSet) -> None:
    """Release the deliveries that were found. done: gets the result, even if interrupted."""
    assert done.found is not None  # noqa: S101  for the type checker
    done.released = Released()
    release(target, reporter, done.found, _accepted(done.new), into=done.released)


def _accepted(new: NewSecret) -> dict[str, str]:
    return {digest(new.value).hex(): "current"}
