"""What an operator can do with events of the history, for the terminal and the browser."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpw.operations import forward, replay, republish
from gpw.stack.target import Target


@dataclass(frozen=True)
class HistoryAction:
    """An action on events of the history, with its words.

    verb: it begins the label. act, result: the operation `(target, events, reporter, *, into, …)`,
    and its empty result by whether it is a dry run. question: what to ask before it, about the
    events in words; None if it needs no confirmation.
    """

    verb: str
    act: Callable[..., None]
    result: Callable[[bool], Any]
    question: Callable[[Target, str], str] | None = None


def _republish(target: Target, events: str) -> str:
    return f"Publish {events} again on the bus {target.output('EventBusName')} in {target.where}?"


REPLAY = HistoryAction(
    "Replay",
    replay.replay,
    replay.Replayed,
    lambda target, events: f"Replay {events} in {target.where}?",
)
REPUBLISH = HistoryAction("Republish", republish.republish, republish.Republished, _republish)
FORWARD = HistoryAction("Forward", forward.forward, forward.Forwarded)
