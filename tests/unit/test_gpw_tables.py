"""Reading items of a table by their keys."""

from typing import Any

from gpw.stack.tables import FIRST_PAUSE_SECONDS, KEYS_PER_REQUEST, Table


class Partial:
    """A client that answers each request with `at_once` items, and names the rest as unread."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self.asked: list[int] = []

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        [(table, request)] = RequestItems.items()
        keys = request["Keys"]
        self.asked.append(len(keys))
        assert request["ConsistentRead"] is True
        unread = keys[self._at_once :]
        return {
            "Responses": {table: [key for key in keys[: self._at_once] if key["n"]["S"] != "gone"]},
            "UnprocessedKeys": {table: {"Keys": unread}} if unread else {},
        }


def test_items_that_exist_are_read_by_key_however_many_dynamodb_returns_at_once() -> None:
    client, pauses = Partial(40), list[float]()
    names = [str(number) for number in range(130)] + ["gone"]

    found = Table(client, "events").get_all([{"n": name} for name in names], sleep=pauses.append)

    assert {item["n"] for item in found} == {*names} - {"gone"}
    assert client.asked == [KEYS_PER_REQUEST, 91, 51, 11]
    assert pauses == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4)]
