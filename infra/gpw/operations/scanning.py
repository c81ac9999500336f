"""Queue scans that show their progress and report messages that they could not check; purges."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gpw.cli.command import Gpw
from gpw.stack.queues import QueueScan


class HasMessageId(Protocol):
    @property
    def message_id(self) -> str: ...


@dataclass
class Purged:
    """The result of a purge. deleted: by what the command groups messages by.

    gone: messages that were no longer in the queue. missed: messages that were not checked.
    """

    deleted: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    gone: int = 0
    missed: int = 0

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "purged": dict(self.deleted),
            "failed": self.failed,
            "gone": self.gone,
            "not_looked_at": self.missed,
        }


@contextmanager
def scanning(
    gpw: Gpw, url: str, what: str
) -> Iterator[tuple[QueueScan, Iterator[list[dict[str, Any]]]]]:
    """Scan a queue, with a progress bar. Yields: the scan, and its batches as SQS returns them."""
    with (
        QueueScan(gpw.target.client("sqs"), url) as scan,
        gpw.out.progress(what, scan.expected) as advance,
    ):

        def batches() -> Iterator[list[dict[str, Any]]]:
            for batch in scan.batches():
                yield batch
                advance(len(batch))

        yield scan, batches()


def delete_chosen(
    scan: QueueScan,
    batches: Iterable[Sequence[HasMessageId]],
    chosen: Mapping[str, str],
    purged: Purged,
) -> None:
    """Delete the messages that were chosen, and no other.

    scan: a new one, because the operator may have taken any time to confirm. chosen: what to count
    each message under, by message id.
    """
    left = dict(chosen)
    for batch in batches:
        meant = [one.message_id for one in batch if one.message_id in left]
        deleted = scan.delete(meant)
        purged.failed += len(meant) - len(deleted)
        purged.deleted.update(left[message_id] for message_id in deleted)
        for message_id in meant:
            del left[message_id]
        if not left:
            return
    if scan.missed:
        purged.failed += len(left)
    else:
        purged.gone = len(left)


def note_missed(gpw: Gpw, scan: QueueScan, what: str, fix: str) -> None:
    """Report how many messages a finished scan could not check.

    what: the messages, in the plural. fix: how to reduce their number.
    """
    if scan.at_limit:
        gpw.out.note(
            gpw.out.marks[False],
            f" About {scan.missed} more {what} could not be checked: SQS returns no more than "
            f"about 120,000 at once. {fix}, then run it again.",
        )
    elif scan.missed:
        gpw.out.note(
            gpw.out.marks[None],
            f" SQS counts {scan.missed} more {what} than it returned. Its counts can be a minute "
            "old; run it again to be sure.",
        )
