"""Work that a page waits for: an operation in a thread, with its progress and its result."""

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gpw.operations.reporter import Advance, Reporter
from gpw.stack.errors import OperatorError, explained
from gpw.stack.text import plain

REMEMBERED = 50  # finished jobs that are kept, with their results
PLANS = 5  # dry runs that can still be confirmed; each may hold the keys of a whole history


@dataclass(frozen=True)
class Then:
    """What a page offers after a dry run: a form. grave: whether it can't be undone."""

    label: str
    action: str
    fields: dict[str, str | list[str]]
    grave: bool = False

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values of the form's fields."""
        return [
            (name, value)
            for name, given in self.fields.items()
            for value in (given if isinstance(given, list) else [given])
        ]


@dataclass
class Job:
    """One piece of work. title: what it does, in words; command: the gpw command that does it.

    told: notes and results, as lines for people. document: the result as data. then: what to offer
    when it is over. plan: what a dry run found, until it is confirmed. follow: a link to go on
    with. refresh: whether to reload the page at the end.
    """

    number: int
    title: str
    command: str
    told: list[str] = field(default_factory=list)
    document: Any = None
    doing: str = ""
    done: int = 0
    total: int | None = None
    over: bool = False
    well: bool = True
    cancelled: bool = False
    then: Then | None = None
    plan: Any = None
    follow: tuple[str, str] | None = None
    refresh: bool = False

    def tell(self, *lines: str) -> None:
        """Show lines on the page, made safe to show."""
        self.told += map(plain, lines)


class CancelledError(Exception):
    """Raised in a job's thread when it next reports progress."""


class JobReporter:
    """Shows an operation's notes and progress on a page. It ends a job that was cancelled."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def note(self, *parts: str) -> None:
        self._job.tell("".join(parts))

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Advance]:
        job = self._job
        job.doing, job.done, job.total = what, 0, total

        def advance(by: int = 0, *, to: int | None = None, total: int | None = None) -> None:
            if job.cancelled:
                raise CancelledError
            if to is None:
                job.done += by
            else:
                job.done, job.total = to, total

        yield advance


type Work = Callable[[Reporter], None]


class Jobs:
    """All jobs of a console, each in a thread of its own."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def new(self, title: str, command: str) -> Job:
        """A job that has not begun."""
        with self._lock:
            job = Job(next(self._numbers), title, command)
            self._jobs[job.number] = job
            for number in [n for n, one in self._jobs.items() if one.over][:-REMEMBERED]:
                del self._jobs[number]
            for one in [one for one in self._jobs.values() if one.plan][:-PLANS]:
                one.plan = None
        return job

    def confirmed(self, number: str, path: str) -> Any:
        """What a dry run found, once. number: of its job. path: of the action.

        Raises: OperatorError, if it is not remembered.
        """
        with self._lock:
            job = self._jobs.get(int(number)) if number.isdecimal() and len(number) < 16 else None
            if job is None or job.plan is None or job.plan[0] != path:
                raise OperatorError(
                    "The dry run is not remembered, so nothing was done",
                    "make another one, and confirm what it shows",
                )
            (_path, *found), job.plan = job.plan, None
        return found

    def forget(self, name: re.Pattern[str]) -> None:
        """Remove the finished jobs that contain a name, such as a person's id."""
        with self._lock:
            for number, job in list(self._jobs.items()):
                if job.over and name.search("\n".join([job.title, job.command, *job.told])):
                    del self._jobs[number]

    def begin(self, job: Job, work: Work) -> None:
        """Run a job in a thread. work: puts its result into the job."""
        threading.Thread(target=self.run, args=(job, work), daemon=True).start()

    def run(self, job: Job, work: Work) -> None:
        """Run a job now. The job holds whatever goes wrong."""
        try:
            work(JobReporter(job))
        except CancelledError:
            job.well = False
            job.tell("Stopped. What was done until then stays done.")
        except OperatorError as error:
            _fail(job, error)
        except (ClientError, BotoCoreError) as error:
            _fail(job, explained(error))
        except Exception as error:  # else the thread would end without a word on the page
            job.well = False
            job.tell(f"Unexpected error: {type(error).__name__}")
        finally:
            job.over = True

    def get(self, number: int) -> Job | None:
        return self._jobs.get(number)


def _fail(job: Job, error: OperatorError) -> None:
    job.well = False
    job.tell(str(error))
    if error.fix:
        job.tell(error.fix)
