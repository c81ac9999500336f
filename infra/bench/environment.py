"""Runs workloads as Lambda would: from unpacked artifacts, with the functions' environment."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.build import sdk_data
from infra.build.artifact import prepare

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".venv-bench"
WORKLOADS = Path(__file__).with_name("workloads.py")
NAIVE = Path(__file__).with_name("naive.py")
NAIVE_WORKLOADS = {"naive"}
FLOORS = {"send_message", "two_puts", *NAIVE_WORKLOADS}  # the SDK as it comes, with all its data

# The variables that the template and Lambda set.
FUNCTION_ENVIRONMENT = {
    "POWERTOOLS_SERVICE_NAME": "getprofile-webhooks",
    "POWERTOOLS_METRICS_NAMESPACE": "GetProfileWebhooks",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "AWS_DATA_PATH": f"$LAMBDA_TASK_ROOT/{sdk_data.DIRECTORY}",
    "EVENTS_QUEUE_URL": "http://127.0.0.1/123456789012/getprofile-webhooks-EventsQueue-1A2B3C",
    "DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/123456789012/getprofile-webhooks-DeadLetterQueue-1A",
    "HELD_QUEUE_URL": "http://127.0.0.1/123456789012/getprofile-webhooks-HeldQueue-1A",
    "HELD_DELIVERIES_PER_MINUTE": "60",
    "WEBHOOK_SECRET_ID": "WebhookSecret-1A2B3C",
    "ONLY_DOMAIN_NAME": "",
    "ALLOWED_SOURCE_CIDRS": "",
    "MAX_BODY_BYTES": "262144",
    "SECRET_CACHE_SECONDS": "300",
    "PREVIOUS_SECRET_GRACE_HOURS": "24",
    "PROFILES_TABLE_NAME": "getprofile-webhooks-ProfilesTable-1A2B3C",
    "EVENTS_TABLE_NAME": "getprofile-webhooks-EventsTable-1A2B3C",
    "EVENT_RETENTION_DAYS": "30",
    "EVENT_BUS_NAME": "getprofile-webhooks",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "getprofile-webhooks-Function-1A2B3C4D5E6F",
    # Lambda sets it for each invocation, traced or not, and every log line contains it.
    "_X_AMZN_TRACE_ID": (
        "Root=1-5e34a614-10bdef1f1fb44f07bc535a10;Parent=07f5bc2d1f6f8512;Sampled=0"
    ),
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_SESSION_TOKEN": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Ran:
    """The result of a workload (see workloads.py), and what the functions logged meanwhile."""

    result: dict[str, Any]
    logged: str


@dataclass(frozen=True)
class Bench:
    """Runs workloads.

    artifact: the directory of the functions, as `make build` makes it.
    naive: the directory of the naive receiver, without bytecode, as `sam build` makes it.
    """

    artifact: Path
    naive: Path

    def command(self, workload: str, calls: int) -> list[str]:
        # -P: the script's directory is not importable, as on Lambda.
        return [str(BENCH / "bin" / "python"), "-P", str(WORKLOADS), workload, str(calls)]

    def environment(self, workload: str, endpoint: str) -> dict[str, str]:
        task = self.naive if workload in NAIVE_WORKLOADS else self.artifact
        variables = FUNCTION_ENVIRONMENT.copy()
        if workload in FLOORS:
            del variables["AWS_DATA_PATH"]
        return variables | {
            "PATH": os.environ.get("PATH", ""),
            "LAMBDA_TASK_ROOT": str(task),
            "PYTHONPATH": str(task),
            "PYTHONHASHSEED": "0",  # the same instructions in every run
            "PYTHONDONTWRITEBYTECODE": "1",  # /var/task is read-only
            "AWS_ENDPOINT_URL": endpoint,
        }

    def run(self, workload: str, calls: int, endpoint: str) -> Ran:
        """Run a workload and parse its result. Raises: RuntimeError, with the workload's output."""
        logged, printed = self.execute(workload, calls, endpoint)
        return Ran(json.loads(printed.splitlines()[-1]), logged)

    def execute(
        self, workload: str, calls: int, endpoint: str, *, under: tuple[str, ...] = ()
    ) -> tuple[str, str]:
        """Run a workload. Returns: standard output and standard error.

        under: a command that runs the workload's command, such as valgrind.
        """
        done = subprocess.run(
            [*under, *self.command(workload, calls)],
            env=self.environment(workload, endpoint),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise RuntimeError(f"the workload {workload} failed:\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr


@contextmanager
def bench() -> Iterator[Bench]:
    """Make the artifacts of the functions and the naive receiver in a temporary directory."""
    if not (BENCH / ".ready").exists():
        raise RuntimeError("the bench environment is missing: run `make bench`")
    with TemporaryDirectory(prefix="getprofile-bench-") as directory:
        made = Bench(Path(directory) / "artifact", Path(directory) / "naive")
        for task in (made.artifact, made.naive):
            shutil.copytree(
                BENCH / "packages", task, ignore=shutil.ignore_patterns("bin", "__pycache__")
            )
        no_bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "functions", made.artifact, ignore=no_bytecode, dirs_exist_ok=True)
        prepare(made.artifact)
        shutil.copy(NAIVE, made.naive)
        yield made


def machine() -> dict[str, str]:
    """The properties of this machine that the figures depend on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text("utf-8").splitlines() if "model name" in line]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": _version("platform", "platform.python_version()"),
        "boto3": _version("boto3", "boto3.__version__"),
    }


def _version(module: str, expression: str) -> str:
    python = str(BENCH / "bin" / "python")
    command = [python, "-c", f"import {module}; print({expression})"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
