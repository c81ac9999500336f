"""The largest answers of GetProfile's API stay under 70 % of the memory of HydratorFunction."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from receiver.hydrator.profile_api import MAX_BODY_BYTES
from receiver.hydrator.profile_api import MAX_VALUES as MAX_ANSWER_VALUES
from receiver.hydrator.sync import MAX_COMPARED
from receiver.hydrator.sync_store import PAGE_PROFILES
from tests.factories import SECRET
from tests.functional.memory import BATCH_SIZE, PROFILES, value
from tests.functional.test_memory import ENVIRONMENT, ROOT, properties, run_on_the_largest


def largest_answer(filler: str) -> faults.Fault:
    """As many values and bytes as are parsed; a character of four bytes widens the whole text."""
    values = value(filler, MAX_BODY_BYTES - 1_024, MAX_ANSWER_VALUES)

    def play(exchange: faults.Exchange, profile_id: str) -> None:
        begin = f'{{"profile_id":"{profile_id}","profile":{{"last_updated":"2023-10-01T11:00:00Z",'
        rest = f'"wide":"\U0001f600","value":{values},"update_log":"'
        padding = "x" * (MAX_BODY_BYTES - len((begin + rest).encode()) - len('"}}'))
        exchange.answer(200, f'{begin}{rest}{padding}"}}}}'.encode())

    return play


def environment(api: FakeProfileApi) -> dict[str, str]:
    return {
        "PROFILE_API_URL": api.url,
        "PROFILE_API_REQUESTS_PER_SECOND": "1000",
        "PROFILE_API_SECRET_ID": "secret",
        "EVENTS_QUEUE_URL": "https://sqs.example/events",
        "HYDRATION_QUEUE_URL": "https://sqs.example/hydration",
        "SYNC_TABLE_NAME": "sync",
        "SYNC_EVERYTHING_DAYS": "7",
        "PUBLISH_BACKFILL": "false",
        "FULL_PROFILES_TABLE_NAME": "full",
    }


def sweep(api: FakeProfileApi, kind: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.sweep_memory", kind],
        cwd=ROOT,
        env=ENVIRONMENT | environment(api),
        capture_output=True,
        text=True,
        check=True,
    )
    taken = json.loads(done.stdout)
    assert taken["response"] == {"batchItemFailures": []}
    assert "sweep complete" in taken["log"]
    return taken


def list_page(profiles: int, filler: str) -> bytes:
    """A list with as many values and bytes as are parsed; one wide character widens its text."""
    head = '{"profile_id":"%s","tenant_id":"t","last_updated":"2023-10-01T11:00:00Z","value":'
    around = len('{"wide":"\U0001f600","profiles":[]}'.encode()) + profiles * (len(head) + 16)
    each = (MAX_BODY_BYTES - around) // profiles
    values = value(filler, each, (MAX_ANSWER_VALUES - 10) // profiles - 10)
    listed = ",".join(f"{head % n}{values}}}" for n in range(profiles))
    body = f'{{"wide":"\U0001f600","profiles":[{listed}]}}'.encode()
    assert len(body) <= MAX_BODY_BYTES
    return body


@pytest.mark.parametrize("filler", ["members", "text"])  # the most objects, the most bytes
@pytest.mark.parametrize("profiles", [PAGE_PROFILES - 1, 1])  # not full, so it is the last one
def test_the_largest_page_of_a_sweep_takes_less_than_70_percent_of_the_memory(
    profile_api: FakeProfileApi, profiles: int, filler: str
) -> None:
    profile_api.key = SECRET
    profile_api.fail(faults.raw(list_page(profiles, filler)))
    taken = sweep(profile_api, "pages")

    assert taken["peak"] < 0.7 * properties("HydratorFunction")["MemorySize"]
    assert taken["stored"] == profiles
    assert len(profile_api.requests) == 1


def test_the_largest_pass_takes_less_than_70_percent_of_the_memory(
    profile_api: FakeProfileApi,
) -> None:
    profile_api.key = SECRET
    taken = sweep(profile_api, "pass")

    assert taken["peak"] < 0.7 * properties("HydratorFunction")["MemorySize"]
    assert json.loads(taken["log"].splitlines()[-1])["ProfilesAtGetProfile"] == MAX_COMPARED


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
        **environment(profile_api),
    )

    assert taken["peak"] < 0.7 * properties("HydratorFunction")["MemorySize"]
    assert taken["response"] == {"batchItemFailures": []}
    assert len(profile_api.requests) == PROFILES


def test_the_largest_batch_is_the_one_of_the_template() -> None:
    profiles = properties("HydratorFunction")["Events"]["Profiles"]["Properties"]

    assert profiles["BatchSize"] == BATCH_SIZE
