"""What every layer of tests shares: how hypothesis searches, AWS's models, the closing figures."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.hooks
import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from infra import chromium
from tests.groups import GroupScheduling

# The same examples in every run, and nothing kept between two runs: a test that fails, fails for
# everyone. `HYPOTHESIS_PROFILE=thorough` searches on, with other examples each time.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make unit` is for while you write: a quarter of the examples.
settings.register_profile("quick", settings.get_profile("default"), max_examples=25)
settings.register_profile(
    "thorough", settings.get_profile("default"), derandomize=False, max_examples=2_000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# gpw would find the cloud of a `make start` that the developer has running.
os.environ["GPW_CLOUD_FILE"] = str(Path(tempfile.gettempdir()) / "no-local-cloud.json")

# Hypothesis keeps a table of Unicode's categories; the working tree is not the place for it.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

# The descriptions of AWS's services are read once per process, not once per session: parsing them
# takes longer than most tests.
botocore.loaders.create_loader = cache(botocore.loaders.create_loader)

# The names of a few hundred hooks, spelled out for each call to AWS: a tenth of what moto's tests
# compute.
_alias = botocore.hooks.EventAliaser._alias_event_name  # type: ignore[attr-defined]
_aliased: dict[str, str] = {}


def _alias_once(aliaser: Any, event_name: str) -> str:
    if event_name not in _aliased:
        _aliased[event_name] = _alias(aliaser, event_name)
    return _aliased[event_name]


botocore.hooks.EventAliaser._alias_event_name = _alias_once  # type: ignore[attr-defined]

# `make test` tells a make that a test runs about itself: its level, its options, its variables.
for name in ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(name, None)

# What the tests attack with, and what came of it; each adds to these with `record_property`.
FIGURES = ["faults injected", "hostile inputs", "deliveries", "workers killed", "lost"]


# Only these cover `functions/` in the tests' own process. Tracing the others adds a half to what
# they compute, and finds no line that these leave out.
MEASURED = re.compile(r"tests/(unit|functional)/test_(?!gpw_|console_)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Coverage rests during the tests that add nothing to it; their fixtures are most of them."""
    plugin: Any = item.config.pluginmanager.getplugin("_cov")
    coverage = plugin and plugin.cov_controller
    if coverage is None or not coverage.started or MEASURED.search(item.path.as_posix()):
        return (yield)
    coverage.pause()
    try:
        return (yield)
    finally:
        coverage.resume()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    return GroupScheduling(config, log)


def pytest_report_header() -> str:
    """Whether there is a browser for the console's tests."""
    path = chromium.found()
    return f"browser: {path}" if path else f"browser tests are left out: {chromium.MISSING}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line with the sums over all tests, also when they ran in several processes."""
    total: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                total.update(
                    {name: int(v) for name, v in report.user_properties if name in FIGURES}
                )
    if total:
        terminalreporter.write_line(", ".join(f"{name}: {total[name]}" for name in FIGURES))
