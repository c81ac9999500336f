"""Check the runtime dependencies for known vulnerabilities.

Usage: python infra/build/audit.py    (part of `make check`)

Exits 1 if it finds one. If the advisory service does not answer for a package, it prints that and
exits 0, so that a machine without access to the service can still run the other checks.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Of the functions, and of the example that has any.
REQUIREMENTS = (
    ROOT / "functions" / "requirements.txt",
    ROOT / "infra" / "examples" / "postgres" / "function" / "requirements.txt",
)


def audit() -> dict[str, Any] | None:
    """pip-audit's report on the deployed packages, or None if the service could not be reached."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"),
            *(word for path in REQUIREMENTS for word in ("--requirement", str(path))),
            *("--no-deps", "--disable-pip"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return None
    return report


def verdict(report: dict[str, Any] | None) -> tuple[list[str], list[str]]:
    """Read a report. Returns: known vulnerabilities; packages that could not be checked."""
    if report is None:
        return [], ["all packages"]
    vulnerable = [
        f"{package['name']} {package['version']}: {found['id']}"
        for package in report["dependencies"]
        for found in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in report["dependencies"] if "skip_reason" in package]
    return vulnerable, skipped


def main() -> int:
    vulnerable, skipped = verdict(audit())
    for line in vulnerable:
        print(f"Vulnerable: {line}")
    if skipped:
        print(f"SKIPPED, the advisory service did not answer for: {', '.join(skipped)}")
    elif not vulnerable:
        print("No known vulnerability in the runtime dependencies")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
