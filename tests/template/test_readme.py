"""README's tables say what the code and the template say."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.gpw import secret
from ingest.secret import REREAD_SECONDS
from tests.template.written import written_metrics

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ["ingest", "consumer", "publisher", "hydrator"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, list[str]]:
    """The first table under a heading: the further cells by what the first has in backquotes."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if "|" in line]
    return {
        first.replace("*", "").strip().strip("`"): [cell.strip() for cell in rest]
        for first, *rest in rows[2:]
    }


def test_the_configuration_table_lists_every_parameter_with_its_default(
    template: dict[str, Any],
) -> None:
    written = {name: cells[0].strip("`") for name, cells in table("Configuration").items()}

    assert written == {n: str(p["Default"]) for n, p in template["Parameters"].items()}


def test_the_metrics_table_lists_every_metric_that_is_emitted_and_no_other() -> None:
    assert set(table("Metrics")) == set().union(*map(written_metrics, FUNCTIONS))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?\bmake ([a-z]+)\b", README))))
def test_every_make_target_in_the_readme_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_to_a_file_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_documents_say_how_soon_a_new_secret_works_and_what_wrong_ones_cost() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    cents_an_hour = 3600 / REREAD_SECONDS * 5 / 10_000  # the list price of 10,000 calls: 5 cents

    assert secret.put.__doc__ is not None
    for text in (README, security, secret.put.__doc__):
        assert f"within {REREAD_SECONDS} seconds" in text
    assert f"{cents_an_hour:.1f} cents an hour" in security
