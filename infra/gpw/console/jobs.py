"""Work that a page waits for: a command of gpw in a thread, with its progress and its result."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text
from typer.core import TyperCommand

from gpw.cli.command import Gpw
from gpw.cli.output import Output, plain
from gpw.stack.errors import OperatorError, explained
from gpw.stack.target import Target

REMEMBERED = 50  # jobs that are over, with their results


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

    told: what the command would have printed for people. document: what `--json` prints. then:
    what to offer when it is over. follow: a link to go on with. refresh: whether the whole page is
    to be shown anew.
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
    follow: tuple[str, str] | None = None
    refresh: bool = False


class _CancelledError(Exception):
    """Raised in a job's thread where it next reports progress."""


class JobOutput(Output):
    """Where a command's output goes when a page asked for it."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def say(self, *parts: str | Text) -> None:
        line = "".join(p.plain if isinstance(p, Text) else p for p in parts)
        if line:
            self._job.told.append(plain(line))

    def note(self, *parts: str | Text) -> None:
        self.say(*parts)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Pages make tables of their own."""

    def document(self, value: Any) -> None:
        self._job.document = value

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        job = self._job
        job.doing, job.done, job.total = what, 0, total

        def advance(by: int = 0, *, to: int | None = None, total: int | None = None) -> None:
            if job.cancelled:
                raise _CancelledError
            if to is None:
                job.done += by
            else:
                job.done, job.total = to, total

        yield advance

    def confirm(self, question: str) -> None:
        """The page has asked already."""


class _JobGpw(Gpw):
    """What a command works with when no command line was given."""

    def __init__(self, job: Job, target: Target) -> None:
        super().__init__(TyperCommand("ui"))
        self.params = {"yes": True}  # the page has asked
        self.out = JobOutput(job)
        self.target = target


class Jobs:
    """All jobs of a console, each in a thread of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
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
        return job

    def begin(self, job: Job, work: Callable[[Gpw], None]) -> None:
        """work: a command of gpw, given what it works with."""
        threading.Thread(target=self.run, args=(job, work), daemon=True).start()

    def run(self, job: Job, work: Callable[[Gpw], None]) -> None:
        """Do a job's work, here and now; whatever goes wrong is told by the job."""
        try:
            work(_JobGpw(job, self._target))
        except typer.Exit as ended:
            job.well = not ended.exit_code
        except _CancelledError:
            job.well = False
            job.told.append("Stopped. What was done until then stays done.")
        except OperatorError as error:
            _fail(job, error)
        except (ClientError, BotoCoreError) as error:
            _fail(job, explained(error))
        except Exception as error:  # a thread's last word: the page has to say it
            job.well = False
            job.told.append(f"Unforeseen: {type(error).__name__}")
        finally:
            job.over = True

    def get(self, number: int) -> Job | None:
        return self._jobs.get(number)


def _fail(job: Job, error: OperatorError) -> None:
    job.well = False
    job.told.append(plain(error))
    if error.fix:
        job.told.append(plain(error.fix))
