"""`gpw policies`: a separate template with managed policies for the people who use gpw."""

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import requirements
from gpw.cli.output import Output
from gpw.operations.policies import template
from gpw.stack.permissions import STACK, Level, Need


@command(
    example="gpw policies > policies.json",
    needs=[Need("cloudformation:ListStackResources", STACK)],
    level=Level.ADMINISTER,
)
def policies(gpw: Gpw) -> None:
    """Print a template with managed policies for the people who use gpw: look, operate, administer.

    The policies allow exactly the actions and resources that each level's commands need on this
    stack. Deploy the template with `aws cloudformation deploy --capabilities CAPABILITY_IAM`, and
    again after each upgrade of the stack. Attach the policy `look` to everybody, and the others in
    addition.
    """
    made = template(gpw.target, requirements(gpw).values())
    Output(as_json=True).document(made)  # a template is JSON in any case
