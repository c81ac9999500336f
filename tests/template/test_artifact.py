"""What `make build` really put into the deployment package."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from gpw.stack.template import parse_template
from infra.build import sdk_data
from infra.build.architecture import write
from infra.build.artifact import prepare_all
from tests.template.clones import clone

ROOT = Path(__file__).resolve().parents[2]
HOST = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}  # as compiled modules are named
TEMPLATES = [
    "template.yaml",
    *(str(one.relative_to(ROOT)) for one in sorted(ROOT.glob("infra/examples/*/template.yaml"))),
]
MAX_UNZIPPED_BYTES = 50 * 1024 * 1024  # Lambda takes 250 MB; a cold start feels it long before
UNCHECKED_HASH = 0b01  # PEP 552

# What the Lambda runtime brings along.
RUNTIME_PACKAGES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")

type Build = Callable[[str], Path]


def sam_build(
    repository: Path, build_dir: Path, architecture: str
) -> "subprocess.CompletedProcess[str]":
    sam = shutil.which("sam") or ROOT / ".tools" / "bin" / "sam"
    template = write(
        repository / "template.yaml", architecture, build_dir.with_name("template.json")
    )
    return subprocess.run(
        [
            sam,
            "build",
            *("--template-file", template),
            *("--config-file", repository / "samconfig.toml"),
            *("--build-dir", build_dir),
            "--no-cached",
        ],
        capture_output=True,
        check=False,
        cwd=repository,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # has uv
            "SAM_CLI_TELEMETRY": "0",
        },
        text=True,
    )


@pytest.fixture(scope="session")
def build(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds and compiles for an architecture, once, and returns SAM's build directory."""

    @cache
    def build_for(architecture: str) -> Path:
        build_dir = tmp_path_factory.mktemp(architecture) / "build"
        done = sam_build(repository, build_dir, architecture)
        assert done.returncode == 0, done.stderr
        assert prepare_all(build_dir) == 1
        return build_dir

    return build_for


def artifact_of(build_dir: Path) -> Path:
    """The one directory that every function of a build shares."""
    built = yaml_parse((build_dir / "template.yaml").read_text("utf-8"))
    directories: set[str] = {
        resource["Properties"]["CodeUri"]
        for resource in built["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    [directory] = directories
    return build_dir / directory


@pytest.fixture(scope="session")
def artifact(build: Build) -> Path:
    """What is deployed when nobody chooses otherwise: a package for arm64."""
    return artifact_of(build("arm64"))


# ---------------------------------------------------------------- content


def test_every_module_of_the_functions_is_in_the_package(artifact: Path, repository: Path) -> None:
    functions = repository / "functions"
    ours = [path.relative_to(functions) for path in functions.rglob("*.py")]

    assert ours
    assert [path for path in ours if not (artifact / path).is_file()] == []


def test_the_package_has_the_pinned_libraries_and_no_other(
    artifact: Path, repository: Path
) -> None:
    text = (repository / "functions" / "requirements.txt").read_text("utf-8")
    lines = re.findall(r"^[\w.-]+==[^\s\\]+", text, re.MULTILINE)
    pinned = {line.replace("-", "_").replace("==", "-") for line in lines}

    assert {path.stem for path in artifact.glob("*.dist-info")} == pinned


def test_the_package_has_the_data_of_the_sdk_that_the_functions_use(artifact: Path) -> None:
    data = artifact / sdk_data.DIRECTORY

    assert (data / "endpoints.json").is_file()
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(sdk_data.OPERATIONS)


def with_a_wrong_hash(requirements: str) -> str:
    """The first package's hashes are those of something else."""
    first, comma, others = requirements.partition("\naws-lambda-powertools==")
    return re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", first) + comma + others


def without_a_hash(requirements: str) -> str:
    """The first package has no hash."""
    return re.sub(r"(==\S+)( \\\n +--hash=\S+)+", r"\1", requirements, count=1)


@pytest.mark.parametrize(
    ("forge", "complaint"),
    [(with_a_wrong_hash, "Hash mismatch"), (without_a_hash, "must have a hash")],
)
def test_the_build_fails_with_a_package_that_is_not_the_one_that_was_locked(
    forge: Callable[[str], str], complaint: str, repository: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(repository / "functions", project / "functions")
    (project / "infra").mkdir()
    for name in ("template.yaml", "samconfig.toml", "infra/monitoring.yaml"):
        shutil.copy(repository / name, project / name)
    requirements = project / "functions" / "requirements.txt"
    requirements.write_text(forge(requirements.read_text("utf-8")), "utf-8")

    done = sam_build(project, tmp_path / "build", "arm64")

    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "name", ["boto3", "botocore", "awscrt", "pip", "setuptools", "tests", "bin", "RECORD"]
)
def test_the_package_leaves_out_what_lambda_has_or_nobody_needs(artifact: Path, name: str) -> None:
    assert list(artifact.rglob(name)) == []


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_every_compiled_module_is_for_the_python_and_the_processor_of_the_function(
    build: Build, architecture: str, repository: Path
) -> None:
    version = (repository / ".python-version").read_text("utf-8").strip().replace(".", "")
    suffix = f".cpython-{version}-{MACHINE[architecture]}-linux-gnu.so"
    compiled = [path.name for path in artifact_of(build(architecture)).rglob("*.so")]

    assert f"_pydantic_core{suffix}" in compiled
    assert [name for name in compiled if not name.endswith(suffix)] == []


# Where `sam deploy --guided` of an older version, or a person, may have left an answer.
ANSWERED = """
version = 0.1
[default.global.parameters]
stack_name = "any"
parameter_overrides = "Architecture=x86_64"
[default.build.parameters]
beta_features = true
cached = true
parameter_overrides = "Architecture=x86_64"
[default.deploy.parameters]
parameter_overrides = "Architecture=x86_64"
[prod.global.parameters]
stack_name = "any-prod"
parameter_overrides = "Architecture=x86_64"
"""


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose samconfig.toml has answers about the processor."""
    folder = tmp_path_factory.mktemp("clone") / "sources"
    clone(folder)
    (folder / "samconfig.toml").write_text(ANSWERED)
    return folder


@pytest.mark.parametrize(
    ("settings", "processor"),
    [
        ([], "arm64"),
        (["CONFIG_ENV=without-a-section"], "arm64"),
        (["ARCHITECTURE=x86_64"], "x86_64"),
        (["ARCHITECTURE=x86_64", "CONFIG_ENV=prod"], "x86_64"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else one,
)
def test_what_make_builds_names_the_processor_that_it_was_built_for(
    cloned: Path, settings: list[str], processor: str
) -> None:
    command = ["make", "--old-file=setup", "build", *settings]  # nothing is installed

    subprocess.run(command, cwd=cloned, check=True, capture_output=True)

    assert built_for(cloned / ".aws-sam" / "build") == ({processor}, {MACHINE[processor]})


def test_the_build_reads_the_section_of_samconfig_that_the_deployment_reads(
    repository: Path,
) -> None:
    command = ["make", "--dry-run", "--old-file=setup", "deploy", "CONFIG_ENV=prod"]
    planned = subprocess.run(
        command, cwd=repository, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    reading = [line for line in planned if re.search(r"sam (build|deploy)|destination", line)]

    assert len(reading) == 3
    assert [line for line in reading if "--config-env prod" not in line] == []


def test_what_sam_alone_builds_names_the_processor_that_it_was_built_for(cloned: Path) -> None:
    sam = shutil.which("sam") or ROOT / ".tools" / "bin" / "sam"
    path = f"{cloned / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

    subprocess.run(
        [sam, "build", "--parameter-overrides", "Architecture=x86_64"],
        cwd=cloned,
        check=True,
        capture_output=True,
        env=os.environ | {"PATH": path, "SAM_CLI_TELEMETRY": "0"},
    )

    assert built_for(cloned / ".aws-sam" / "build") == ({"arm64"}, {MACHINE["arm64"]})


def built_for(build_dir: Path) -> tuple[set[str], set[str]]:
    """The processors that a built template gives its functions, and those of their modules."""
    template = parse_template((build_dir / "template.yaml").read_text("utf-8"))
    shared = template["Globals"]["Function"]
    functions = [
        shared | one["Properties"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Serverless::Function"
    ]
    modules = [
        path.name for one in functions for path in (build_dir / one["CodeUri"]).rglob("*.so")
    ]
    return (
        {processor for one in functions for processor in one["Architectures"]},
        {name.split("-")[2] for name in modules},
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_parameter_chooses_the_processor_because_a_build_would_not_read_its_answer(
    repository: Path, template: str
) -> None:
    parsed = parse_template((repository / template).read_text("utf-8"))
    shared = parsed.get("Globals", {}).get("Function", {})
    chosen = [
        (shared | one["Properties"])["Architectures"]
        for one in parsed["Resources"].values()
        if one["Type"] == "AWS::Serverless::Function"
    ]

    assert chosen
    assert [one for one in chosen if one != ["arm64"]] == []


def test_the_package_is_small_enough_to_start_fast(artifact: Path) -> None:
    size = sum(path.stat().st_size for path in artifact.rglob("*") if path.is_file())

    assert size < MAX_UNZIPPED_BYTES


# ---------------------------------------------------------------- bytecode


def test_every_module_has_bytecode_that_this_python_loads_without_checking_the_source(
    artifact: Path,
) -> None:
    modules = list(artifact.rglob("*.py"))
    expected = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little")
    headers = {}
    for module in modules:
        bytecode = Path(importlib.util.cache_from_source(str(module)))
        headers[module.relative_to(artifact)] = bytecode.read_bytes()[:8]

    assert modules
    assert {path: header for path, header in headers.items() if header != expected} == {}


def test_the_bytecode_holds_no_path_of_the_machine_that_built_it(artifact: Path) -> None:
    found = [p for p in artifact.rglob("*.pyc") if str(artifact).encode() in p.read_bytes()]

    assert found == []


def compile_step(repository: Path, build_dir: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.build.artifact", build_dir],
        capture_output=True,
        check=False,
        text=True,
    )


def make_build(build_dir: Path, runtime: str) -> None:
    (build_dir / "template.yaml").write_text(f"Globals:\n  Function:\n    Runtime: {runtime}\n")


def test_the_compile_step_says_in_one_line_what_it_compiled(
    repository: Path, tmp_path: Path
) -> None:
    make_build(tmp_path, f"python3.{sys.version_info.minor}")
    (tmp_path / "Function").mkdir()
    (tmp_path / "Function" / "module.py").touch()

    done = compile_step(repository, tmp_path)

    assert done.returncode == 0
    assert done.stdout == f"Prepared 1 function directory in {tmp_path}\n"
    assert list(tmp_path.rglob("*.pyc")) != []


def test_the_compile_step_replaces_bytecode_of_another_kind(tmp_path: Path) -> None:
    make_build(tmp_path, f"python3.{sys.version_info.minor}")
    (tmp_path / "Function").mkdir()
    module = tmp_path / "Function" / "module.py"
    module.touch()
    subprocess.run([sys.executable, "-m", "compileall", "-q", tmp_path], check=True)
    bytecode = Path(importlib.util.cache_from_source(str(module)))
    checked_by_time = bytecode.read_bytes()[4]

    prepare_all(tmp_path)

    assert (checked_by_time, bytecode.read_bytes()[4]) == (0, UNCHECKED_HASH)


@pytest.mark.parametrize(
    ("runtime", "source", "complaint"),
    [
        (None, None, "is not a SAM build: run `sam build` first"),
        ("python3.12", "", "The functions run on python3.12, but this is python3.13"),
        ("python3.13", None, "has no function: run `sam build` again"),
        ("python3.13", "def (", "does not compile: see above"),
    ],
)
def test_the_compile_step_fails_and_says_what_is_wrong(
    repository: Path, tmp_path: Path, runtime: str | None, source: str | None, complaint: str
) -> None:
    if runtime:
        make_build(tmp_path, runtime)
    if source is not None:
        (tmp_path / "Function").mkdir()
        (tmp_path / "Function" / "module.py").write_text(source)

    done = compile_step(repository, tmp_path)

    assert done.returncode == 1
    assert complaint in done.stderr
    assert list(tmp_path.rglob("*.pyc")) == []


# ---------------------------------------------------------------- import

IMPORT = """
import sys
artifact, runtime, module, name = sys.argv[1:]
sys.path[:0] = [artifact, runtime]
from importlib import import_module
assert callable(getattr(import_module(module), name))
import pydantic_core
print(sys.modules[module].__file__, pydantic_core.__file__, sep="\\n")
"""


@pytest.fixture(scope="session")
def lambda_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages that the Lambda runtime brings, and no other."""
    directory = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (directory / source.name).symlink_to(source)
    return directory


@pytest.mark.skipif(
    sys.platform != "linux", reason="the package contains modules compiled for Linux"
)
@pytest.mark.parametrize("function", ["IngestFunction", "ConsumerFunction"])
def test_every_handler_can_be_imported_from_the_package_and_the_lambda_runtime_alone(
    build: Build, lambda_runtime: Path, stack: dict[str, Any], function: str
) -> None:
    package = artifact_of(build(HOST))
    properties = stack["Resources"][function]["Properties"]
    variables = {
        name: value
        if isinstance(value, str)
        else str(stack["Parameters"].get(value.get("Ref"), {}).get("Default", "any"))
        for name, value in properties["Environment"]["Variables"].items()
        if value != {"Ref": "AWS::NoValue"}
    }

    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", IMPORT),
            *(package, lambda_runtime, *properties["Handler"].rsplit(".", 1)),
        ],
        capture_output=True,
        check=False,
        env=variables | {"AWS_DEFAULT_REGION": "eu-central-1"},
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith(f"{package}/") for line in done.stdout.splitlines())
