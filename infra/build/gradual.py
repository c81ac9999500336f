"""Make a SAM build shift its traffic gradually, and roll back if an alarm is raised.

Usage: python infra/build/gradual.py TYPE [BUILD_DIR]    (after `sam build`)

It adds an alias and a deployment preference to IngestFunction and ConsumerFunction. It changes only
the built template, because SAM can't make an alias depend on a parameter. A permanent alias would
stop changed parameters from reaching the functions (docs/decisions.md, 23).
"""

import json
import secrets
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

from gpw.stack.template import parse_template

type Json = dict[str, Any]

# CodeDeploy's types, without those that end before an alarm has had its 15 minutes.
TYPES = (
    "Canary10Percent15Minutes",
    "Canary10Percent30Minutes",
    "Linear10PercentEvery2Minutes",
    "Linear10PercentEvery3Minutes",
    "Linear10PercentEvery10Minutes",
)
# By name, because a reference would be circular: the alarms' stack refers to the API, which refers
# to the alias.
ALARMS = {
    "IngestFunction": ("ingest-failed", "ingest-slow", "ingest-throttled"),
    "ConsumerFunction": ("consumer-errors", "oldest-event"),
}


def gradual(template: Json, kind: str, deployment: str) -> Json:
    """A SAM template whose functions in ALARMS are deployed gradually.

    kind: one of TYPES. deployment: unique hexadecimal digits. They make each deployment publish a
    new version, even if only a parameter has changed.
    """
    changed = deepcopy(template)
    for name, alarms in ALARMS.items():
        changed["Resources"][name]["Properties"] |= {
            "AutoPublishAlias": "live",
            "AutoPublishCodeSha256": deployment,
            "DeploymentPreference": {
                "Type": kind,
                "Alarms": [{"Fn::Sub": f"${{AWS::StackName}}-{alarm}"} for alarm in alarms],
            },
        }
    return changed


def main(arguments: list[str]) -> int:
    kind = arguments[0] if arguments else ""
    if kind not in TYPES:
        sys.exit(f"{kind or 'nothing'} is not a known type; choose one of {', '.join(TYPES)}")
    path = Path(arguments[1] if len(arguments) > 1 else ".aws-sam/build") / "template.yaml"
    if not path.is_file():
        sys.exit(f"{path.parent} is not a SAM build: run `sam build` first")
    changed = gradual(parse_template(path.read_text("utf-8")), kind, secrets.token_hex(8))
    path.write_text(json.dumps(changed, indent=2), encoding="utf-8")  # JSON is YAML, too
    print(f"{' and '.join(ALARMS)} will be deployed with {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
