"""`gpw doctor`: checks every part of a webhook's path, and says what to do."""

from collections.abc import Iterable
from typing import Annotated

import typer

from gpw.cli.command import Gpw, command
from gpw.cli.lazy import requirements
from gpw.commands.check_line import show
from gpw.operations.checks import Check
from gpw.operations.doctor.checkup import checks
from gpw.operations.doctor.ping import NOT_SENT, PING_TENANT, PING_TYPE
from gpw.operations.doctor.ping import ping as send_ping
from gpw.operations.pause import MAPPINGS
from gpw.stack import alarms
from gpw.stack.errors import FAILED
from gpw.stack.permissions import SWEEPING, Level, Need, on

_QUEUES = ("EventsQueueUrl", "DeadLetterQueueUrl", "HeldQueueUrl", "HydrationQueueUrl")
_SECRETS = ("WebhookSecretArn", "ProfileApiSecretArn")


@command(
    example="gpw doctor --ping --yes",
    needs=[
        *alarms.ALARMS,
        *on("*", "iam:SimulatePrincipalPolicy", "iam:GetRole"),
        *on("*", "cloudwatch:GetMetricStatistics"),
        *on("*", "lambda:GetAccountSettings"),
        *(Need("lambda:GetEventSourceMapping", one) for one in MAPPINGS.values()),
        *(Need("sqs:GetQueueAttributes", queue) for queue in _QUEUES),
        *(Need("secretsmanager:DescribeSecret", one) for one in _SECRETS),
        *(Need("secretsmanager:GetSecretValue", one) for one in _SECRETS),
        *on("EventBusName", "events:DescribeEventBus"),
        *on("EventsTableName", "dynamodb:Query"),
        *SWEEPING,
    ],
    level=Level.LOOK,  # except for --ping, which needs the secret
    changes=True,
)
def doctor(
    gpw: Gpw,
    *,
    ping: Annotated[
        bool | None,
        typer.Option(
            help="Send a harmless event of type gpw.ping through the whole system; it is recorded "
            "and published. By default only on the local cloud."
        ),
    ] = None,
) -> None:
    """Check stack, permissions, secret, endpoint, queues, functions, concurrency, bus and alarms.

    It changes nothing, except that it removes the expired rules and queues of killed listeners
    without asking, and sends a ping if you ask for one. Exits with 1 if it finds a problem.
    """
    target, out = gpw.target, gpw.out
    found: list[Check] = []

    def take(some: Iterable[Check]) -> None:
        for check in some:
            found.append(check)
            show(out, check)

    take(checks(target, requirements(gpw)))
    send = target.local is not None if ping is None else ping
    if send:
        if not target.local:
            gpw.confirm(
                f"Send an event {PING_TYPE} of the tenant {PING_TENANT} to {target.stack!r}?"
            )
        take(send_ping(target, out))
    else:
        take([NOT_SENT])
    well = all(check.well is not False for check in found)
    out.document({"well": well, "checks": [vars(check) for check in found]})
    if not well:
        raise typer.Exit(FAILED)
