"""`make start` redeploys what is saved under functions/, unless it is broken."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.watch import FUNCTIONS, Redeployment, affected, deploy_built


class Lambda:
    """In place of Lambda's client. updated: the modules of each update, by function."""

    def __init__(self) -> None:
        self.updated: list[tuple[str, dict[str, bytes]]] = []

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {"Environment": {"Variables": {"SETTING": FunctionName}}}

    def update_function_code(self, *, FunctionName: str, ZipFile: bytes) -> None:  # noqa: N803
        with zipfile.ZipFile(io.BytesIO(ZipFile)) as file:
            self.updated.append((FunctionName, {name: file.read(name) for name in file.namelist()}))


@pytest.fixture
def functions() -> Lambda:
    return Lambda()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def redeployment(tmp_path: Path, functions: Lambda, said: list[str]) -> Redeployment:
    source, built = tmp_path / "functions", tmp_path / "build"
    for function, logical in FUNCTIONS.items():
        for root in (source, built / logical):
            write(root / "receiver" / function / "handler.py", "import os; os.environ['SETTING']")
        write(built / logical / "receiver" / function / "__pycache__" / "handler.pyc", "old")
        write(built / logical / "receiver" / "aws" / "sdk_data" / "endpoints.json", "{}")
        write(built / logical / "pydantic" / "main.py", "")
    write(source / "receiver" / "domain" / "version.py", "")
    stack: Any = SimpleNamespace(
        client=lambda _service: functions,
        cloud=SimpleNamespace(environment={}),
        resources={logical: logical for logical in FUNCTIONS.values()},
    )
    return Redeployment(stack, built, source, said.append)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("receiver/consumer/store.py", ["consumer"]),
        ("receiver/domain/version.py", list(FUNCTIONS)),
        ("receiver/messages.py", list(FUNCTIONS)),
    ],
)
def test_a_module_belongs_to_its_function_or_to_all(module: str, names: list[str]) -> None:
    assert affected([Path(module)]) == names


def test_a_saved_module_takes_the_place_of_the_built_one(
    redeployment: Redeployment, functions: Lambda, said: list[str]
) -> None:
    write(redeployment.source / "receiver" / "consumer" / "handler.py", "NEW = 1")
    redeployment.look()
    redeployment.look()

    [(function, files)] = functions.updated
    assert function == "ConsumerFunction"
    assert files["receiver/consumer/handler.py"] == b"NEW = 1"
    assert {"pydantic/main.py", "receiver/aws/sdk_data/endpoints.json"} <= files.keys()
    assert not [name for name in files if name.endswith(".pyc")]
    assert [line.split(" in ")[0] for line in said] == ["Redeployed consumer"]


def test_a_broken_module_is_not_deployed_and_said_with_its_place(
    redeployment: Redeployment, functions: Lambda, said: list[str]
) -> None:
    broken = redeployment.source / "receiver" / "consumer" / "handler.py"
    write(broken, "good = 1\nbad = undefined\n")
    redeployment.look()

    assert functions.updated == []
    assert said == [
        "Not redeployed, the last good version stays: consumer. "
        "receiver/consumer/handler.py, line 2: NameError: name 'undefined' is not defined"
    ]

    write(broken, "good = 1\n")
    redeployment.look()

    assert [function for function, _files in functions.updated] == ["ConsumerFunction"]


def test_a_deleted_module_is_deleted_there_too(
    redeployment: Redeployment, functions: Lambda
) -> None:
    (redeployment.source / "receiver" / "domain" / "version.py").unlink()
    redeployment.look()

    assert {function for function, _files in functions.updated} == {*FUNCTIONS.values()}
    assert all("receiver/domain/version.py" not in files for _function, files in functions.updated)


def test_a_start_deploys_what_was_built_with_its_bytecode(
    redeployment: Redeployment, functions: Lambda
) -> None:
    deploy_built(redeployment.stack, redeployment.built)

    deployed = dict(functions.updated)
    assert deployed.keys() == {*FUNCTIONS.values()}
    assert deployed["ConsumerFunction"]["receiver/consumer/__pycache__/handler.pyc"] == b"old"
