"""The dependency audit: a vulnerability fails the check, and a missing answer is reported."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "build" / "audit.sh"
CLEAN = "No known vulnerabilities found"
VULNERABLE = "Found 2 known vulnerabilities in 1 package\njmespath 0.1  PYSEC-1"
UNKNOWN = "pydantic  Dependency not found on PyPI and could not be audited: pydantic (2.13.5)"
UNREACHABLE = "Traceback (most recent call last):\nProxyError: Unable to connect to proxy"


@pytest.mark.parametrize(
    ("output", "ended", "code", "skipped"),
    [
        (CLEAN, 0, 0, False),
        (VULNERABLE, 1, 1, False),
        (f"{VULNERABLE}\n{UNKNOWN}", 1, 1, False),
        (f"{CLEAN}\n{UNKNOWN}", 0, 0, True),
        (UNREACHABLE, 1, 0, True),
    ],
)
def test_a_vulnerability_fails_the_check_and_a_missing_answer_is_reported(
    output: str, ended: int, code: int, skipped: bool, tmp_path: Path
) -> None:
    pip_audit = tmp_path / "pip-audit"
    pip_audit.write_text(f"cat >&2 <<'END'\n{output}\nEND\nexit {ended}\n")

    ran = subprocess.run(
        ["sh", SCRIPT, "sh", pip_audit], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, "SKIPPED" in ran.stdout) == (code, skipped)
    assert output.splitlines()[-1] in ran.stdout
