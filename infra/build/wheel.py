"""Puts files into the wheel, beside the code that reads them (`gpw cost`, `gpw ui`).

Hatchling calls this. Its `force-include` would copy them into editable installs too, where the
copies grow old.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Files(BuildHookInterface[Any]):
    """A build hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files before the build. version: `standard`, or `editable`."""
        if version == "standard":
            build_data["force_include"]["template.yaml"] = "infra/template.yaml"
            build_data["force_include"]["docs/operations.md"] = "infra/operations.md"
