"""No input that Lambda can hand to a function takes more than 70 % of the function's memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.domain.parse import MAX_VALUES
from tests.functional.cloud import TEMPLATE
from tests.functional.memory import BATCH_SIZE, BODY_BYTES, FILLERS, STREAM_BATCH_SIZE, payload

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "EVENTS_QUEUE_URL": "https://sqs.example/events",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/dead",
    "HELD_QUEUE_URL": "https://sqs.example/held",
    "ALLOWED_SOURCE_CIDRS": "",
    "ONLY_DOMAIN_NAME": "",
    "HELD_DELIVERIES_PER_MINUTE": "0",
    "WEBHOOK_SECRET_ID": "secret",
    "MAX_BODY_BYTES": str(BODY_BYTES),
    "SECRET_CACHE_SECONDS": "300",
    "PREVIOUS_SECRET_GRACE_HOURS": "0",
    "PROFILES_TABLE_NAME": "profiles",
    "EVENTS_TABLE_NAME": "events",
    "EVENT_RETENTION_DAYS": "30",
    "EVENT_BUS_NAME": "bus",
    "POWERTOOLS_SERVICE_NAME": "memory",
    "POWERTOOLS_METRICS_NAMESPACE": "GetProfileWebhooks",
}


def run_on_the_largest(package: str, filler: str, directory: Path, **environment: str) -> Any:
    """The peak of a process that runs the function on its largest input, and the response."""
    file = directory / "payload.json"
    file.write_text(payload(package, filler, MAX_VALUES), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.memory", package, str(file)],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def properties(function: str) -> Any:
    return TEMPLATE["Resources"][function]["Properties"]


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("package", ["ingest", "consumer", "publisher"])
def test_the_largest_input_takes_less_than_70_percent_of_the_memory(
    tmp_path: Path, package: str, filler: str
) -> None:
    taken = run_on_the_largest(package, filler, tmp_path)

    memory = properties(f"{package.title()}Function")["MemorySize"]
    assert taken["peak"] < 0.7 * memory
    assert taken["response"].get("statusCode", 200) == 200
    assert taken["response"].get("batchItemFailures", []) == []


def test_the_largest_input_is_the_one_of_the_template() -> None:
    events = properties("ConsumerFunction")["Events"]["Events"]["Properties"]
    history = properties("PublisherFunction")["Events"]["History"]["Properties"]

    assert events["BatchSize"] == BATCH_SIZE
    assert history["BatchSize"] == STREAM_BATCH_SIZE
    assert TEMPLATE["Parameters"]["MaxBodyBytes"]["MaxValue"] == BODY_BYTES
