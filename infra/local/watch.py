"""Redeploys the functions of a local cloud when a file under functions/ is saved."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gpw.stack.text import plain
from infra.local.cloud import CLOUD_ERRORS
from infra.local.stack import Stack

POLL_SECONDS = 0.3
PACKAGE = "receiver"
FUNCTIONS = {  # by the package that no other function uses
    "ingest": "IngestFunction",
    "consumer": "ConsumerFunction",
    "publisher": "PublisherFunction",
    "hydrator": "HydratorFunction",
}
_PLACE = re.compile(r'File "(.+)", line (\d+)')

# One process for all, because libraries take most of its time. The last line is the result.
_IMPORT = f"""
import importlib, json, sys, traceback
failed = {{}}
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"{PACKAGE}.{{name}}.handler")
    except Exception:
        failed[name] = traceback.format_exc()
print()
print(json.dumps(failed))
"""

type Saved = dict[Path, tuple[int, int]]  # time and size of each file


@dataclass
class Redeployment:
    """Keeps the functions like their source.

    built: the directory with what `sam build` made of each function. source: functions/, or a copy.
    say: prints a line.
    """

    stack: Stack
    built: Path
    source: Path
    say: Callable[[str], None]
    _known: Saved = field(init=False)

    def __post_init__(self) -> None:
        self._known = saved(self.source)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look for saved files in another thread until the block ends."""
        ending = threading.Event()

        def watch() -> None:
            while not ending.wait(POLL_SECONDS):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def look(self) -> None:
        """Redeploy the functions whose files have changed since the last look, and say so."""
        now = saved(self.source)
        if now == self._known:
            return
        while (later := saved(self.source)) != now:  # an editor is still writing
            now = later
            time.sleep(POLL_SECONDS)
        changed = {path for path, _state in now.items() ^ self._known.items()}
        self._known = now
        names = affected(path.relative_to(self.source) for path in changed)
        began = time.monotonic()
        try:
            problems = self._problems(names)
            good = [name for name in names if name not in problems]
            for problem in dict.fromkeys(problems.values()):
                bad = ", ".join(name for name in names if problems.get(name) == problem)
                self.say(f"Not redeployed, the last good version stays: {bad}. {plain(problem)}")
            with ThreadPoolExecutor(len(FUNCTIONS)) as threads:
                list(threads.map(self._update, good))
        except CLOUD_ERRORS as error:
            self.say(f"Not redeployed: {plain(str(error))}")
            return
        if good:
            files = ", ".join(sorted(path.name for path in changed))
            seconds = time.monotonic() - began
            self.say(f"Redeployed {', '.join(good)} in {seconds:.1f} s, because of {plain(files)}")

    def _problems(self, names: list[str]) -> dict[str, str]:
        """Why functions could not start with their source as it is."""
        functions = self.stack.client("lambda")
        environment = self.stack.cloud.environment
        for name in names:
            found = functions.get_function_configuration(FunctionName=self._id(name))
            environment = environment | found["Environment"]["Variables"]
        tried = subprocess.run(
            [sys.executable, "-c", _IMPORT, *names],
            cwd=self.source,
            env=environment | {"PYTHONPATH": str(self.source), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            failed: dict[str, str] = json.loads(tried.stdout.rstrip().rpartition("\n")[2])
        except ValueError:  # it ended the interpreter
            failed = dict.fromkeys(names, tried.stderr)
        return {name: described(traceback, self.source) for name, traceback in failed.items()}

    def _update(self, name: str) -> None:
        content = archive(self.built / FUNCTIONS[name], self.source)
        _upload(self.stack, FUNCTIONS[name], content)

    def _id(self, name: str) -> str:
        return self.stack.resources[FUNCTIONS[name]]


def deploy_built(stack: Stack, built: Path) -> None:
    """Deploy what was built, even where the template is as before.

    A stack that was kept may run code that was redeployed since `sam deploy`, which then finds no
    change.
    """
    for logical in FUNCTIONS.values():
        _upload(stack, logical, archive(built / logical))


def _upload(stack: Stack, logical: str, content: bytes) -> None:
    functions = stack.client("lambda")
    functions.update_function_code(FunctionName=stack.resources[logical], ZipFile=content)


def saved(source: Path) -> Saved:
    """The modules of a folder, and when they were saved."""
    found: Saved = {}
    for directory, _folders, files in os.walk(source / PACKAGE):
        for file in files:
            if file.endswith(".py"):
                path = Path(directory, file)
                try:
                    state = path.stat()
                except FileNotFoundError:  # deleted meanwhile
                    continue
                found[path] = (state.st_mtime_ns, state.st_size)
    return found


def affected(modules: Iterable[Path]) -> list[str]:
    """The functions that modules belong to; all of them for a module that they share."""
    packages = {module.parts[1] for module in modules}
    return [name for name in FUNCTIONS if packages - FUNCTIONS.keys() or name in packages]


def archive(built: Path, source: Path | None = None) -> bytes:
    """The zip file of a built function, not compressed, because it stays on this machine.

    source: has other modules, to take instead. The bytecode of the built ones is then left out,
    because Python would not compare it with their source.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(built.rglob("*")):
            name = path.relative_to(built)
            replaced = source and name.parts[0] == PACKAGE and path.suffix in {".py", ".pyc"}
            if path.is_file() and not replaced:
                file.write(path, name)
        if source:
            for path in sorted((source / PACKAGE).rglob("*.py")):
                file.write(path, path.relative_to(source))
    return content.getvalue()


def described(traceback: str, source: Path) -> str:
    """The error of a traceback and its place in `source`, on a line."""
    lines = traceback.strip().splitlines() or ["it ended without a word"]
    places = [found for found in map(_PLACE.search, lines) if found]
    own = [found for found in places if Path(found[1]).is_relative_to(source)]
    where = f"{Path(own[-1][1]).relative_to(source)}, line {own[-1][2]}: " if own else ""
    return f"{where}{lines[-1]}"
