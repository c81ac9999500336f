"""The folder in which `make start` keeps what is in its local cloud, from one run to the next."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from infra.local.cloud import LocalCloudError

STAMP = "ministack-version"
NEW, OLD = ".new", ".old"  # beside the folder: what a run works on, and what it replaces at its end
# MiniStack writes a file for each service. A stack without one of these is not whole.
NEEDED = {"apigateway", "cloudformation", "dynamodb", "iam", "lambda", "secretsmanager", "sqs"}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder while the block lasts. Raises: LocalCloudError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalCloudError("another `make start` is starting or stopping here") from None
        yield


def holds_something(folder: Path) -> bool:
    return any(folder.glob("*.json"))


def defect(folder: Path) -> str | None:
    """Why MiniStack can't load what the folder holds; None if it can, or there is nothing."""
    if not holds_something(folder):
        return None
    stamp = folder / STAMP
    by, here = stamp.read_text() if stamp.exists() else "unknown", version("ministack")
    if by != here:
        return f"it was saved by MiniStack {by}, and this is {here}"
    if missing := NEEDED - {path.stem for path in folder.glob("*.json")}:
        return f"{min(missing)}.json is missing"
    for path in sorted(folder.glob("*.json")):
        try:
            whole = "payload" in json.loads(path.read_bytes())
        except (ValueError, TypeError):
            whole = False
        if not whole:
            return f"{path.name} is cut off or damaged"
    return None


def prepare(folder: Path) -> Path:
    """Make a copy of the folder for MiniStack to load from and to save to. Returns: the copy.

    MiniStack saves one file after the other. `complete` puts the copy in the folder's place once
    all are there, so that a run that ends in between leaves what the run before it saved.
    """
    copy = folder.with_suffix(NEW)
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(mode=0o700, parents=True)  # it will hold the secret and payloads
    if folder.exists():
        # Links suffice: MiniStack replaces files, and never changes one.
        shutil.copytree(folder, copy, copy_function=os.link, dirs_exist_ok=True)
    stamp = copy / STAMP
    stamp.unlink(missing_ok=True)
    stamp.write_text(version("ministack"))
    functions = copy / "lambda.json"
    if functions.exists():
        # MiniStack saves how far a stream was read, but not the stream. A publisher that goes on
        # from the old position would skip that many of the next events.
        content = json.loads(functions.read_bytes())
        content["payload"].pop("dynamodb_stream_positions", None)
        functions.unlink()
        functions.write_text(json.dumps(content))
    return copy


def complete(copy: Path) -> str | None:
    """Put a copy that MiniStack has saved to in the folder's place.

    Returns: why it is not whole, so that the folder stays as it is; None if it was put there.
    """
    if why := defect(copy):
        return why
    folder = copy.with_suffix("")
    old = folder.with_suffix(OLD)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    copy.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return None


def recover(folder: Path) -> None:
    """Bring the folder back, if the last run was killed while it put another in its place."""
    old = folder.with_suffix(OLD)
    if old.exists() and not folder.exists():
        old.rename(folder)


def set_aside(folder: Path) -> Path:
    """Rename the folder, so that the next start is an empty one. Returns: its new path."""
    aside = folder.with_name(f"{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    folder.rename(aside)
    return aside


def discard(folder: Path) -> None:
    """Delete everything that is kept."""
    for one in (folder, folder.with_suffix(NEW), folder.with_suffix(OLD)):
        shutil.rmtree(one, ignore_errors=True)
