"""`make bench` uses the template's settings."""

from pathlib import Path
from typing import Any

from infra.bench import logs
from infra.bench.environment import FUNCTION_ENVIRONMENT
from infra.bench.workloads import BATCH


def test_a_full_batch_has_the_size_of_the_template(template: dict[str, Any]) -> None:
    [source] = template["Resources"]["ConsumerFunction"]["Properties"]["Events"].values()

    assert source["Properties"]["BatchSize"] == BATCH


def test_the_functions_get_every_variable_that_the_template_sets(
    template: dict[str, Any],
) -> None:
    common = template["Globals"]["Function"]["Environment"]["Variables"]
    expected = {name for name, value in common.items() if value != {"Ref": "AWS::NoValue"}}
    for function in logs.FUNCTIONS:
        properties = template["Resources"][function]["Properties"]
        expected |= properties["Environment"]["Variables"].keys()

    assert expected <= FUNCTION_ENVIRONMENT.keys()


def test_every_variable_of_the_access_log_has_a_known_value(template: dict[str, Any]) -> None:
    assert "$context" not in logs.access_line(template)


def test_the_published_benchmarks_have_every_section(repository: Path) -> None:
    text = (repository / "docs" / "performance.md").read_text("utf-8")

    section = text.partition("\n## Speed\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("### ")] == [
        f"### {title}" for title in ("Work", "Time", "Consumer", "Logs", "Artifact", "End to end")
    ]
