"""What doctor and the console say of sync, from its state alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpw.operations.doctor.in_step import judged
from gpw.operations.sync import InStep
from receiver.domain.version import timestamp
from receiver.hydrator.sync_store import Summary, SyncState

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def known(ago: timedelta | None, *, key_set: bool | None = True, **state: Any) -> InStep:
    complete_at = timestamp(NOW - ago) if ago else ""
    return InStep(SyncState(complete_at=complete_at, **state), key_set, 3 * 3600.0, NOW)


def summary(**counts: Any) -> Summary:
    none = dict.fromkeys(("listed", "unusable", "behind", "filled", "written"), 0)
    told: dict[str, Any] = dict.fromkeys(("started_at", "finished_at", "since", "begun_by"), "")
    told |= {"full": False, "dry_run": False, "total": None, "behind_seconds": 0}
    return Summary.model_validate(none | told | counts)


@pytest.mark.parametrize(
    ("found", "well", "text", "fix"),
    [
        (known(None, key_set=False), None, "no API key is set", "gpw secret set --for api"),
        (known(None), None, "No comparison with GetProfile's list is complete", "gpw sync"),
        (known(HOUR, last=summary()), True, "list 60 min ago; nothing was missing", ""),
        (known(HOUR, last=summary(behind=1)), True, "1 profile had been behind, and caught", ""),
        (known(HOUR, gone=2), None, "2 are here and gone there", "gpw sync --gone lists them"),
        (known(4 * HOUR), False, "last three sweeps were not completed", "gpw tail --errors shows"),
    ],
)
def test_one_line_says_whether_the_profiles_are_in_step_and_what_to_do(
    found: InStep, well: bool | None, text: str, fix: str
) -> None:
    check = judged(found)

    assert check.well is well
    assert text in check.found
    assert check.fix.startswith(fix)
