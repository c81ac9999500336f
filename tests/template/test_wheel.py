"""The wheel: gpw where somebody installs it without the repository."""

import os
import subprocess
import sys
import sysconfig
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest

from gpw.operations.documents import PAGES
from tests.template.test_architecture import runtime_dependencies

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
UV = Path(sysconfig.get_path("scripts"), "uv")


NO_STACK = b"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
<Message>Stack does not exist</Message></Error></ErrorResponse>"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run_uv("build", "--wheel", "--no-build-isolation", "--out-dir", str(directory), str(ROOT))
    [wheel] = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it says that it needs, and nothing else.

    Its packages are links to those of this environment, so that nothing is downloaded.
    """
    environment = tmp_path_factory.mktemp("installed") / "venv"
    run_uv("venv", str(environment))
    python = environment / "bin" / "python"
    run_uv("pip", "install", "--no-deps", "--python", str(python), str(wheel))
    [packages] = environment.glob("lib/python*/site-packages")
    declared = PYPROJECT["project"]["dependencies"]
    for needed in map(distribution, runtime_dependencies(*declared)):
        for name in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            (packages / name).symlink_to(str(needed.locate_file(name)))
    return environment


def run_uv(*arguments: str) -> None:
    subprocess.run(
        [UV, *arguments, "--offline", "--quiet", *python_of(arguments)], check=True, cwd=ROOT
    )


def python_of(arguments: tuple[str, ...]) -> list[str]:
    return [] if "--python" in arguments else ["--python", sys.executable]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty directory."""
    return tmp_path


def gpw(environment: Path, cwd: Path, *words: str, endpoint: str = "") -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the installed command."""
    ran = subprocess.run(
        [environment / "bin" / "gpw", *words],
        cwd=cwd,
        env={
            "PATH": os.defpath,
            "HOME": str(cwd),
            "COLUMNS": "200",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def aws() -> Iterator[str]:
    """The address of an AWS that has no stacks."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(400)
            self.send_header("content-length", str(len(NO_STACK)))
            self.end_headers()
            self.wfile.write(NO_STACK)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_wheel_puts_its_two_packages_beside_those_of_others(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {"gpw", "receiver"}


def test_the_wheel_says_that_its_packages_have_types(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        assert {"gpw/py.typed", "receiver/py.typed"} <= set(archive.namelist())


def test_the_installed_command_tells_version_and_help(environment: Path, elsewhere: Path) -> None:
    version, told = gpw(environment, elsewhere, "--version"), gpw(environment, elsewhere, "--help")

    assert version == (0, f"gpw {PYPROJECT['project']['version']}\n", "")
    assert (told[0], "doctor" in told[1], told[2]) == (0, True, "")


def test_the_installed_estimate_of_costs_is_that_of_the_repository(
    environment: Path, elsewhere: Path
) -> None:
    words = ("cost", "--events", "1M", "--json")
    here = Path(sys.executable).parents[1]

    installed = gpw(environment, elsewhere, *words)

    assert installed[0] == 0, installed
    assert installed == gpw(here, ROOT, *words)


def test_every_installed_command_can_be_imported_with_the_declared_dependencies(
    environment: Path, elsewhere: Path
) -> None:
    program = (
        "import gpw, receiver\nfrom gpw.cli.table import loaded\n"
        "loaded()\nprint(gpw.__file__, receiver.__file__)"
    )

    ran = subprocess.run(
        [environment / "bin" / "python", "-I", "-c", program],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert [path for path in ran.stdout.split() if not path.startswith(str(environment))] == []


def test_the_installed_command_works_on_the_stack_of_the_directorys_samconfig(
    environment: Path, elsewhere: Path, aws: str
) -> None:
    Path(elsewhere, "samconfig.toml").write_text(
        '[default.deploy.parameters]\nstack_name = "mine"\nregion = "eu-west-1"\n'
    )

    code, _out, told = gpw(environment, elsewhere, "events", endpoint=aws)

    assert code == 1
    assert "There is no stack 'mine' in eu-west-1" in told


@pytest.mark.parametrize("words", ["events --local", "local up", "local down --yes", "local demo"])
def test_what_needs_the_repository_says_so_where_there_is_none(
    environment: Path, elsewhere: Path, words: str
) -> None:
    code, out, told = gpw(environment, elsewhere, *words.split())

    assert (code, out) == (2, "")
    assert "needs the repository" in told
    assert "make start" in told


@pytest.mark.parametrize("extra", ["mcp", "ui"])
def test_a_command_whose_extra_is_not_installed_says_so(
    environment: Path, elsewhere: Path, extra: str
) -> None:
    code, out, told = gpw(environment, elsewhere, extra, "--region", "eu-west-1")

    assert (code != 0, out) == (True, "")
    assert f"'.[{extra}]'" in told


def test_the_wheel_holds_what_the_console_and_an_assistant_read(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    console = ROOT / "infra" / "gpw" / "console"
    wanted = {
        str(path.relative_to(ROOT / "infra"))
        for folder in ("templates", "static")
        for path in (console / folder).iterdir()
    }

    documents = {f"gpw/data/docs/{name}" for name in PAGES.values()}
    schemas = {f"gpw/data/docs/schema/{file}" for file in ("event.schema.json", "asyncapi.yaml")}
    assert (wanted | documents | schemas) - names == set()
