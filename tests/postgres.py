"""A PostgreSQL server of its own on this machine, for as long as a test needs one."""

import datetime
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pg8000.native
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST, USER, PASSWORD, DATABASE = "127.0.0.1", "postgres", "example-password-0123456789", "app"
# Where packages put the programs that are not on PATH.
DIRECTORIES = ["/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin"]
MISSING = (
    "These tests need PostgreSQL's server: `apt-get install postgresql` on Debian and Ubuntu, "
    "`brew install postgresql@17` on macOS"
)
NO_POOLER = (
    "This test needs PgBouncer: `apt-get install pgbouncer` on Debian and Ubuntu, `brew install "
    "pgbouncer` on macOS"
)


@dataclass(frozen=True)
class Server:
    """A running server with a database. authorities: the certificate that signs its own."""

    directory: Path
    port: int
    authorities: Path
    programs: Path

    @property
    def url(self) -> str:
        """For its owner, with the password."""
        return f"postgresql://{USER}:{PASSWORD}@{HOST}:{self.port}/{DATABASE}?sslmode=require"

    def connect(self) -> pg8000.native.Connection:
        """A connection as its owner, for a test's own questions."""
        return pg8000.native.Connection(
            USER, unix_sock=str(self.directory / f".s.PGSQL.{self.port}"), database=DATABASE
        )

    def connect_over_tls(self, port: int) -> pg8000.native.Connection:
        """A connection to a port as a function makes it."""
        context = ssl.create_default_context(cafile=self.authorities)
        return pg8000.native.Connection(
            USER, host=HOST, port=port, password=PASSWORD, database=DATABASE, ssl_context=context
        )

    def start(self) -> None:
        self._control("start", "--wait", "--log", str(self.directory / "log"))

    def stop(self) -> None:
        self._control("stop", "--wait", "--mode", "immediate")

    def _control(self, *arguments: str) -> None:
        data = str(self.directory / "data")
        run(self.programs / "pg_ctl", *arguments, "--silent", "--pgdata", data)


@contextmanager
def postgres(schema: Path | None = None) -> Iterator[Server]:
    """A server on a loopback port that only lets in who has the password, over TLS.

    schema: a script for its database.
    """
    programs = find_programs()
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as temporary:  # a short path
        directory = Path(temporary)
        data = directory / "data"
        (directory / "password").write_text(PASSWORD, encoding="ascii")
        make_certificate(directory)
        if user := user_of_server():
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, user)
        run(
            *(programs / "initdb", "--pgdata", str(data), "--username", USER),
            *("--pwfile", str(directory / "password"), "--auth-local", "trust"),
            *("--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-sync"),
            # Not C: the columns' own collation has to be what makes the order right.
            *("--locale-provider", "icu", "--icu-locale", "en-US", "--locale", "C.UTF-8"),
        )
        port = free_port()
        with (data / "postgresql.conf").open("a", encoding="ascii") as settings:
            settings.write(
                f"listen_addresses = '{HOST}'\nport = {port}\nfsync = off\n"
                f"unix_socket_directories = '{directory}'\n"
                f"ssl = on\nssl_cert_file = '{directory}/server.pem'\n"
                f"ssl_key_file = '{directory}/server.key'\n"
            )
        rules = data / "pg_hba.conf"
        rules.write_text(rules.read_text("ascii").replace("host ", "hostssl "), encoding="ascii")
        server = Server(directory, port, directory / "server.pem", programs)
        server.start()
        try:
            owner = pg8000.native.Connection(USER, unix_sock=f"{directory}/.s.PGSQL.{port}")
            owner.run(f"CREATE DATABASE {DATABASE}")
            owner.close()
            if schema:
                connection = server.connect()
                connection.run(schema.read_text("utf-8"))
                connection.close()
            yield server
        finally:
            server.stop()


@contextmanager
def pooler(server: Server, connections: int) -> Iterator[int]:
    """PgBouncer in transaction mode before a server, with that many connections to it.

    Returns: its port, where it speaks TLS as the server does.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        raise RuntimeError(NO_POOLER)
    directory, port = server.directory, free_port()
    (directory / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n', encoding="ascii")
    (directory / "pooler.ini").write_text(
        f"[databases]\n{DATABASE} = host={HOST} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {directory}/users.txt\n"
        f"pool_mode = transaction\ndefault_pool_size = {connections}\n"
        f"client_tls_sslmode = require\nclient_tls_cert_file = {directory}/server.pem\n"
        f"client_tls_key_file = {directory}/server.key\nserver_tls_sslmode = require\n",
        encoding="ascii",
    )
    running = subprocess.Popen(
        [program, "-q", str(directory / "pooler.ini")],
        user=user_of_server(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, running)
        yield port
    finally:
        running.terminate()
        running.wait()


def wait_for(port: int, running: "subprocess.Popen[bytes]") -> None:
    """Wait until a program listens at its port. Raises: RuntimeError, if it ends before."""
    while running.poll() is None:
        with socket.socket() as one:
            if one.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{running.args!r} ended with {running.returncode}")


def find_programs() -> Path:
    """Where initdb and pg_ctl are."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    for pattern in DIRECTORIES:
        for directory in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (directory / "pg_ctl").exists():
                return directory
    raise RuntimeError(MISSING)


def user_of_server() -> str | None:
    """Root may not run a server: the user that Debian's package makes, or nobody."""
    if os.geteuid() != 0:
        return None
    names = {line.partition(":")[0] for line in Path("/etc/passwd").read_text("utf-8").splitlines()}
    return "postgres" if "postgres" in names else "nobody"


def run(program: Path, *arguments: str) -> None:
    done = subprocess.run(
        [program, *arguments],
        user=user_of_server(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if program.name != "pg_ctl" else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} failed: {done.stdout}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def make_certificate(directory: Path) -> None:
    """A certificate for HOST, signed by itself, as server.pem and server.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's server")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = directory / "server.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    private.chmod(0o600)
