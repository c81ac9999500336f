"""Adds templates and documents to the wheel: `gpw cost`, `gpw ui` and `gpw mcp` read them.

Hatchling runs this build hook. Its option `force-include` would also copy the files into editable
installs, where the copies would become outdated.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TemplateBuildHook(BuildHookInterface[Any]):
    """Adds the files to a standard build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files before the build. version: `standard`, or `editable`."""
        if version == "standard":
            for path in ("template.yaml", "infra/monitoring.yaml"):
                build_data["force_include"][path] = f"gpw/data/{PurePosixPath(path).name}"
            docs = Path(self.root, "docs")
            for found in (*docs.glob("*.md"), *docs.joinpath("schema").iterdir()):
                path = found.relative_to(self.root).as_posix()
                build_data["force_include"][path] = f"gpw/data/{path}"
