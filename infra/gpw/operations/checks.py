"""The result of a check, of `gpw doctor` and `gpw verify`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from gpw.stack.errors import OperatorError, explained, is_forbidden


@dataclass(frozen=True)
class Check:
    """The result of a check.

    well: None if it is unknown, or not a problem yet. fix: what to do, if anything.
    """

    what: str
    well: bool | None
    found: str
    fix: str = ""


def guarded(what: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Run a check. An error of the check itself becomes a result too."""
    try:
        yield from look()
    except OperatorError as error:
        yield Check(what, False, str(error), error.fix)
    except (ClientError, BotoCoreError) as error:
        told = explained(error)
        unknown = isinstance(error, ClientError) and is_forbidden(error)
        yield Check(what, None if unknown else False, str(told), told.fix)
