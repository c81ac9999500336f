"""Whether the profiles here are in step with GetProfile's, as the last sweeps found."""

from collections.abc import Iterator

from gpw.operations.checks import Check
from gpw.operations.sync import READ_STATE, InStep, in_step
from gpw.stack.permissions import on
from gpw.stack.target import Target

NEEDS = (*READ_STATE, *on("ProfileApiSecretArn", "secretsmanager:DescribeSecret"))


def look(target: Target) -> Iterator[Check]:
    if found := in_step(target):
        yield judged(found)


def judged(found: InStep) -> Check:
    # A profile that is gone at GetProfile is the owner's to decide about.
    well = None if found.well and found.state.gone else found.well
    return Check("in step", well, found.text(), found.fix)
