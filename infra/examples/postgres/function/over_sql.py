"""The table over PostgreSQL's own protocol: RDS, RDS Proxy, Aurora, or any other server."""

import json
import ssl
from pathlib import Path
from typing import Any

import pg8000.native  # pure Python, so one artifact runs on arm64 and x86_64
from pg8000.exceptions import DatabaseError

from profiles import UPSERT, RefusedError, UnavailableError, error_of

# Certificates of RDS are signed by authorities of RDS: put its bundle here under this name. Without
# the file, public authorities count, which is right for RDS Proxy.
AUTHORITIES = Path(__file__).with_name("database-ca.pem")
TIMEOUT_SECONDS = 5  # for each answer of the server


class SqlProfiles:
    """The table behind one connection, which is kept, and replaced when it breaks.

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
        except RefusedError:
            raise
        except Exception:
            if not kept:
                raise
        # The kept connection may have been closed while the function was frozen. The statement can
        # be repeated, whatever became of the first attempt.
        return self._run(event)

    def _run(self, event: str) -> bool:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        try:
            # pg8000 sends a statement in two steps. Outside a transaction, a pooler such as
            # PgBouncer may send each to another server, where it meets another client's statement.
            connection.run("BEGIN")
            try:
                connection.run(UPSERT, event=event)
                changed = connection.row_count > 0
                connection.run("COMMIT")
            except DatabaseError as error:
                failure = error_of(_sqlstate(error))  # the error's own text can quote the event
                if isinstance(failure, RefusedError):
                    connection.run("ROLLBACK")
                raise failure from None
        except RefusedError:
            raise  # the connection is as good as before
        except Exception:
            self._forget()
            raise
        return bool(changed)

    def _connect(self) -> pg8000.native.Connection:
        found = self._secrets.get_secret_value(SecretId=self._secret_id)
        login = json.loads(found["SecretString"])
        authorities = AUTHORITIES if AUTHORITIES.exists() else None
        try:
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
        except DatabaseError as error:
            raise UnavailableError(f"SQLSTATE {_sqlstate(error)}") from None

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        # It is broken, and a new one follows.
        except Exception:  # noqa: S110
            pass


def _sqlstate(error: DatabaseError) -> str:
    told = error.args[0] if error.args else None
    return str(told.get("C", "?")) if isinstance(told, dict) else "?"
