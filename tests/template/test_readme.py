"""The documents' tables and links say what the code, the template and the files say."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from gpw.commands.secret.set import put
from gpw.operations.settling import REFUSED_SECONDS
from infra.build.reference import reference
from receiver.ingest.hold_budget import HoldBudget
from receiver.ingest.secret import REREAD_SECONDS
from tests.template.written import written_metrics

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ["ingest", "consumer", "publisher", "hydrator"]
DOCUMENTS = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def found_in_documents(pattern: str) -> list[tuple[Path, str]]:
    return [
        (path, found)
        for path in DOCUMENTS
        for found in sorted(set(re.findall(pattern, path.read_text(encoding="utf-8"))))
    ]


def table(heading: str) -> dict[str, list[str]]:
    """The first table under a heading: the further cells by what the first has in backquotes."""
    section = REFERENCE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if "|" in line]
    return {
        first.replace("*", "").strip().strip("`"): [cell.strip() for cell in rest]
        for first, *rest in rows[2:]
    }


def test_the_generated_tables_are_those_of_template_and_code() -> None:
    hint = "run: make docs"

    assert reference(REFERENCE) == REFERENCE, hint


def test_the_table_of_parameters_lists_every_parameter_with_its_default(
    template: dict[str, Any],
) -> None:
    written = {name: cells[0].strip("`") for name, cells in table("Parameters").items()}

    assert written == {n: str(p["Default"]) for n, p in template["Parameters"].items()}


def test_the_metrics_table_lists_every_metric_that_is_emitted_and_no_other() -> None:
    assert set(table("Metrics")) == set().union(*map(written_metrics, FUNCTIONS))


@pytest.mark.parametrize(
    ("path", "target"), found_in_documents(r"(?:`|\n)make ([a-z]+)(?:`| +#| [A-Z]+=|\n)"), ids=str
)
def test_every_make_target_in_a_document_exists(path: Path, target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{target}:", makefile, re.MULTILINE), path.name


def test_every_module_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = text.split("## Follow one event")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+/\w+\.py)`", walk)
    handlers = re.findall(r"`([\w.]+)\.lambda_handler`", walk)

    assert named
    assert [one for one in named if not (ROOT / "functions" / "receiver" / one).exists()] == []
    assert handlers == ["receiver.ingest.handler"]  # as in template.yaml


@pytest.mark.parametrize(("path", "link"), found_in_documents(r"\]\((?!https?:)([^)]+)\)"), ids=str)
def test_every_link_in_a_document_leads_somewhere(path: Path, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path

    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}

        assert anchor in slugs


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def test_the_documents_say_how_soon_a_new_secret_works_and_what_wrong_ones_cost() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    cents_an_hour = 3600 / REREAD_SECONDS * 5 / 10_000  # the list price of 10,000 calls: 5 cents

    assert put.__doc__ is not None
    deploy = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for text in (deploy, security, put.__doc__):
        assert f"within {REREAD_SECONDS} seconds" in text
    assert f"{cents_an_hour:.1f} cents an hour" in security


def test_the_documents_say_how_long_a_release_waits_and_how_many_deliveries_of_one_key_are_held(
    template: dict[str, Any],
) -> None:
    waits = f"some {math.ceil(REFUSED_SECONDS)} seconds"
    per_minute = template["Parameters"]["HeldDeliveriesPerMinute"]["Default"]
    budget = HoldBudget(per_minute, lambda: 0.0)
    of_one_key = sum(budget.take("0f" * 32) for _ in range(per_minute))
    texts = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in (
            "README.md",
            "SECURITY.md",
            "docs/deploy.md",
            "docs/operations.md",
            "docs/architecture.md",
        )
    }

    for name in ("SECURITY.md", "docs/deploy.md", "docs/operations.md"):
        assert waits in texts[name]
    assert f"up to {of_one_key} per minute and worker" in texts["README.md"]
    assert f"holds {of_one_key} deliveries with one key" in texts["docs/operations.md"]
    assert f"three quarters: {of_one_key} a minute" in texts["docs/architecture.md"]


# ---------------------------------------------------------------- what nobody has documented

# GetProfile documents neither retries nor a way to request a redelivery. And an event that was not
# accepted is lost.
_SENDER = r"(?<!whether )(?:\bGetProfile|\b[Tt]he sender)"
_ALSO = r"(?:then |always |will |must |should |has to )?"
_AGAIN = r"(?:retry|retries|resends?|repeats?|redelivers?|gives up|tries again|sends? \w+ again)"
UNDOCUMENTED = re.compile(
    rf"{_SENDER}(?:'s retr(?:y|ies)| {_ALSO}{_AGAIN})\b"
    r"|\bask GetProfile to (?:re)?(?:send|deliver)"
    r"|\bloses (?:no events?\b|none\b)(?! that)"
)
TEXTS = [
    *(path for path in DOCUMENTS if path.name not in {"decisions.md", "CHANGELOG.md"}),  # records
    *(ROOT / name for name in ("template.yaml", "pyproject.toml", "infra/openapi.yaml")),
    *sorted((ROOT / "infra").rglob("*.yaml")),
    *sorted((ROOT / "functions").rglob("*.py")),
    *sorted((ROOT / "infra").rglob("*.py")),
    *sorted((ROOT / "infra" / "gpw" / "console" / "templates").glob("*.html")),
    *sorted((ROOT / ".github").rglob("*.yml")),
]


def prose(text: str) -> str:
    """A file's text in one line, without marks of comments and quotes: a claim may be wrapped."""
    return re.sub(r'[\s#"]+', " ", text)


@pytest.mark.parametrize(
    ("text", "is_claim"),
    [
        ("otherwise 503, and GetProfile retries", True),
        ("and the sender\n    # retries.", True),
        ("The sender's retry is a duplicate", True),
        ("so GetProfile must send them again", True),
        ("Ask for it, or ask GetProfile to send the missing ones again", True),
        ("It receives webhooks, loses no event, and answers", True),
        ("It loses no event that it has accepted", False),
        ("GetProfile does not document whether it retries", False),
        ("Nobody knows whether GetProfile retries", False),
        ("the sender gets 429", False),
    ],
)
def test_a_claim_about_retries_is_recognized(text: str, is_claim: bool) -> None:
    assert bool(UNDOCUMENTED.search(prose(text))) == is_claim


def test_no_text_claims_that_getprofile_delivers_an_event_again_or_that_no_event_is_lost() -> None:
    claims = {
        str(path.relative_to(ROOT)): found
        for path in TEXTS
        if (found := UNDOCUMENTED.findall(prose(path.read_text(encoding="utf-8"))))
    }

    assert claims == {}
