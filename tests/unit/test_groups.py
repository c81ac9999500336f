"""Which tests share a process (tests/groups.py)."""

from pathlib import Path

import pytest

from tests.groups import DEPLOYED, GROUPS, IN_EACH, group_of

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/e2e/test_gpw.py::test_it", "operator"),
        ("tests/e2e/test_console.py::test_it[a-events]", "console"),
        ("tests/e2e/test_canary.py::test_it[events]", "events"),
        ("tests/e2e/test_canary.py::test_it[operator-answers]", "operator"),
        ("tests/template/test_wheel.py::test_it[x]", "wheel"),
        ("tests/unit/test_store.py::test_it", None),
    ],
)
def test_a_file_is_in_one_group_and_the_canary_in_each(test: str, group: str | None) -> None:
    assert group_of(test) == group


def test_every_file_of_a_group_exists_and_is_in_no_other() -> None:
    files = [file for group in GROUPS.values() for file in group] + [IN_EACH]

    assert len(files) == len(set(files))
    assert set(DEPLOYED) <= GROUPS.keys()
    assert [file for file in files if len(list(TESTS.rglob(file))) != 1] == []
