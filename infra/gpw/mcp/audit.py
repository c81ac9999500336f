"""The audit log: a line for each call, in a file that only its user can read."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpw.stack import printable_json
from gpw.stack.errors import OperatorError
from receiver.domain.version import timestamp

MOST = 2_000  # characters of a call's arguments in the log


def default_path() -> Path:
    """Where the log is by default: the XDG directory for state."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").joinpath(
        "gpw", "mcp-audit.jsonl"
    )


class Audit:
    """Appends lines of JSON to a file. Several servers can share it: a line is one write."""

    def __init__(self, path: Path) -> None:
        """Raises: OperatorError, if the file can't be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise OperatorError(
                f"The audit log {path} can't be written: {error.strerror}",
                "name another file with --audit-log",
            ) from None

    def write(self, *, arguments: Any = None, **fields: Any) -> None:
        """Append a line. Raises: OperatorError, because no call may go unrecorded."""
        line = {"at": timestamp(datetime.now(UTC)), **fields}
        if arguments:
            line["arguments"] = printable_json.dumps(arguments)[:MOST]
        try:
            os.write(self._file, f"{printable_json.dumps(line)}\n".encode())
        except OSError as error:
            raise OperatorError(f"The audit log can't be written: {error.strerror}") from None
