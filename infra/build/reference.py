"""Generates the tables of docs/reference.md from the template and from gpw.

Usage: python -m infra.build.reference    (a part of `make docs`)
"""

import sys
from pathlib import Path
from typing import Any

from gpw.cli.table import loaded
from gpw.stack.template import parse_template
from infra.blocks import with_block

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference.md"


def reference(text: str) -> str:
    """The document with renewed tables."""
    template = parse_template((ROOT / "template.yaml").read_text("utf-8"))
    for name, table in {
        "commands": commands(),
        "parameters": parameters(template),
        "outputs": outputs(template),
    }.items():
        text = with_block(text, name, table)
    return text


def parameters(template: dict[str, Any]) -> str:
    rows = [
        f"| `{name}` | `{one['Default']}` | {one['Description']} |"
        for name, one in template["Parameters"].items()
    ]
    return "\n".join(["| parameter | default | meaning |", "|---|---|---|", *rows, ""])


def outputs(template: dict[str, Any]) -> str:
    rows = [
        f"| `{name}` | {one['Description']}{_condition(one)} |"
        for name, one in template["Outputs"].items()
    ]
    return "\n".join(["| output | holds |", "|---|---|", *rows, ""])


def _condition(output: dict[str, Any]) -> str:
    return " Only with `HydrateProfiles`." if output.get("Condition") == "Hydrate" else ""


def commands() -> str:
    rows = []
    for words, command in loaded().items():
        arguments = [
            str(one.name).upper()
            for one in command.params
            if one.param_type_name == "argument" and one.required
        ]
        line = " ".join(["gpw", words, *arguments])
        summary = str(command.help).split("\n\n", 1)[0].replace("|", "\\|")
        rows.append(f"| `{line}` | {summary} |")
    return "\n".join(["| command | does |", "|---|---|", *rows, ""])


def main() -> int:
    REFERENCE.write_text(reference(REFERENCE.read_text("utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
