"""How `make setup` gets its tools, on machines made of fake programs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOG = 'echo "${0##*/} $*" >> "$LOG"\n'
# Makes an environment whose Python keeps what pip reads, and whose uv logs its calls.
PYTHON = f"""{LOG}
mkdir -p .uv/bin
printf '#!/bin/sh\\ncat > .uv/pip\\n' > .uv/bin/python
printf '#!/bin/sh\\n%s\\n' 'echo "own uv $*" >> "$LOG"' > .uv/bin/uv
chmod +x .uv/bin/python .uv/bin/uv
"""


@dataclass
class Machine:
    """A clone of the repository, and a PATH with a shell's tools and what a test puts there."""

    clone: Path
    programs: Path

    def has(self, name: str, script: str = LOG) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    def setup(self, *variables: str) -> list[str]:
        """Run `make setup`. Returns: the calls of the fake programs."""
        log = self.clone / "log"
        subprocess.run(
            [self.programs / "make", "setup", *variables],
            cwd=self.clone,
            env={"PATH": str(self.programs), "LOG": str(log)},
            check=True,
        )
        return log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "clone", tmp_path / "bin")
    for folder in (machine.clone / ".venv", machine.programs):
        folder.mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "uv.lock", "pyproject.toml", ".python-version"):
        shutil.copy(ROOT / name, machine.clone)
    for name in ("make", "sh", "sed", "touch", "mkdir", "chmod", "cat"):
        found = shutil.which(name, path=os.defpath)
        assert found, name
        (machine.programs / name).symlink_to(found)
    machine.has("sam")
    return machine


def test_the_environment_is_that_of_the_lock(machine: Machine) -> None:
    machine.has("uv")

    assert machine.setup() == ["uv sync --quiet --frozen --compile-bytecode"]


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_a_mirror_installs_from_the_export_because_the_lock_names_the_files_of_pypi(
    variable: str, machine: Machine
) -> None:
    machine.has("uv")

    calls = machine.setup(f"{variable}=https://mirror.example/simple")

    assert calls == [
        "uv venv --quiet --allow-existing",
        "uv pip sync --quiet requirements.txt",
        "uv sync --quiet --frozen --compile-bytecode",
    ]


def test_a_machine_without_uv_gets_the_locked_version_with_its_hashes(machine: Machine) -> None:
    machine.has("python3", PYTHON)

    calls = machine.setup()

    assert calls == ["python3 -m venv .uv", "own uv sync --quiet --frozen --compile-bytecode"]
    pinned, *hashes = (machine.clone / ".uv" / "pip").read_text().splitlines()
    assert pinned.startswith("uv==")
    assert hashes
    assert [line for line in hashes if not line.startswith("    --hash=sha256:")] == []


def test_without_sam_on_path_it_is_installed_beside_the_project(machine: Machine) -> None:
    machine.has("uv", f"{LOG}mkdir -p .tools/bin\n")
    (machine.programs / "sam").unlink()

    sync, tool = machine.setup()

    assert (sync.split()[1], tool.split()[1:3]) == ("sync", ["tool", "install"])
    assert "aws-sam-cli==" in tool
