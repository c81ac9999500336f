"""Clones of this repository, in directories of their own."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from infra.build import release

ROOT = Path(__file__).resolve().parents[2]


def clone(folder: Path) -> Path:
    """What git holds of this repository, set up as `make setup` does. Returns: its Python.

    The environment is one of its own, with the packages of this one, so that nothing is downloaded.
    """
    release.export(ROOT, None, folder)
    environment = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    paths = (sysconfig.get_path("purelib"), folder / "functions", folder / "infra")
    (packages / "shared.pth").write_text("\n".join(map(str, paths)))
    (environment / "bin" / "uv").symlink_to(Path(sys.executable).with_name("uv"))
    if (tools := ROOT / ".tools").exists():
        (folder / ".tools").symlink_to(tools)
    return environment / "bin" / "python"
