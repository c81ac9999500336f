"""`gpw reconcile`: the former name of `gpw sync --full`, kept for one release."""

from gpw.cli.command import Gpw, command
from gpw.commands.sync import sync
from gpw.operations.gone import READ_GONE
from gpw.operations.sync import RUN


@command(example="gpw reconcile", needs=[*RUN, *READ_GONE], changes=True)
def reconcile(gpw: Gpw) -> None:
    """Compare all profiles with GetProfile's list; now called `gpw sync --full`."""
    gpw.out.note("This command is now `gpw sync --full`: it also finds missing profiles.")
    sync(gpw, full=True)
