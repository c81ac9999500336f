"""docs/decisions.md can be cited by number."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def text(repository: Path) -> str:
    return (repository / "docs" / "decisions.md").read_text("utf-8")


def test_entries_are_numbered_without_a_gap_and_each_is_in_the_index_once(text: str) -> None:
    numbers = [
        int(n) for n in re.findall(r"^## (\d+)\. .+\? \(\d{4}-\d\d-\d\d\)$", text, re.MULTILINE)
    ]
    index = text.partition("\n## Index\n")[2].partition("\n## 1. ")[0]

    assert text.count("\n## ") == len(numbers) + 1  # all but the index are entries
    assert numbers == list(range(1, len(numbers) + 1))
    assert sorted(int(n) for n in re.findall(r"\[(\d+) [^]]+\]\(#", index)) == numbers


def test_every_entry_has_options_and_a_decision(text: str) -> None:
    entries = re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]

    assert [
        entry.splitlines()[0]
        for entry in entries
        if "- **Options:**" not in entry or "- **Decision:**" not in entry
    ] == []
