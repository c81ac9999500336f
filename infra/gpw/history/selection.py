"""Which events are meant: the one selection that commands and pages build."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from gpw.stack.errors import USAGE, OperatorError
from gpw.stack.when import given_moment
from receiver.domain import exact_json
from receiver.domain.version import timestamp


@dataclass(frozen=True)
class Selection:
    """A selection of events. A field that is None matches every event.

    since: inclusive. until: exclusive. by: the time that they apply to, `created_at` or
    `received_at`. status: the one in `data`. text: words that an event must all contain.
    """

    tenant: str | None = None
    profile: str | None = None
    event: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by: str = "created_at"
    status: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and self.tenant is None:
            raise OperatorError(
                "A profile belongs to a tenant", "name its tenant, too (--tenant)", code=USAGE
            )

    @property
    def words(self) -> tuple[str, ...]:
        """The words of `text`. Upper and lower case are alike."""
        return tuple(_folded(self.text or "").split())

    @property
    def everything(self) -> bool:
        return self == Selection(by=self.by)

    def describe(self) -> str:
        """The selection in words, for a prompt."""
        parts = [
            f"tenant {self.tenant}" if self.tenant else "",
            f"profile {self.profile}" if self.profile else "",
            f"type {self.event}" if self.event else "",
            f"outcome {self.outcome}" if self.outcome else "",
            f"status {self.status}" if self.status else "",
            f"text {self.text!r}" if self.text else "",
            f"since {timestamp(self.since)}" if self.since else "",
            f"until {timestamp(self.until)}" if self.until else "",
        ]
        return ", ".join(part for part in parts if part) or "all"


def select(
    *,
    now: datetime,
    since: str | None = None,
    until: str | None = None,
    received: bool = False,
    **fields: str | None,
) -> Selection:
    """A selection from what an operator wrote. fields: the others of `Selection`.

    received: whether the times are those of receipt. Raises: OperatorError.
    """
    first, end = (given_moment(one, now) if one is not None else None for one in (since, until))
    if first and end and first >= end:
        raise OperatorError(
            f"Nothing lies between --since {since} and --until {until}",
            "name an --until that is after --since",
            code=USAGE,
        )
    by = "received_at" if received else "created_at"
    return Selection(**fields, since=first, until=end, by=by)


def bound(moment: datetime | None) -> str | None:
    """A text that sorts before each time of this microsecond and after all earlier ones.

    Without its `Z`, it also sorts correctly among times with nine digits.
    """
    return timestamp(moment).removesuffix("Z") if moment else None


def holds(item: Mapping[str, Any], wanted: Iterable[str]) -> bool:
    """Whether an event holds all words, each somewhere: in a value or a name, or within one."""
    wanted = tuple(wanted)
    if not wanted:
        return True
    text = searchable(item)
    return all(word in text for word in wanted)


def searchable(item: Mapping[str, Any]) -> str:
    """All names and values of an item as one text, folded."""
    found: list[str] = []
    left: list[Any] = [item]
    while left:
        match left.pop():
            case Mapping() as one:
                for name, value in one.items():
                    found.append(name)
                    left.append(value)
            case list() as one:
                left.extend(one)
            case bool() | None:
                pass
            case Decimal() as one:
                found.append(exact_json.dumps(one))
            case one:
                found.append(str(one))
    return _folded("\n".join(found))


def _folded(text: str) -> str:
    """A text to search in or for. A NUL separates words: a database may end the text there."""
    return text.casefold().replace("\0", "\n")
