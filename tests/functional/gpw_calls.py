"""What gpw asks AWS for: noted, and answered in moto's place where moto has no answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from gpw.stack.target import Target

# IAM allows a batch under the name of the single action.
ACTIONS = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
# The argument that names the resource.
RESOURCE = {
    "cloudformation": "StackName",
    "dynamodb": "TableName",
    "events": "Name",
    "lambda": "UUID",
    "logs": "logGroupName",
    "secretsmanager": "SecretId",
    "sqs": "QueueUrl",
}
# Those that name a rule of a bus.
RULES = {"PutRule": "Name", "DeleteRule": "Name", "PutTargets": "Rule", "RemoveTargets": "Rule"}
LISTENER = "gpw-listen-"
OK = SimpleNamespace(status_code=200)
NO_MAPPINGS: dict[str, Any] = {"EventSourceMappings": []}


def named(service: str, operation: str, params: dict[str, Any]) -> set[str]:
    """The resources that a call names, as `physical_name` names them."""
    if operation == "BatchGetItem":
        return set(params["RequestItems"])
    if operation == "PutEvents":
        return {entry["EventBusName"] for entry in params["Entries"]}
    if service == "events" and operation in RULES:
        return {f"rule/{params['EventBusName']}/{params[RULES[operation]]}"}
    if service == "events" and "ResourceARN" in params:
        return {params["ResourceARN"].split(":", 5)[5]}
    if service == "sqs" and LISTENER in (
        name := params.get("QueueName", params.get("QueueUrl", ""))
    ):
        return {name.rpartition("/")[2]}
    return {params.get(RESOURCE.get(service, ""), "*")}


class Calls:
    """The calls of every command.

    made: action as IAM names it, and the resource's name or "*". concurrency, unreserved: the
    account's limits. denied: actions that the operator may not call. caller: another one's ARN.
    simulated: what IAM was asked to simulate, actions by ARN.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: set[tuple[str, str]] = set()
        self.concurrency = self.unreserved = 1_000
        self.denied: set[str] = set()
        self.caller: str | None = None
        self.simulated: dict[str, list[str]] = {}
        make = Target.client

        def client(target: Target, service: str) -> Any:
            known = service in target._clients
            made = make(target, service)
            if not known:
                self._watch(service, made.meta.events)
            return made

        monkeypatch.setattr(Target, "client", client)

    def _watch(self, service: str, events: Any) -> None:
        def note(params: dict[str, Any], model: Any, **_: Any) -> None:
            action = f"{service}:{ACTIONS.get(model.name, model.name)}"
            self.made |= {(action, name) for name in named(service, model.name, params)}

        events.register("before-parameter-build", note)
        events.register("before-call.lambda.GetAccountSettings", self._account)
        # As of a function whose alias has them.
        events.register("before-call.lambda.ListEventSourceMappings", lambda **_: (OK, NO_MAPPINGS))
        events.register("before-call.iam.SimulatePrincipalPolicy", self._simulate)
        events.register("before-call.sts.GetCallerIdentity", self._who)

    def _account(self, **_: Any) -> Any:
        limits = {
            "ConcurrentExecutions": self.concurrency,
            "UnreservedConcurrentExecutions": self.unreserved,
        }
        return OK, {"AccountLimit": limits}

    def _simulate(self, params: dict[str, Any], **_: Any) -> Any:
        asked = {name: value for name, value in params["body"].items() if ".member." in name}
        actions = [value for name, value in asked.items() if name.startswith("ActionNames")]
        [arn] = [value for name, value in asked.items() if name.startswith("ResourceArns")]
        self.simulated[arn] = actions
        results = [
            {
                "EvalActionName": action,
                "EvalDecision": "implicitDeny" if action in self.denied else "allowed",
            }
            for action in actions
        ]
        return OK, {"EvaluationResults": results, "IsTruncated": False}

    def _who(self, **_: Any) -> Any:
        return (OK, {"Arn": self.caller}) if self.caller else None
