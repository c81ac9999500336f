"""ProfilesTable and EventsTable in memory, with the conditional writes that the functions make.

The one model of DynamoDB for tests that go without AWS's own code: behind a fake client in the unit
tests, behind real sockets in the fault tests.
"""

import threading
from collections import defaultdict

from tests.aws_limits import Item, item_refusal

IF_ABSENT = "attribute_not_exists(#version)"
IF_NEWER = "attribute_not_exists(#version) OR #version < :version"

Key = tuple[str, str]  # tenant, profile; of the history: subject, version


class SurpriseError(BaseException):
    """The functions sent something that this model does not know: the model has to learn it.

    No Exception, because the functions take any of those for a failure that a redelivery may mend.
    """


class Tables:
    """Two tables. held: every version that a profile's row has had at any time."""

    def __init__(self) -> None:
        self.profiles: dict[Key, Item] = {}
        self.events: dict[Key, Item] = {}
        self.held: defaultdict[Key, set[str]] = defaultdict(set)
        self._tokens: dict[str, list[Item]] = {}
        self._lock = threading.Lock()

    def write(self, puts: list[Item], token: str | None = None) -> list[Item] | None:
        """Write all or nothing.

        token: a request that succeeded before with the same one succeeds again, and does nothing.
        Returns: None when it is written, else the reason per put, as a canceled transaction has it.
        """
        with self._lock:
            if token is not None and token in self._tokens:
                if self._tokens[token] != puts:
                    raise SurpriseError("the same token for another request")
                return None
            reasons = [self._reason(put) for put in puts]
            if any(reason["Code"] != "None" for reason in reasons):
                return reasons
            for put in puts:
                self._put(put)
            if token is not None:
                self._tokens[token] = puts
            return None

    @property
    def states(self) -> dict[str, str]:
        """The id of the event that is each profile's state."""
        return {profile: item["event_id"]["S"] for (_, profile), item in self.profiles.items()}

    @property
    def outcomes(self) -> dict[str, str]:
        """What the history says of each event, by its id."""
        return {item["event_id"]["S"]: item["outcome"]["S"] for item in self.events.values()}

    def check_outcomes(self) -> None:
        """An event is `applied` if and only if its profile's row held its version at some time."""
        for (_subject, version), item in self.events.items():
            profile = item.get("profile_id", {"S": ""})["S"]
            held = version in self.held[item["tenant_id"]["S"], profile]
            outcome = item["outcome"]["S"]
            assert (outcome == "applied") == held, f"{outcome}, {held=}: {item['event_id']['S']}"
        recorded = {version for _subject, version in self.events}
        assert set().union(*self.held.values()) <= recorded, "a state without history"

    def clear(self) -> None:
        self.profiles.clear()
        self.events.clear()
        self.held.clear()

    def _reason(self, put: Item) -> Item:
        table, key = self._place(put)
        old = table.get(key)
        match put["ConditionExpression"]:
            case condition if condition == IF_ABSENT:
                refused = old is not None
            case condition if condition == IF_NEWER:
                new = put["ExpressionAttributeValues"][":version"]["S"]
                refused = old is not None and not old["version"]["S"].encode() < new.encode()
            case condition:
                raise SurpriseError(condition)
        if put["ExpressionAttributeNames"] != {"#version": "version"}:
            raise SurpriseError(str(put["ExpressionAttributeNames"]))
        if refused:
            all_old = put.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            return {"Code": "ConditionalCheckFailed"} | ({"Item": old} if all_old else {})
        if item_refusal(put["Item"]):  # the functions should know it before
            return {"Code": "ValidationError"}
        return {"Code": "None"}

    def _place(self, put: Item) -> tuple[dict[Key, Item], Key]:
        item = put["Item"]
        match put["TableName"]:
            case "profiles":
                return self.profiles, (item["tenant_id"]["S"], item["profile_id"]["S"])
            case "events":
                return self.events, (item["subject"]["S"], item["version"]["S"])
            case name:
                raise SurpriseError(name)

    def _put(self, put: Item) -> None:
        table, key = self._place(put)
        table[key] = put["Item"]
        if table is self.profiles:
            self.held[key].add(put["Item"]["version"]["S"])
