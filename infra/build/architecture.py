"""Writes template.yaml for another processor, for `sam build --template`.

Usage: python -m infra.build.architecture PROCESSOR FILE    (`make build ARCHITECTURE=x86_64`)

A template names its functions' processor itself, and `sam build` copies it beside the packages that
it compiled for that processor. So whatever is deployed afterwards, in whatever order, fits.
"""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

from gpw.stack.template import parse_template

type Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
PROCESSORS = ("arm64", "x86_64")
PATHS = {"CodeUri", "TemplateURL"}  # the properties of template.yaml that name a local file


def for_processor(template: Json, processor: str, folder: Path) -> Json:
    """The template with this processor, and with absolute paths, so that it can lie anywhere.

    processor: one of PROCESSORS. folder: the one that the template's paths start from.
    """
    changed = deepcopy(template)
    shared = changed.get("Globals", {}).get("Function", {})
    # `sam build` replaces the path of each function, but leaves that of all of them as it is.
    code = {"CodeUri": shared.pop("CodeUri")} if "CodeUri" in shared else {}
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"] = code | resource["Properties"]
    properties = [one.get("Properties", {}) for one in changed["Resources"].values()]
    for one in (shared, *properties):
        if "Architectures" in one:
            one["Architectures"] = [processor]
        for path in PATHS & one.keys():
            one[path] = str((folder / one[path]).resolve())
    return changed


def write(source: Path, processor: str, target: Path) -> Path:
    """Write the template of `source`, a file, for a processor to `target`, and return that."""
    template = parse_template(source.read_text(encoding="utf-8"))
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(for_processor(template, processor, source.parent), indent=2)
    target.write_text(text, encoding="utf-8")  # JSON is YAML, too
    return target


def main(arguments: list[str]) -> int:
    processor = arguments[0] if arguments else ""
    if processor not in PROCESSORS:
        sys.exit(f"ARCHITECTURE={processor} is not one of {', '.join(PROCESSORS)}")
    write(ROOT / "template.yaml", processor, Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
