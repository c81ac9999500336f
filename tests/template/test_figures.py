"""The generated tables of costs, limits and simulations are up to date."""

import re
from pathlib import Path

import pytest

from infra.bench.queue_model import simulated
from infra.bench.simulate import cases, documents, picture_name
from infra.blocks import with_block

ROOT = Path(__file__).resolve().parents[2]


def test_every_table_is_the_one_that_make_simulate_writes() -> None:
    results = {
        case.name: {label: simulated(scenario) for label, scenario in case.variants.items()}
        for case in cases()
    }

    stale = [
        path
        for path, text in documents(results).items()
        if text != (ROOT / path).read_text(encoding="utf-8")
    ]
    assert stale == [], "run: make simulate"


def test_the_page_shows_every_chart_of_the_simulation() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\((simulation-[\w-]+\.svg)\)", page))

    assert shown == {picture_name(case) for case in cases()}
    assert all((ROOT / "docs" / name).exists() for name in shown)


def test_a_document_without_the_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="no block cost"):
        with_block("text\n", "cost", "table\n")
