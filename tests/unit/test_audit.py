"""The dependency audit: a vulnerability fails the check, and a missing answer is reported."""

from typing import Any

import pytest

from infra.build import audit

CLEAN = {"name": "pydantic", "version": "2.13.5", "vulns": []}
VULNERABLE = {"name": "jmespath", "version": "0.1", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}
SKIPPED = {"name": "powertools", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ({"dependencies": [CLEAN]}, 0, "No known vulnerability in the runtime dependencies\n"),
        (
            {"dependencies": [CLEAN, VULNERABLE]},
            1,
            "Vulnerable: jmespath 0.1: PYSEC-1\nVulnerable: jmespath 0.1: CVE-2\n",
        ),
        (
            {"dependencies": [CLEAN, SKIPPED]},
            0,
            "SKIPPED, the advisory service did not answer for: powertools\n",
        ),
        (None, 0, "SKIPPED, the advisory service did not answer for: all packages\n"),
    ],
)
def test_a_vulnerability_fails_the_check_and_unchecked_packages_are_named(
    report: dict[str, Any] | None,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "audit", lambda: report)

    assert audit.main() == code
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("output", "report"), [('{"dependencies": []}', {"dependencies": []}), ("no route", None)]
)
def test_output_that_is_not_json_is_no_report(
    output: str, report: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Done:
        stdout = output

    monkeypatch.setattr("subprocess.run", lambda *_args, **_options: Done)

    assert audit.audit() == report
