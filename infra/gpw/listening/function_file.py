"""Calls the handler of a Python file with each event, as the file is when the event arrives."""

import inspect
import re
import runpy
import sys
from pathlib import Path
from typing import Any

from gpw.listening.forward import Form, Forward, Function, calling
from gpw.listening.loopback import ON_THIS_MACHINE
from gpw.stack.errors import USAGE, OperatorError

_FILE = re.compile(r"\.py(?::\w+)?$")
HANDLERS = ("handler", "lambda_handler")  # the usual names; otherwise the file's only function


def names_file(text: str) -> bool:
    """Whether a destination is `my.py` or `my.py:function`, and not a URL or a port."""
    return bool(_FILE.search(text)) and "://" not in text and not ON_THIS_MACHINE.fullmatch(text)


class FunctionFile:
    """A Python file with a handler. name: the handler's; None to find it."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self._path, self._name = path, name
        self._saved: tuple[int, int] | None = None
        self._function: Function | None = None

    def current(self) -> Function:
        """The handler; the file is loaded again if it was saved since the last call.

        Raises: OperatorError, if there is none; whatever the file raises.
        """
        found = self._path.stat()
        saved = (found.st_mtime_ns, found.st_size)
        if self._function is None or saved != self._saved:
            self._function = None  # if it fails, the next event tries it again
            # Not imported: a cached import can miss a second save within a second.
            self._function = self._chosen(runpy.run_path(str(self._path), run_name=self._path.stem))
            self._saved = saved
        return self._function

    def _chosen(self, names: dict[str, Any]) -> Function:
        functions = {
            name: one
            for name, one in names.items()
            if inspect.isfunction(one) and Path(one.__code__.co_filename) == self._path
        }
        public = [name for name in functions if not name.startswith("_")]
        usual = [name for name in HANDLERS if name in names]
        for name in [self._name] if self._name else usual or (public if len(public) == 1 else []):
            if callable(found := names.get(name)):
                function: Function = found
                return function
        raise OperatorError(
            f"{self._path.name} has no function {self._name or HANDLERS[0]}",
            f"name one: {self._path.name}:{(public or ['FUNCTION'])[0]}",
            code=USAGE,
        )


def by_file(named: str, *, form: Form, secret: str) -> Forward:
    """Calls the handler of a file. named: `my.py` or `my.py:function`. Raises: OperatorError."""
    file, _colon, name = named.partition(":")
    path = Path(file).resolve()
    function = FunctionFile(path, name or None)
    sys.path.insert(0, str(path.parent))  # as `python my.py` does
    try:
        function.current()
    except OperatorError:
        raise
    except (Exception, SystemExit) as error:
        raise OperatorError(
            f"{path.name} can't be loaded: {type(error).__name__}: {error}", code=USAGE
        ) from None
    return calling(function.current, path.stem, form=form, secret=secret)
