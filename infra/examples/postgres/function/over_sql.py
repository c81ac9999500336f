"""The table over PostgreSQL's own protocol: RDS, RDS Proxy, Aurora, or any other server."""

import json
import ssl
from pathlib import Path
from typing import Any

import pg8000.native
from pg8000.exceptions import DatabaseError

from profiles import UPSERT, RefusedError

# Certificates of RDS are signed by authorities of RDS: put its bundle here under this name. Without
# the file, public authorities count, which is right for RDS Proxy.
AUTHORITIES = Path(__file__).with_name("database-ca.pem")
TIMEOUT_SECONDS = 5  # for each answer of the server


class SqlProfiles:
    """The table behind one connection, which is kept and made anew when it broke.

    secret_id: of a secret in Secrets Manager with `username` and `password` as JSON, as RDS makes
    it. It is read for each new connection, so a rotated password needs nothing further.
    """

    def __init__(
        self, *, host: str, port: int, database: str, secret_id: str, secrets: Any
    ) -> None:
        self._host, self._port, self._database = host, port, database
        self._secret_id, self._secrets = secret_id, secrets
        self._connection: pg8000.native.Connection | None = None

    def apply(self, event: str) -> bool:
        kept = self._connection is not None
        try:
            return self._run(event)
        except Exception:
            self._forget()
            if not kept:
                raise
        # The kept connection may have been closed while the function was frozen. The statement can
        # be repeated, whatever became of the first attempt.
        try:
            return self._run(event)
        except Exception:
            self._forget()
            raise

    def _run(self, event: str) -> bool:
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.run(UPSERT, event=event)
        except DatabaseError as error:
            raise RefusedError(_code(error)) from None  # its text quotes the event
        return bool(self._connection.row_count > 0)

    def _connect(self) -> pg8000.native.Connection:
        found = self._secrets.get_secret_value(SecretId=self._secret_id)
        login = json.loads(found["SecretString"])
        authorities = AUTHORITIES if AUTHORITIES.exists() else None
        return pg8000.native.Connection(
            login["username"],
            password=login["password"],
            host=self._host,
            port=self._port,
            database=self._database,
            ssl_context=ssl.create_default_context(cafile=authorities),
            timeout=TIMEOUT_SECONDS,
            application_name="getprofile-sync",
        )

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except Exception:  # noqa: S110  # nosec B110  it is broken, and a new one follows
            pass


def _code(error: DatabaseError) -> str:
    told = error.args[0] if error.args else None
    return f"SQLSTATE {told.get('C', '?') if isinstance(told, dict) else '?'}"
