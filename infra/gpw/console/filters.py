"""The filters of a page, all of which are in its address."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gpw.console.store import Store
from gpw.history.selection import Selection
from gpw.stack.errors import OperatorError
from gpw.stack.text import identifier
from gpw.stack.when import moment
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


NEEDED_BY = {"tenant": {"profile"}}  # a profile belongs to a tenant

EVERYTHING = Selection(by="received_at")


@dataclass(frozen=True)
class Filters:
    """The filters in an address. asked: as they are written there. selection: what they select.

    wrong: what is wrong with a field of the form, by its name; then nothing is selected.
    """

    asked: dict[str, str] = field(default_factory=dict)
    selection: Selection = EVERYTHING
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def query(self) -> str:
        return urlencode(self.asked)

    def page(self, path: str) -> str:
        """The address of a page with these filters."""
        return f"{path}?{self.query}" if self.asked else path

    def without(self, name: str) -> str:
        """The address of the list without one filter, and without what needs that filter."""
        gone = {name} | NEEDED_BY.get(name, set())
        left = {key: value for key, value in self.asked.items() if key not in gone}
        return Filters(left).page("/events")

    def options(self) -> str:
        """The same as options of gpw. Times are those of receipt, and fixed."""
        chosen = self.selection
        words = [
            *self._words,
            *_option("--since", timestamp(chosen.since) if chosen.since else None),
            *_option("--until", timestamp(chosen.until) if chosen.until else None),
        ]
        if chosen.since or chosen.until:
            words.insert(0, "--received")
        return shlex.join(words or ["--all"])

    def listen_options(self) -> str:
        """Those that apply to live events, as options."""
        return shlex.join(self._words)

    @property
    def _words(self) -> list[str]:
        chosen = self.selection
        return [
            *_option("--tenant", chosen.tenant),
            *_option("--profile-id", chosen.profile),
            *_option("--type", chosen.event),
            *_option("--outcome", chosen.outcome),
            *_option("--status", chosen.status),
            *_option("--text", chosen.text),
        ]


def _option(name: str, value: str | None) -> list[str]:
    if value is None:
        return []
    shown = value if name == "--text" else identifier(value)  # `--text` takes it as it is
    # After a space, a value that begins with a hyphen would be another option.
    return [f"{name}={shown}"] if shown.startswith("-") else [name, shown]


def choices(store: Store) -> dict[str, Sequence[str]]:
    """The values that the form offers, by filter."""
    stored = {name: store.values(name) for name in ("tenant", "type", "status")}
    return {**stored, "outcome": OUTCOMES}


def read(query: Mapping[str, str]) -> Filters:
    """The filters in an address. Raises: OperatorError."""
    found = checked(query)
    for name, why in found.wrong.items():
        raise OperatorError(f"The filter {name}: {why}")
    return found


def checked(query: Mapping[str, str]) -> Filters:
    """The filters in an address, for a page that says which of them are wrong."""
    asked = {name: query[name].strip() for name in NAMES if query.get(name, "").strip()}
    named: dict[str, Any] = {NAMES[name]: value for name, value in asked.items()}
    now = datetime.now(UTC)
    wrong: dict[str, str] = {}
    for name in ("since", "until"):
        if name in named:
            try:
                named[name] = moment(named[name], now)
            except ValueError as error:
                wrong[name] = str(error)
    if asked.get("outcome", OUTCOMES[0]) not in OUTCOMES:
        wrong["outcome"] = f"there is no such outcome: choose one of {', '.join(OUTCOMES)}"
    if "profile" in asked and "tenant" not in asked:
        wrong["profile"] = "a profile belongs to a tenant: choose its tenant, too"
    if wrong:
        return Filters(asked, wrong=wrong)
    return Filters(asked, Selection(**named, by="received_at"))
