"""The table over PostgreSQL's own protocol: RDS, RDS Proxy, Aurora, or any other server."""

import json
import ssl
from pathlib import Path
from typing import Any

import pg8000.native  # pure Python, so one artifact runs on arm64 and x86_64
from pg8000.exceptions import DatabaseError

from profiles import UPSERT, RefusedError

# Certificates of RDS are signed by authorities of RDS: put its bundle here under this name. Without
# the file, public authorities count, which is right for RDS Proxy.
AUTHORITIES = Path(__file__).with_name("database-ca.pem")
TIMEOUT_SECONDS = 5  # for each answer of the server
# Classes of SQLSTATE that say nothing about the event: the connection, a server that became
# read-only in a failover, resources, a shutdown, the system.
_OF_THE_SERVER = {"08", "25", "53", "57", "58", "XX"}


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
        try:
            self._connection.run(UPSERT, event=event)
            return bool(self._connection.row_count > 0)
        except DatabaseError as error:
            code = _sqlstate(error)
            if code[:2] not in _OF_THE_SERVER:
                # The connection is as good as before. The error's own text quotes the event.
                raise RefusedError(f"SQLSTATE {code}") from None
            self._forget()
            raise
        except Exception:
            self._forget()
            raise

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
        # It is broken, and a new one follows.
        except Exception:  # noqa: S110
            pass


def _sqlstate(error: DatabaseError) -> str:
    told = error.args[0] if error.args else None
    return str(told.get("C", "?")) if isinstance(told, dict) else "?"
