"""Which events a page shows: all of it stands in the page's address."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from urllib.parse import urlencode

from gpw.history.history import holds, words
from gpw.listening.bus_event import BusEvent
from gpw.stack.errors import OperatorError
from gpw.stack.when import moment
from receiver.domain.version import timestamp

OUTCOMES = ("applied", "stale", "recorded")


@dataclass(frozen=True)
class Filters:
    """What is None is not asked about. first, end: since and until as the history writes times."""

    tenant: str | None = None
    profile: str | None = None
    type: str | None = None
    outcome: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    q: str | None = None
    first: str | None = None
    end: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return words(self.q or "")

    @property
    def asked(self) -> dict[str, str]:
        """What stands in the address."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {n: v for n, v in found.items() if v is not None and n not in {"first", "end"}}

    @property
    def query(self) -> str:
        return urlencode(self.asked)

    def options(self) -> str:
        """The same as options of gpw. Times are those of arrival, and fixed."""
        words = _words(
            *self._of_the_bus,
            ("--status", self.status),
            ("--text", self.q),
            ("--since", self.first),
            ("--until", self.end),
        )
        if self.first or self.end:
            words.insert(0, "--received")
        return shlex.join(words or ["--all"])

    def listen_options(self) -> str:
        """Those that `gpw listen` has as well, as options."""
        return shlex.join(_words(*self._of_the_bus))

    @property
    def beyond_listen(self) -> bool:
        """Whether they ask for something that no option of `gpw listen` does."""
        return bool(self.status or self.q)

    @property
    def _of_the_bus(self) -> list[tuple[str, str | None]]:
        return [
            ("--tenant", self.tenant),
            ("--profile-id", self.profile),
            ("--type", self.type),
            ("--outcome", self.outcome),
        ]

    def match(self, event: BusEvent) -> bool:
        """Whether a live event is asked for. Times are not looked at."""
        data = event.detail.get("data")
        status = data.get("status") if isinstance(data, dict) else None
        asked = [
            (self.tenant, event.tenant),
            (self.profile, event.profile),
            (self.type, event.type),
            (self.outcome, event.outcome),
            (self.status, status),
        ]
        return all(wanted is None or wanted == found for wanted, found in asked) and holds(
            event.detail, self.words
        )


def _words(*pairs: tuple[str, str | None]) -> list[str]:
    return [word for name, value in pairs if value is not None for word in (name, value)]


def read(query: Mapping[str, str]) -> Filters:
    """What an address asks for. Raises: OperatorError."""
    given = {
        one.name: query[one.name].strip()
        for one in fields(Filters)
        if one.name not in {"first", "end"} and query.get(one.name, "").strip()
    }
    now = datetime.now(UTC)
    try:
        first, end = (
            timestamp(moment(given[name], now)) if name in given else None
            for name in ("since", "until")
        )
    except ValueError as error:
        raise OperatorError(str(error)) from None
    if given.get("profile") and not given.get("tenant"):
        raise OperatorError("A profile is one of a tenant", "name the tenant, too")
    return Filters(**given, first=first, end=end)
