"""What a release consists of, and the workflows that test and deploy it."""

import os
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse

from infra.build import release

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml_parse(workflow.read_text("utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_the_template_has_the_version_of_the_package() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))

    assert template["Metadata"]["GetProfileWebhooks"]["Version"] == VERSION


def test_the_changelog_tells_what_is_in_the_version_or_comes_with_it() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert headings[0] == "Unreleased" or headings[0].startswith(f"{VERSION} · ")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_the_targets_that_a_developer_runs(workflow: Path) -> None:
    commands = [step["run"].split() for step in steps(workflow) if "run" in step]

    assert commands
    assert {program for program, *_ in commands} == {"make"}
    assert {target for _, target, *_ in commands} <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_uses_actions_by_commit_and_names_their_version(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text("utf-8"))

    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", one)] == []


# ---------------------------------------------------------------- the files of a release


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One whose version is 1.2.3, with a changelog of it and of the one before."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n## 1.2.3 · 2026-11-24\n\n### Added\n\n- This.\n\n"
        "## 1.2.2 · 2026-11-01\n\n- That.\n"
    )
    return tmp_path


def test_only_a_tag_that_names_the_version_and_is_in_the_changelog_is_released(
    repository: Path,
) -> None:
    assert release.released_version(repository, "v1.2.3") == "1.2.3"
    with pytest.raises(release.ReleaseError, match=r"has version 1\.2\.3"):
        release.released_version(repository, "v1.2.4")
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- This.\n")
    with pytest.raises(release.ReleaseError, match="move the entries under Unreleased"):
        release.released_version(repository, "v1.2.3")


def test_a_release_is_described_by_its_own_section_of_the_changelog(repository: Path) -> None:
    assert release.notes(repository, "1.2.3") == "### Added\n\n- This.\n"
    assert release.notes(repository, "1.2.2") == "- That.\n"


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    made: list[bytes] = []
    for name in ("first", "second"):
        folder = tmp_path / name / "build"
        (folder / "deep").mkdir(parents=True)
        for path in ("deep/b", "a") if name == "first" else ("a", "deep/b"):
            (folder / path).write_text(path)
            os.utime(folder / path, (len(made), len(made) + 1_000_000_000))
        archive = tmp_path / name / "stack-1.zip"
        made.append(release.pack(folder, archive, []).read_bytes())

    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "first" / "stack-1.zip") as packed:
        assert packed.namelist() == ["stack-1/a", "stack-1/deep/b"]


def test_an_archive_can_be_deployed_for_its_own_processor_alone() -> None:
    parameter = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Parameters"]
    built = yaml.safe_dump({"Parameters": parameter, "Resources": {}}, sort_keys=False)

    changed = yaml.safe_load(release.for_processor(built, "x86_64"))["Parameters"]

    assert changed.pop("Architecture")["AllowedValues"] == ["x86_64"]
    assert changed == {name: one for name, one in parameter.items() if name != "Architecture"}
