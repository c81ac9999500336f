"""A MiniStack process: an AWS that lives as long as a `with` block."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import boto3
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

PREFERRED_PORT = 4566
DOCKER_GATEWAY = "172.17.0.1"
START_SECONDS = 60
STOP_SECONDS = 10

# The account's root: allowed everything, as the owner of an AWS account is. The functions get
# sessions of their own roles, and MiniStack enforces the policies (AUTH=true).
_ROOT = "test"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": _ROOT,
    "AWS_SECRET_ACCESS_KEY": _ROOT,
    "AWS_DEFAULT_REGION": "us-east-1",
}


# What talking to it may raise: the SDK's errors and those of plain HTTP.
CLOUD_ERRORS = (BotoCoreError, ClientError, urllib3.exceptions.HTTPError)


class LocalCloudError(Exception):
    """The local cloud could not be started or used; the text says what to look at."""


class LocalCloud:
    """Starts MiniStack on enter, ends it and removes all it wrote on exit.

    port: None takes PREFERRED_PORT if it is free, else any free one, as 0 does at once.
    for_containers: listen where a Docker container can reach the host too; otherwise only loopback
    is listened on.
    """

    def __init__(self, *, port: int | None = None, for_containers: bool = False) -> None:
        self._wanted_port = port
        self.port = 0  # known once it has started
        self.addresses = ["127.0.0.1"]
        if for_containers and (gateway := docker_gateway()):
            self.addresses.append(gateway)
        self.directory = Path(tempfile.mkdtemp(prefix="getprofile-cloud-"))
        self.log = self.directory / "ministack.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which AWS tools talk to this cloud and to no other.

        A developer's own AWS profile, configuration file and session must not mix in.
        """
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("AWS_")}
        nowhere = str(self.directory / "no-aws-config")
        return (
            inherited
            | CREDENTIALS
            | {
                "AWS_ENDPOINT_URL": self.endpoint,
                "AWS_CONFIG_FILE": nowhere,
                "AWS_SHARED_CREDENTIALS_FILE": nowhere,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        )

    @property
    def session(self) -> boto3.Session:
        """A boto3 session with this cloud's credentials; clients also need `endpoint_url`."""
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        )

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of MiniStack's own log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """End MiniStack and its workers, and remove the directory. Harmless a second time."""
        if self._process:
            # Its own process group: this ends the Lambda workers along with it.
            _signal_group(self._process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            _signal_group(self._process, signal.SIGKILL)
            self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        # Listening before MiniStack runs: nobody else can take the port in between, and a cloud
        # that can't start is not mistaken for another one that answers on the same port.
        sockets = listen(self.addresses, self._wanted_port)
        self.port = sockets[0].getsockname()[1]
        binds = [part for one in sockets for part in ("--bind", f"fd://{one.fileno()}")]
        with self.log.open("wb") as log, ExitStack() as closing:
            for one in sockets:
                closing.enter_context(one)
            self._process = subprocess.Popen(
                # `-m hypercorn` rather than `ministack`, which can't take sockets over.
                [
                    sys.executable,
                    "-m",
                    "hypercorn",
                    "ministack.app:app",
                    *binds,
                    "--keep-alive",
                    "75",
                ],
                env=self.environment
                | {
                    "GATEWAY_PORT": str(self.port),
                    "AUTH": "true",
                    "IOT_MTLS_ENABLED": "0",
                    "SFTP_ENABLED": "0",
                    "SERVICES": "",  # all: a LocalStack user may have a few of them set
                    "TMPDIR": str(self.directory),
                    "AWS_ENDPOINT_URL": self.endpoint,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[one.fileno() for one in sockets],
            )
        http = urllib3.PoolManager(timeout=1, retries=False)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LocalCloudError(f"MiniStack ended while starting:\n{self.log_tail()}")
            try:
                health = http.request("GET", f"{self.endpoint}/_ministack/health")
                if health.status == 200 and "services" in json.loads(health.data):
                    return
            except (urllib3.exceptions.HTTPError, ValueError):
                pass
            time.sleep(0.1)
        raise LocalCloudError(
            f"MiniStack did not answer within {START_SECONDS} s:\n{self.log_tail()}"
        )


def listen(addresses: list[str], port: int | None = None) -> list[socket.socket]:
    """Sockets that listen on the same port of each address; see LocalCloud for `port`.

    Raises: LocalCloudError, when that port is taken.
    """
    candidates = [PREFERRED_PORT, 0, 0, 0] if port is None else [port]
    for candidate in candidates:
        with suppress(OSError):
            return _listen_on(addresses, candidate)
    raise LocalCloudError(f"port {port or ''} is taken: give another one, or none")


def _listen_on(addresses: list[str], port: int) -> list[socket.socket]:
    with ExitStack() as on_failure:
        sockets: list[socket.socket] = []
        for address in addresses:
            one = on_failure.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
            one.listen(1024)
            port = one.getsockname()[1]
            sockets.append(one)
        on_failure.pop_all()
        return sockets


def docker_gateway() -> str | None:
    """The host's address on Docker's bridge, where it is an address of this machine.

    None without Docker, and with Docker Desktop, whose containers reach the host's loopback.
    """
    if not shutil.which("docker"):
        return None
    template = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    found = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", template],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        return None
    address = found.stdout.strip() or DOCKER_GATEWAY  # an engine may leave its default out
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return None
    return address


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all of it has ended already
        os.killpg(process.pid, number)
