"""Runs a command that still needs a command line's context, until it has an operation to call."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.text import Text
from typer.core import TyperCommand

from gpw.cli.command import Gpw
from gpw.cli.output import Output
from gpw.console.jobs import Job, Work
from gpw.operations.reporter import Reporter
from gpw.stack.target import Target


class _JobOutput(Output):
    """Puts a command's output into a job."""

    def __init__(self, job: Job, reporter: Reporter) -> None:
        super().__init__()
        self._job, self._reporter = job, reporter

    def say(self, *parts: str | Text) -> None:
        if line := "".join(p.plain if isinstance(p, Text) else p for p in parts):
            self._job.tell(line)

    def note(self, *parts: str | Text) -> None:
        self.say(*parts)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
        """Pages make tables of their own."""

    def document(self, value: Any) -> None:
        self._job.document = value

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        with self._reporter.progress(what, total) as advance:
            yield advance

    def confirm(self, question: str) -> None:
        """The page has asked already."""


class _JobGpw(Gpw):
    def __init__(self, job: Job, target: Target, reporter: Reporter) -> None:
        super().__init__(TyperCommand("ui"))
        self.params = {"yes": True}  # the page has asked
        self.out = _JobOutput(job, reporter)
        self.target = target


def command_work(job: Job, target: Target, work: Callable[[Gpw], None]) -> Work:
    """The work of a job that calls a command."""

    def run(reporter: Reporter) -> None:
        try:
            work(_JobGpw(job, target, reporter))
        except typer.Exit as ended:
            job.well = not ended.exit_code

    return run
