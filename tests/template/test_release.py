"""What a release consists of, and the workflows that test and deploy it."""

import json
import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from infra.build import release
from infra.build.architecture import PROCESSORS
from tests.template.clones import clone
from tests.template.test_artifact import MACHINE

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


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml_parse(workflow.read_text("utf-8"))["jobs"]
    return found


def test_only_the_job_that_needs_a_right_to_write_has_it() -> None:
    shared = {one.name: yaml_parse(one.read_text("utf-8"))["permissions"] for one in WORKFLOWS}
    writing = {
        (workflow.name, name, right)
        for workflow in WORKFLOWS
        for name, job in jobs(workflow).items()
        for right, level in job.get("permissions", {}).items()
        if level != "read"
    }

    assert [one for one in shared.values() if one != {"contents": "read"}] == []
    assert writing == {
        ("release.yml", "publish", "contents"),
        ("deploy.yml", "deploy", "id-token"),
    }


def test_what_writes_runs_no_test_and_only_after_all_of_them() -> None:
    publish = jobs(ROOT / ".github" / "workflows" / "release.yml")["publish"]
    commands = [step["run"] for step in publish["steps"] if "run" in step]

    assert commands == ["make release PUBLISH=1"]
    assert publish["needs"] == "test"


def test_the_token_that_writes_is_in_one_step_and_not_in_the_checkout() -> None:
    every = [(workflow.name, step) for workflow in WORKFLOWS for step in steps(workflow)]
    with_token = [name for name, step in every if "GH_TOKEN" in step.get("env", {})]
    checkouts = [s["with"] for _, s in every if s.get("uses", "").startswith("actions/checkout@")]

    assert with_token == ["release.yml"]
    assert len(checkouts) == sum(len(jobs(workflow)) for workflow in WORKFLOWS)
    assert [one for one in checkouts if one["persist-credentials"] is not False] == []


def test_a_deployment_takes_main_alone_and_an_environment_that_the_role_trusts() -> None:
    deploy = jobs(ROOT / ".github" / "workflows" / "deploy.yml")["deploy"]
    document = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    blocks = re.findall(r"^ *```json\n(.*?)^ *```$", document, re.DOTALL | re.MULTILINE)
    [policy] = [one for one in blocks if "oidc-provider" in one]
    [statement] = json.loads(policy)["Statement"]
    trusted = statement["Condition"]["StringEquals"]
    issuer = "token.actions.githubusercontent.com"

    assert deploy["if"].startswith("github.ref == 'refs/heads/main' && ")
    assert trusted == {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": f"repo:OWNER/REPOSITORY:environment:{deploy['environment']}",
    }
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"


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


# ---------------------------------------------------------------- what git says


def git(folder: Path, *arguments: str) -> None:
    """Run git, whatever the user's own configuration says."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(
        ["git", *identity, "-c", "commit.gpgsign=false", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def committed(repository: Path) -> Path:
    """A clone with a module of the functions, whose commit has the tag v1.2.3."""
    (repository / "functions").mkdir()
    (repository / "functions" / "ours.py").write_text("COMMITTED = True\n")
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "All")
    git(repository, "tag", "v1.2.3")
    return repository


def exported(repository: Path, tag: str | None, target: Path) -> dict[str, str]:
    """The text of each file that a release would be made from."""
    release.export(repository, tag, target)
    files = [path for path in target.rglob("*") if path.is_file()]
    return {str(path.relative_to(target)): path.read_text("utf-8") for path in files}


def test_a_release_is_made_from_the_files_of_its_tag(committed: Path, tmp_path: Path) -> None:
    files = exported(committed, "v1.2.3", tmp_path / "out")

    assert files.keys() == {"pyproject.toml", "CHANGELOG.md", "functions/ours.py"}


def test_a_tag_that_does_not_exist_is_not_released(committed: Path, tmp_path: Path) -> None:
    git(committed, "tag", "--delete", "v1.2.3")

    with pytest.raises(release.ReleaseError, match=r"There is no tag v1\.2\.3"):
        release.export(committed, "v1.2.3", tmp_path / "out")


def test_a_tag_of_another_commit_is_not_released(committed: Path, tmp_path: Path) -> None:
    git(committed, "commit", "--quiet", "--allow-empty", "--message", "Later")

    with pytest.raises(release.ReleaseError, match="not what is checked out"):
        release.export(committed, "v1.2.3", tmp_path / "out")


@pytest.mark.parametrize("name", ["functions/ours.py", "functions/untracked.py"])
def test_a_tree_that_differs_from_its_tag_is_not_released(
    committed: Path, name: str, tmp_path: Path
) -> None:
    (committed / name).write_text("CHANGED = True\n")

    with pytest.raises(release.ReleaseError, match=name):
        release.export(committed, "v1.2.3", tmp_path / "out")


def test_a_trial_takes_tracked_files_as_they_are_now_and_no_untracked_one(
    committed: Path, tmp_path: Path
) -> None:
    (committed / "functions" / "ours.py").write_text("CHANGED = True\n")
    (committed / "functions" / "untracked.py").touch()
    (committed / "functions" / "link.py").symlink_to("/etc/hostname")

    files = exported(committed, None, tmp_path / "out")

    assert files["functions/ours.py"] == "CHANGED = True\n"
    assert {name for name in files if name.startswith("functions/")} == {"functions/ours.py"}


def test_what_a_committed_link_points_to_is_not_released(committed: Path, tmp_path: Path) -> None:
    (committed / "functions" / "link.py").symlink_to("/etc/hostname")
    git(committed, "add", "--all")
    git(committed, "commit", "--quiet", "--message", "A link")
    git(committed, "tag", "--force", "v1.2.3")

    with pytest.raises(release.ReleaseError, match=r"symbolic links: functions/link\.py"):
        release.export(committed, "v1.2.3", tmp_path / "out")


# ---------------------------------------------------------------- the same bytes

MAKE = """
import sys
from pathlib import Path
from infra.build import release
release.make(release.ROOT, Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What two clones of this repository made, each in a directory and with a Python of its own."""
    made: list[Path] = []
    for name in ("first", "second-with-a-longer-name"):
        folder = tmp_path_factory.mktemp(name)
        sources = folder / "sources"
        subprocess.run(
            [clone(sources), "-c", MAKE, folder / "dist"],
            check=True,
            cwd=sources,
            env=os.environ | {"PYTHONPATH": str(sources), "PYTHONHASHSEED": str(len(made) + 1)},
        )
        made.append(folder / "dist")
    return made


def test_two_clones_in_two_directories_make_the_same_bytes(released: list[Path]) -> None:
    first, second = ((folder / release.SUMS).read_text("utf-8") for folder in released)

    assert first.count("\n") == len(PROCESSORS) + 1
    assert first == second


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_archive_is_deployed_for_the_processor_it_was_built_for(
    released: list[Path], processor: str
) -> None:
    name = f"getprofile-webhooks-{VERSION}-{processor}"
    with zipfile.ZipFile(released[0] / f"{name}.zip") as packed:
        template = yaml_parse(packed.read(f"{name}/template.yaml").decode())
        compiled = [Path(one).name for one in packed.namelist() if one.endswith(".so")]
        text = b"".join(packed.read(one) for one in packed.namelist())

    assert template["Globals"]["Function"]["Architectures"] == [processor]
    assert "Architecture" not in template["Parameters"]
    assert compiled
    assert [one for one in compiled if f"-{MACHINE[processor]}-linux" not in one] == []
    assert str(released[0].parent).encode() not in text
