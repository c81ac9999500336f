"""Puts the template into the wheel, beside the code that reads it (`gpw cost`).

Hatchling calls this. Its `force-include` would copy the template into editable installs too, where
the copy grows old.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Template(BuildHookInterface[Any]):
    """A build hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files before the build. version: `standard`, or `editable`."""
        if version == "standard":
            build_data["force_include"]["template.yaml"] = "infra/template.yaml"
