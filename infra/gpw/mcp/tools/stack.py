"""Tools about the stack as a whole."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from gpw.mcp.answers import fitting, text
from gpw.mcp.tools.base import Tools
from gpw.operations import log_counts, runbook
from gpw.operations.bus_rules import rules
from gpw.operations.cost import (
    deployed_settings,
    estimate,
    figures_on_file,
    price_list_on_file,
)
from gpw.operations.doctor import checkup
from gpw.operations.pricing import MonthlyTraffic
from gpw.operations.tail import QUEUES
from gpw.stack import alarms
from gpw.stack.errors import explained
from gpw.stack.queues import depth

LINES = 10_000  # of each log group, in one call
ADVICE = 1_200  # characters of the runbook
PROBLEMS = 20  # kinds of problems that are listed


class StackTools(Tools):
    """Tools about the stack as a whole."""

    def stack_health(self) -> dict[str, Any]:
        """Check the stack: start here. Each finding says what to do.

        It checks the deployment, permissions, the secret's age, queues, dead letters, held
        deliveries, whether the functions are enabled or paused, the bus and its rules, and alarms.
        Unlike `gpw doctor` it reads no secret, sends no request to the webhook URL and removes
        nothing. A workflow runs only if an enabled rule in `rules` matches the event.
        """
        found = list(checkup.checks(self.target, self.requirements, passive=True))
        return {
            "well": all(one.well is not False for one in found),
            "checks": [
                {"what": one.what, "well": one.well, "found": text(one.found, 600)}
                | ({"fix": one.fix} if one.fix else {})
                for one in found
            ],
            **self._rules(),
        }

    def _rules(self) -> dict[str, Any]:
        try:
            found = rules(self.target)
        except (ClientError, BotoCoreError) as error:
            return {"rules": f"unknown: {explained(error)}"}
        shown = (
            one.document() | {"pattern": text(one.pattern, 400), "name": text(one.name)}
            for one in found
        )
        return {"rules_count": len(found), "rules": fitting(shown)}

    def metrics(
        self, *, hours: Annotated[float, Field(gt=0, le=72, description="How far back.")] = 1.0
    ) -> dict[str, Any]:
        """Count what happened in the last hours, from the logs; and what waits in the queues.

        `metrics` are sums such as EventsAccepted or EventsStale (see explain "metrics"), `reasons`
        say why requests were refused and messages dead-lettered, `api_answers` are answers that
        are no success by status (429 is throttled by API Gateway and never reached the receiver),
        and `problems` are warnings and errors of the functions, with their causes. It reads up to
        10,000 lines of each log; `complete_until` says up to when, if there were more.
        """
        now, target = datetime.now(UTC), self.target
        since = now - timedelta(hours=hours)
        found = log_counts.count(target, self.call, since, now, LINES)
        sqs = target.client("sqs")
        return {
            "since": since,
            "metrics": dict(sorted(found.metrics.items())),
            "reasons": {text(name): n for name, n in found.reasons.most_common(PROBLEMS)},
            "api_answers": [
                {"status": status, "error": text(error), "requests": n}
                for (status, error), n in found.answers.most_common(PROBLEMS)
            ],
            "problems": fitting(
                {"function": function, "message": text(message), "cause": text(cause), "count": n}
                for (function, message, cause), n in found.problems.most_common(PROBLEMS)
            ),
            "limits": {
                name: target.parameters[name]
                for name in ("RequestsPerSecond", "RequestBurst")
                if name in target.parameters
            },
            "queues": {
                name: vars(depth(sqs, url))
                for name, output in QUEUES.items()
                if (url := target.outputs.get(output))
            },
            "complete_until": found.stopped_in or None,
        }

    def alarms(self) -> dict[str, Any]:
        """List the alarms that are raised now, with what they mean and what the runbook says."""
        target = self.target
        names = list(alarms.alarm_names(target, target.stack))
        found = alarms.ringing(target, names)
        return {
            "watching": len(names),
            "raised": fitting(
                {"name": name, "means": text(means, 600), "runbook": _advice(name, target.stack)}
                for name, means in found.items()
            ),
            "raised_count": len(found),
        }

    def cost(
        self,
        *,
        events_per_month: Annotated[int, Field(ge=0, le=10**12)] = 1_000_000,
        stale: Annotated[float, Field(ge=0, le=1, description="Share that is stale.")] = 0.0,
    ) -> dict[str, Any]:
        """Estimate the monthly bill of this stack, with its own settings, at list prices.

        No bill is read. For other settings, suggest the command `cost`.
        """
        parameters = frozenset(self.target.parameters.items())
        chosen, _assignments = deployed_settings(parameters)
        prices = price_list_on_file()
        traffic = MonthlyTraffic(events_per_month, stale=stale)
        found = estimate(traffic, chosen, figures_on_file(), prices.prices)
        return {
            "events_per_month": events_per_month,
            "prices": f"list prices of {prices.date} in {prices.region}, in dollars a month",
            "lines": {one.line.what: round(one.dollars, 4) for one in found.charges if one.dollars},
            "totals": {
                what: {"list_price": round(dollars, 2), "after_free_allowance": round(after, 2)}
                for what, (dollars, after) in found.totals.items()
            },
        }


def _advice(name: str, stack: str) -> str:
    return runbook.alarms().get(name.removeprefix(f"{stack}-"), "")[:ADVICE]
