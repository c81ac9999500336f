"""The largest answers of GetProfile's API stay under 70 % of the memory of HydratorFunction."""

from pathlib import Path

import pytest

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from receiver.hydrator.profile_api import MAX_BODY_BYTES
from receiver.hydrator.profile_api import MAX_VALUES as MAX_ANSWER_VALUES
from tests.factories import SECRET
from tests.functional.memory import BATCH_SIZE, PROFILES, value
from tests.functional.test_memory import properties, run_on_the_largest


def largest_answer(filler: str) -> faults.Fault:
    """As many values and bytes as are parsed; a character of four bytes widens the whole text."""
    values = value(filler, MAX_BODY_BYTES - 1_024, MAX_ANSWER_VALUES)

    def play(exchange: faults.Exchange, profile_id: str) -> None:
        begin = f'{{"profile_id":"{profile_id}","profile":{{"last_updated":"2023-10-01T11:00:00Z",'
        rest = f'"wide":"\U0001f600","value":{values},"update_log":"'
        padding = "x" * (MAX_BODY_BYTES - len((begin + rest).encode()) - len('"}}'))
        exchange.answer(200, f'{begin}{rest}{padding}"}}}}'.encode())

    return play


@pytest.mark.parametrize("filler", ["members", "objects", "nulls", "text"])
def test_the_largest_answers_take_less_than_70_percent_of_the_memory(
    profile_api: FakeProfileApi, tmp_path: Path, filler: str
) -> None:
    profile_api.key = SECRET
    profile_api.fail(largest_answer(filler))

    taken = run_on_the_largest(
        "hydrator",
        filler,
        tmp_path,
        PROFILE_API_URL=profile_api.url,
        PROFILE_API_REQUESTS_PER_SECOND="1000",
        PROFILE_API_SECRET_ID="secret",
        EVENTS_QUEUE_URL="https://sqs.example/events",
        HYDRATION_QUEUE_URL="https://sqs.example/hydration",
        SYNC_TABLE_NAME="sync",
        SYNC_EVERYTHING_DAYS="7",
        PUBLISH_BACKFILL="false",
        FULL_PROFILES_TABLE_NAME="full",
    )

    assert taken["peak"] < 0.7 * properties("HydratorFunction")["MemorySize"]
    assert taken["response"] == {"batchItemFailures": []}
    assert len(profile_api.requests) == PROFILES


def test_the_largest_batch_is_the_one_of_the_template() -> None:
    profiles = properties("HydratorFunction")["Events"]["Profiles"]["Properties"]

    assert profiles["BatchSize"] == BATCH_SIZE
