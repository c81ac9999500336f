"""Adds the template to the wheel, because `gpw cost` reads it.

Hatchling runs this build hook. Its option `force-include` would also copy the template into
editable installs, where the copy would become outdated.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TemplateBuildHook(BuildHookInterface[Any]):
    """Adds template.yaml to a standard build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files before the build. version: `standard`, or `editable`."""
        if version == "standard":
            build_data["force_include"]["template.yaml"] = "infra/template.yaml"
