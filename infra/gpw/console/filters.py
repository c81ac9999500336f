"""The filters of a page, all of which are in its address."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

from gpw.history.selection import Selection, select
from gpw.stack.text import identifier
from receiver.domain.outcome import Outcome
from receiver.domain.version import timestamp

OUTCOMES = tuple(outcome.value for outcome in Outcome)

# The names in an address, and the fields of a selection.
NAMES = {
    "tenant": "tenant",
    "profile": "profile",
    "type": "event",
    "outcome": "outcome",
    "status": "status",
    "since": "since",
    "until": "until",
    "q": "text",
}


EVERYTHING = Selection(by="received_at")


@dataclass(frozen=True)
class Filters:
    """The filters in an address. asked: as they are written there. selection: what they select."""

    asked: dict[str, str] = field(default_factory=dict)
    selection: Selection = EVERYTHING

    @property
    def query(self) -> str:
        return urlencode(self.asked)

    def options(self) -> str:
        """The same as options of gpw. Times are those of receipt, and fixed."""
        chosen = self.selection
        words = _words(
            *self._live,
            ("--since", timestamp(chosen.since) if chosen.since else None),
            ("--until", timestamp(chosen.until) if chosen.until else None),
        )
        if chosen.since or chosen.until:
            words.insert(0, "--received")
        return shlex.join(words or ["--all"])

    def listen_options(self) -> str:
        """All but times, as options of `gpw listen`."""
        return shlex.join(_words(*self._live))

    @property
    def _live(self) -> list[tuple[str, str | None]]:
        return [
            ("--tenant", self.selection.tenant),
            ("--profile-id", self.selection.profile),
            ("--type", self.selection.event),
            ("--outcome", self.selection.outcome),
            ("--status", self.selection.status),
            ("--text", self.selection.text),
        ]


def _words(*pairs: tuple[str, str | None]) -> list[str]:
    return [
        word for name, value in pairs if value is not None for word in (name, _shown(name, value))
    ]


def _shown(name: str, value: str) -> str:
    """A value as the command understands it; `--text` takes it as it is."""
    return value if name == "--text" else identifier(value)


def read(query: Mapping[str, str]) -> Filters:
    """The filters in an address. Raises: OperatorError."""
    asked = {name: query[name].strip() for name in NAMES if query.get(name, "").strip()}
    named = {NAMES[name]: value for name, value in asked.items()}
    return Filters(asked, select(**named, now=datetime.now(UTC), received=True))
