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

OURS = "receiver"
DOMAIN = "receiver.domain"
DOMAIN_LIBRARIES = {"pydantic", "pydantic_core", "simplejson", "typing_extensions"}
AWS_SDK = re.compile(r"(boto3|botocore|s3transfer|types_boto3\w*)(\.|$)")
HTTP = "receiver/hydrator/transport.py"
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


def imports(path: PurePosixPath, source: str) -> Iterator[str]:
    """The full name of everything that a module imports, at its top or anywhere within it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else list(path.parts[: -node.level])
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(path_at_root: str, source: str) -> list[str]:
    """What a module imports against the rules."""
    path = PurePosixPath(path_at_root)
    package = ".".join(path.parts[:2])  # such as receiver.ingest
    found = []
    for name in imports(path, source):
        top = name.partition(".")[0]
        inside = name == DOMAIN or name.startswith(f"{DOMAIN}.")
        if (
            package == DOMAIN
            and not inside
            and top not in sys.stdlib_module_names | DOMAIN_LIBRARIES
        ):
            found.append(f"the domain imports {name}")
        may_use_sdk = package == "receiver.aws" or name.startswith("botocore.exceptions.")
        if AWS_SDK.match(name) and not may_use_sdk:
            found.append(f"more of the AWS SDK than its exceptions: {name}")
        if re.match(r"(urllib3|http\.client|urllib\.request)(\.|$)", name) and path_at_root != HTTP:
            found.append(f"HTTP is spoken outside of {HTTP}: {name}")
    return found


# ---------------------------------------------------------------- the rules


def test_every_module_keeps_to_the_import_rules(sources: dict[str, str]) -> None:
    found = {path: violations(path, source) for path, source in sources.items()}

    assert {path: broken for path, broken in found.items() if broken} == {}


@pytest.mark.parametrize(
    ("path", "source", "broken"),
    [
        ("domain/event.py", "import requests", "the domain imports requests"),
        ("domain/a.py", "def f():\n import receiver.ingest.b", "imports receiver.ingest.b"),
        ("domain/a.py", "from ..ingest import b", "the domain imports receiver.ingest.b"),
        ("lambda_support/log.py", "import botocore", "than its exceptions: botocore"),
        ("ingest/receive.py", "import boto3", "than its exceptions: boto3"),
        ("ingest/receive.py", "from types_boto3_sqs import SQSClient", "than its exceptions"),
        ("ingest/secret.py", "from botocore.config import Config", "than its exceptions"),
        ("hydrator/hydrate.py", "import urllib3", "hydrator/transport.py: urllib3"),
        ("hydrator/hydrate.py", "from http.client import HTTPConnection", "HTTP is spoken outside"),
    ],
)
def test_the_checker_finds_a_broken_rule(path: str, source: str, broken: str) -> None:
    [first, *_] = violations(f"{OURS}/{path}", source) or ["nothing"]

    assert broken in first


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("domain/event.py", "import re\nfrom pydantic import BaseModel"),
        ("domain/events/a.py", "from ..event import Event\nfrom receiver.domain import parse"),
        ("aws/clients.py", "from botocore.config import Config"),
        ("ingest/secret.py", "from botocore.exceptions import ClientError\nimport receiver.aws.a"),
        (
            "lambda_support/batch.py",
            "import receiver.aws.a\nfrom receiver.domain import errors",
        ),
    ],
)
def test_the_checker_lets_pass_what_the_rules_allow(path: str, source: str) -> None:
    assert violations(f"{OURS}/{path}", source) == []


def test_the_zip_root_holds_one_package_of_ours(functions: Path) -> None:
    names = {path.name for path in functions.iterdir() if path.name != "__pycache__"}

    assert names == {OURS, "requirements.txt"}


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


def test_what_is_tested_is_what_is_shipped(pins: dict[str, str]) -> None:
    assert {name: metadata.version(name) for name in pins} == pins
