"""docs/decisions.md can be cited by number."""

import re
from pathlib import Path

import pytest

ENTRY = re.compile(r"^### (\d+)\. .+\?$", re.MULTILINE)


@pytest.fixture
def text(repository: Path) -> str:
    return (repository / "docs" / "decisions.md").read_text("utf-8")


def test_each_entry_has_a_number_of_its_own_and_is_in_the_index_once(text: str) -> None:
    numbers = sorted(map(int, ENTRY.findall(text)))
    index = text.partition("\n## Index\n")[2].partition("\n## ")[0]

    assert text.count("\n### ") == len(numbers)
    assert len(set(numbers)) == len(numbers)
    assert sorted(map(int, re.findall(r"\[(\d+) [^]]+\]\(#", index))) == numbers


def test_every_entry_has_a_date_options_and_a_decision(text: str) -> None:
    entries = re.split(r"^### \d+\. ", text, flags=re.MULTILINE)[1:]
    parts = ("- **Decided:** 2", "- **Options:**", "- **Decision:**", "- **Why:**")

    assert [
        entry.splitlines()[0] for entry in entries if any(part not in entry for part in parts)
    ] == []


def test_a_decision_that_a_source_cites_exists(repository: Path, text: str) -> None:
    cited = {
        int(number)
        for folder in ("functions", "infra", "tests")
        for path in (repository / folder).rglob("*.py")
        for number in re.findall(r"docs/decisions\.md, (\d+)", path.read_text("utf-8"))
    }

    assert cited <= set(map(int, ENTRY.findall(text)))
