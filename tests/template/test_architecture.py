"""Who may import what, where import-linter (pyproject.toml) can't say it; and what is shipped."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

DOMAIN = "getprofile"
DOMAIN_LIBRARIES = {"pydantic", "pydantic_core", "simplejson", "typing_extensions"}
AWS_SDK = re.compile(r"(boto3|botocore|s3transfer|types_boto3\w*)(\.|$)")
SHARED = {DOMAIN, "aws"}  # packages that every function may import
RUNTIME_ALONE = {"os", "aws_lambda_powertools"}  # the environment, and the log
HTTP = "hydrator/transport.py"
DIRECT_DEPENDENCIES = ("aws-lambda-powertools", "pydantic", "simplejson")


@pytest.fixture(scope="module")
def functions(repository: Path) -> Path:
    return repository / "functions"


@pytest.fixture(scope="module")
def sources(functions: Path) -> dict[str, str]:
    """The source of every module by its path at the zip root."""
    return {
        path.relative_to(functions).as_posix(): path.read_text("utf-8")
        for path in functions.rglob("*.py")
    }


@pytest.fixture(scope="module")
def pins(functions: Path) -> dict[str, str]:
    """The version of every distribution that is shipped."""
    text = (functions / "requirements.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def named(functions: Path) -> dict[str, str]:
    """The version of every distribution that the functions themselves import."""
    text = (functions / "requirements.in").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def imports(path: PurePosixPath, source: str) -> Iterator[str]:
    """The full name of everything that a module imports, at its top or anywhere within it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else list(path.parts[: -node.level])
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(path_at_root: str, source: str, packages: set[str]) -> list[str]:
    """What a module imports against the rules. packages: those at the zip root, the domain too."""
    path = PurePosixPath(path_at_root)
    package = path.parts[0] if len(path.parts) > 1 else None
    found = []
    for name in imports(path, source):
        top = name.partition(".")[0]
        if package == DOMAIN and top not in sys.stdlib_module_names | DOMAIN_LIBRARIES | {DOMAIN}:
            found.append(f"the domain imports {name}")
        may_use_sdk = package == "aws" or (package and name.startswith("botocore.exceptions."))
        if AWS_SDK.match(name) and not may_use_sdk:
            found.append(f"more of the AWS SDK than its exceptions: {name}")
        if re.match(r"(urllib3|http\.client|urllib\.request)(\.|$)", name) and path_at_root != HTTP:
            found.append(f"HTTP is spoken outside of {HTTP}: {name}")
        # A single module at the zip root is to import-linter what a library is.
        if package is None and top in {*packages, "infra"} - SHARED:
            found.append(f"a function is imported from outside: {name}")
        if package is None and top in RUNTIME_ALONE and path_at_root != "runtime.py":
            found.append(f"only runtime.py imports {name}")
    return found


def packages_of(sources: dict[str, str]) -> set[str]:
    return {path.partition("/")[0] for path in sources if "/" in path}


# ---------------------------------------------------------------- the rules


def test_every_module_keeps_to_the_import_rules(sources: dict[str, str]) -> None:
    packages = packages_of(sources)
    found = {path: violations(path, source, packages) for path, source in sources.items()}

    assert {path: broken for path, broken in found.items() if broken} == {}


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("getprofile/event.py", "import requests", "the domain imports requests"),
        (
            "getprofile/a.py",
            "def f():\n import receiver.ingest.response",
            "the domain imports receiver.ingest.response",
        ),
        (
            "batch.py",
            "from receiver.ingest.settings import IngestSettings",
            "from outside: ingest.",
        ),
        ("batch.py", "from .consumer import consume", "from outside: receiver.consumer.consume"),
        ("batch.py", "import infra.blocks", "from outside: infra.blocks"),
        ("batch.py", "import os", "only runtime.py imports os"),
        ("batch.py", "from botocore.exceptions import ClientError", "than its exceptions"),
        ("runtime.py", "import botocore", "than its exceptions: botocore"),
        ("ingest/receive.py", "import boto3", "than its exceptions: boto3"),
        ("ingest/receive.py", "from types_boto3_sqs import SQSClient", "than its exceptions"),
        ("ingest/secret.py", "from botocore.config import Config", "than its exceptions"),
        ("hydrator/hydrate.py", "import urllib3", "outside of hydrator/transport.py: urllib3"),
        ("hydrator/hydrate.py", "from http.client import HTTPConnection", "HTTP is spoken outside"),
    ],
)
def test_the_checker_finds_a_broken_rule(path: str, source: str, broken: str) -> None:
    [first, *_] = violations(path, source, {"getprofile", "ingest", "consumer"}) or ["nothing"]

    assert broken in first


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("getprofile/event.py", "import re\nfrom pydantic import BaseModel"),
        ("getprofile/events/a.py", "from ..event import Event\nfrom getprofile import parse"),
        ("aws/clients.py", "from botocore.config import Config"),
        (
            "ingest/secret.py",
            "from botocore.exceptions import ClientError\nimport receiver.aws.clients",
        ),
        ("batch.py", "import receiver.aws.clients\nimport runtime\nfrom getprofile import errors"),
        ("runtime.py", "import os\nfrom aws_lambda_powertools import Logger"),
    ],
)
def test_the_checker_lets_pass_what_the_rules_allow(path: str, source: str) -> None:
    assert violations(path, source, {"getprofile", "ingest", "consumer"}) == []


def test_nothing_at_the_zip_root_shadows_the_standard_library(functions: Path) -> None:
    names = {path.stem for path in functions.iterdir()}

    assert {"runtime", DOMAIN} < names
    assert names & sys.stdlib_module_names == set()


def test_nothing_at_the_zip_root_shadows_a_library(functions: Path) -> None:
    names = {path.stem for path in functions.iterdir() if path.name != "__pycache__"}

    assert names & metadata.packages_distributions().keys() == set()


# ---------------------------------------------------------------- functions/requirements.txt


def runtime_dependencies(*roots: str) -> set[str]:
    """The distributions and all that they need here. roots: with their extras, as `boto3[crt]`."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) not in found:
            found.add((name, extras))
            waiting += [
                needed
                for needed in map(Requirement, metadata.requires(name) or [])
                if not needed.marker
                or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""})
            ]
    return {name for name, _extras in found}


def test_what_is_shipped_is_pinned_to_the_exact_version(pins: dict[str, str]) -> None:
    loose = [name for name, pin in pins.items() if not re.fullmatch(r"\d+(\.\d+)+", pin)]

    assert loose == []


def test_what_is_shipped_is_what_the_functions_need_at_run_time(pins: dict[str, str]) -> None:
    assert {canonicalize_name(name) for name in pins} == runtime_dependencies(*DIRECT_DEPENDENCIES)


def test_what_is_shipped_follows_from_what_the_functions_import(
    pins: dict[str, str], named: dict[str, str]
) -> None:
    hint = "run: make lock"

    assert sorted(named) == sorted(DIRECT_DEPENDENCIES), hint
    assert named.items() <= pins.items(), hint


def test_what_is_tested_is_what_is_shipped(pins: dict[str, str]) -> None:
    assert {name: metadata.version(name) for name in pins} == pins
