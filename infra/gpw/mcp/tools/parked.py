"""Tools about dead letters and held deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from gpw.mcp.answers import fitting, ident, payload, text
from gpw.mcp.call import OutOfTimeError
from gpw.mcp.tools.base import Tools
from gpw.operations import dead_letters, held_queue, parked_lines, runbook
from gpw.operations.scanning import Unchecked
from gpw.parked.dead_letters import DeadLetter, Where
from gpw.stack.errors import OperatorError
from gpw.stack.text import pasted

# A scan that takes more than 5 minutes can raise the alarm dead-letters; 500 messages take seconds.
MOST = 500
EXAMPLES = 3  # of each reason
REASONS = 20  # that are counted by name
ADVICE = 1_500  # characters of the runbook
HIDES = (
    "Reading hid these messages from other readers while it ran. After hours of rest it can raise "
    "the alarm dead-letters once, without a new dead letter."
)


class ParkedTools(Tools):
    """Tools about dead letters and held deliveries."""

    def dead_letters(
        self,
        *,
        reason: Annotated[str | None, Field(description="Only this reason.")] = None,
        message_id: Annotated[
            str | None, Field(description="Only this dead letter, with its attributes.")
        ] = None,
        show_payload: Annotated[
            bool, Field(description="With message_id: also its body, which is personal.")
        ] = False,
    ) -> dict[str, Any]:
        """Show the dead letters by reason, with the runbook's advice and what a redrive would do.

        Reading them hides up to 500 messages from other readers for seconds, deletes nothing, and
        after hours of rest can raise the alarm dead-letters once. Do not repeat it needlessly.
        """
        self.check_payload(show_payload)
        if message_id is not None:
            return self._one(message_id, show_payload=show_payload)
        groups: dict[str, _Group] = {}
        target = self.target
        redriver = dead_letters.Redriver(target)

        def see(one: DeadLetter) -> None:
            groups.setdefault(one.reason, _Group()).add(one, redriver)

        unchecked, stopped = Unchecked(), None
        try:
            unchecked = dead_letters.collect(target, self.call, Where(), MOST, see).unchecked
        except OutOfTimeError as error:
            stopped = str(error)
        if sum(one.count for one in groups.values()) >= MOST:
            stopped = f"after {MOST} dead letters, the limit of one call"
        wanted = sorted(
            ((name, one) for name, one in groups.items() if reason in {None, name, text(name)}),
            key=lambda named: -named[1].count,
        )
        return {
            "dead_letters": sum(one.count for _name, one in wanted),
            "counts": {text(name): one.count for name, one in wanted[:REASONS]},
            "by_reason": fitting(one.document(name) for name, one in wanted),
            "unchecked": _lines(parked_lines.unchecked_dead_letters(unchecked)),
            "stopped": stopped,
            "note": HIDES,
        }

    def _one(self, message_id: str, *, show_payload: bool) -> dict[str, Any]:
        target, chosen = self.target, Where(frozenset({pasted(message_id)}))
        collected = dead_letters.collect(target, self.call, chosen, None, lambda one: one)
        [one] = collected.found.values()
        shown = {
            "dead_letter": _letter(one, dead_letters.Redriver(target).fate(one)),
            "reason": text(one.reason),
            "attributes": {
                text(name, 60): text(value) for name, value in one.message.attributes.items()
            },
            "runbook": runbook.about(one.reason)[:ADVICE],
            "note": HIDES,
        }
        if show_payload:
            shown["body"] = payload(one.message.body)
        return shown

    def held(self) -> dict[str, Any]:
        """Show deliveries with an unknown secret, grouped by it: how many, when, from where.

        They were answered with 401 and are kept for 4 days. This server reads no secret, so it
        can't tell which of them carry one that is accepted now; the command in `fix` can. Reading
        hides up to 500 messages from other readers for seconds.
        """
        target = self.target
        if held_queue.HELD not in target.outputs:
            raise OperatorError(
                "This stack holds no deliveries", "deploy this version: make deploy"
            )
        groups = held_queue.groups(target, self.call, read_secret=False, limit=MOST)
        total = sum(one.count for one in groups.found)
        return {
            "held": total,
            "by_secret": fitting(
                {
                    "digest": held_queue.short_digest(one.token_digest),
                    "deliveries": one.count,
                    "first": one.first,
                    "last": one.last,
                    "sources": {text(ip, 60): n for ip, n in one.sources.most_common(EXAMPLES)},
                }
                for one in groups.found
            ),
            "secrets": len(groups.found),
            "unchecked": _lines(parked_lines.unchecked_held(groups.unchecked)),
            "stopped": f"after {total} deliveries" if total >= MOST else None,
            "runbook": runbook.alarms().get("wrong-secret", "")[:ADVICE],
            "fix": "gpw held ls says which are accepted now; gpw secret set sets a new secret and "
            "offers their release",
        }


@dataclass
class _Group:
    """Dead letters with one reason. Bodies are not kept: each can have a megabyte."""

    sent_at: list[datetime] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.sent_at)

    def add(self, one: DeadLetter, redriver: dead_letters.Redriver) -> None:
        self.sent_at.append(one.sent_at)
        if len(self.examples) < EXAMPLES:
            self.examples.append(_letter(one, redriver.fate(one)))

    def document(self, reason: str) -> dict[str, Any]:
        return {
            "reason": text(reason),
            "count": self.count,
            "first": min(self.sent_at),
            "last": max(self.sent_at),
            "examples": self.examples,
            "runbook": runbook.about(reason)[:ADVICE],
        }


def _letter(one: DeadLetter, fate: str) -> dict[str, Any]:
    shown = {
        "message_id": one.message_id,
        "kind": one.kind.value,
        "source": text(one.source) if one.source else None,
        "detail": text(one.detail),
        "event_id": ident(one.event_id),
        "type": ident(one.event),
        "tenant": ident(one.tenant),
        "profile": ident(one.profile),
        "redrive": text(fate),
    }
    return {
        name: text(value) if isinstance(value, str) else value
        for name, value in shown.items()
        if value
    }


def _lines(lines: Sequence[Any]) -> list[str]:
    return [line.text for line in lines]
