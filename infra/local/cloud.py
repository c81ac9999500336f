"""Runs MiniStack, a local emulator of AWS, for the duration of a `with` block."""

import os
import re
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

from gpw.stack.proxies import spare_loopback
from gpw.stack.target import CREDENTIALS

PREFERRED_PORT = 4566
DOCKER_GATEWAY = "172.17.0.1"
START_SECONDS = 60
STOP_SECONDS = 60  # saving takes a few seconds per 100,000 events
ANSWER_SECONDS = 30  # it answers at once, unless the machine is busy
ROOT = Path(__file__).resolve().parents[2]


# Errors that a call to the cloud may raise: those of the SDK and those of plain HTTP.
CLOUD_ERRORS = (BotoCoreError, ClientError, urllib3.exceptions.HTTPError)


# MiniStack logs that it could not load a part of its state, and goes on without it.
NOT_LOADED = re.compile(
    r"Failed to restore persisted state for \w+|[Pp]ersistence: (failed to load|code blob).*"
    r"|refusing to load"
)


NOT_SAVED = "State not saved: "  # how infra/local/server.py begins the line that says why


class LocalCloudError(Exception):
    """The local cloud did not start, or a call to it failed. The message says what to check."""


class PortTakenError(LocalCloudError):
    """Another program listens on the port. The message names it where the system tells."""


class LocalCloud:
    """Starts MiniStack on enter. On exit, stops it and removes all files that it wrote.

    It also stops when this process ends without leaving the block, even by SIGKILL.

    port: the port to listen on. 0 means any free port. None means PREFERRED_PORT, or any free port
    if that one is taken.
    for_containers: also listen on the address at which Docker containers reach the host. Without
    it, the cloud listens on loopback only.
    state: a folder that `kept.prepare` made, to load from and to save to. It is saved on exit, once
    `keep` was called.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        for_containers: bool = False,
        state: Path | None = None,
    ) -> None:
        spare_loopback()  # also for `sam deploy` and the functions, which inherit it
        self._wanted_port = port
        self.port = 0  # unknown until MiniStack has started
        self.addresses = ["127.0.0.1"]
        if for_containers and (gateway := docker_gateway()):
            self.addresses.append(gateway)
        self.directory = Path(tempfile.mkdtemp(prefix="getprofile-cloud-"))
        self.log = self.directory / "ministack.log"
        self._state = state
        self._worth_saving = False
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
        """Environment variables that point AWS tools at this cloud only.

        They hide the developer's own AWS profile, configuration file and session.
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
        """A boto3 session with this cloud's credentials. Its clients also need `endpoint_url`."""
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        )

    def check(self) -> None:
        """Check that it runs and answers. Raises: LocalCloudError, which says what does not."""
        if self._process is None or self._process.poll() is not None:
            raise LocalCloudError("the local cloud has ended")
        try:
            _health(self.endpoint, timeout=ANSWER_SECONDS)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            why = f"within {ANSWER_SECONDS} s ({type(error).__name__})"
            raise LocalCloudError(
                f"the local cloud does not answer at {self.endpoint} {why}"
            ) from None

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of MiniStack's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def keep(self) -> None:
        """From now on, save the state on exit: the stack is whole, and no deployment is running."""
        if self._state and self._process and self._process.stdin:
            self._process.stdin.write(b"keep")
            self._process.stdin.flush()
            self._worth_saving = True

    def stop(self) -> None:
        """Stop MiniStack and its Lambda workers, and remove the directory. Safe to call twice.

        Raises: LocalCloudError, if the state was to be saved and was not.
        """
        unsaved: str | None = None
        if self._process:
            unsaved = self._unsaved(self._process) if self._worth_saving else None
            # MiniStack leads a process group, so the signal reaches its Lambda workers too.
            _signal_group(self._process, signal.SIGKILL)
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        if unsaved:
            raise LocalCloudError(
                f"the data of this run was not saved ({unsaved}). "
                "The next start has what the run before it saved"
            )

    def _unsaved(self, process: subprocess.Popen[bytes]) -> str | None:
        """Let MiniStack end in its own way, which saves the state. Returns: why it did not."""
        process.terminate()
        try:
            if process.wait(STOP_SECONDS) == 0:
                return None
        except subprocess.TimeoutExpired:
            return f"it took longer than {STOP_SECONDS} s"
        said = [line for line in self.log_tail().splitlines() if line.startswith(NOT_SAVED)]
        return said[-1].removeprefix(NOT_SAVED) if said else "the cloud failed"

    def _start(self) -> None:
        # The sockets listen before MiniStack runs. So no other process can take the port meanwhile,
        # and the health check below can't reach another cloud on the same port.
        sockets = listen(self.addresses, self._wanted_port)
        self.port = sockets[0].getsockname()[1]
        binds = [part for one in sockets for part in ("--bind", f"fd://{one.fileno()}")]
        with self.log.open("wb") as log, ExitStack() as closing:
            for one in sockets:
                closing.enter_context(one)
            self._process = subprocess.Popen(
                # A server of its own, because the `ministack` command can't inherit sockets.
                [
                    *(sys.executable, "-m", "infra.local.server", str(self.directory)),
                    *(*binds, "--keep-alive", "75"),
                ],
                cwd=ROOT,
                env=self.environment
                | {
                    "GATEWAY_PORT": str(self.port),
                    "AUTH": "true",
                    "IOT_MTLS_ENABLED": "0",
                    "SFTP_ENABLED": "0",
                    "SERVICES": "",  # all services: a LocalStack user may have set a few
                    "TMPDIR": str(self.directory),
                    "PERSIST_STATE": "1" if self._state else "0",
                    "STATE_DIR": str(self._state or self.directory),
                    "AWS_ENDPOINT_URL": self.endpoint,
                },
                stdin=subprocess.PIPE,  # closed by the system when this process ends
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[one.fileno() for one in sockets],
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LocalCloudError(f"MiniStack exited while it was starting:\n{self.log_tail()}")
            with suppress(urllib3.exceptions.HTTPError, ValueError):
                _health(self.endpoint, timeout=1)
                break
            time.sleep(0.1)
        else:
            raise LocalCloudError(
                f"MiniStack did not answer within {START_SECONDS} s:\n{self.log_tail()}"
            )
        if failed := NOT_LOADED.search(self.log.read_text(errors="replace")):
            raise LocalCloudError(f"MiniStack could not load its state: {failed[0]}")


def _health(endpoint: str, *, timeout: float) -> None:
    """Ask MiniStack how it is. Raises: HTTPError or ValueError, if it is not well."""
    answer = urllib3.request("GET", f"{endpoint}/_ministack/health", timeout=timeout, retries=False)
    if answer.status != 200 or "services" not in answer.json():
        raise ValueError("another server answers")


def listen(addresses: list[str], port: int | None = None) -> list[socket.socket]:
    """Open one socket per address, all on the same port. `port` is as for LocalCloud.

    Raises: PortTakenError.
    """
    candidates = [PREFERRED_PORT, 0, 0, 0] if port is None else [port]
    for candidate in candidates:
        with suppress(OSError):
            return _listen_on(addresses, candidate)
    raise PortTakenError(f"port {port} is taken by {holder(port or 0)}")


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


def holder(port: int) -> str:
    """The programs that listen on a port, for people."""
    if not (lsof := shutil.which("lsof")):
        return "another program"
    found = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described(found.stdout) or "another program"  # lsof sees only one's own, without root


def described(listed: str) -> str:
    """The processes that `lsof -Fpc` listed, for people; empty if there are none."""
    lines = [line for line in listed.splitlines() if line[:1] in {"p", "c"}]
    pairs = zip(lines[::2], lines[1::2], strict=False)
    return ", ".join(f"{name[1:]} (process {process[1:]})" for process, name in pairs)


def docker_gateway() -> str | None:
    """The host's address on Docker's bridge network, if this machine has that address.

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
    address = found.stdout.strip() or DOCKER_GATEWAY  # some engines omit the default
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return None
    return address


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the whole group has exited
        os.killpg(process.pid, number)
