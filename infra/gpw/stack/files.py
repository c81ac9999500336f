"""The files that gpw reads: those of the repository, or those that the wheel brings."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_DATA = _PACKAGE / "data"  # only in the wheel: see [tool.hatch] in pyproject.toml

INSTALLED = _DATA.is_dir()
ROOT = _PACKAGE.parents[1]  # the repository, unless INSTALLED

TEMPLATE = (_DATA if INSTALLED else ROOT) / "template.yaml"
MONITORING = (_DATA if INSTALLED else ROOT / "infra") / "monitoring.yaml"
DOCS = (_DATA if INSTALLED else ROOT) / "docs"
RUNBOOK = DOCS / "operations.md"
