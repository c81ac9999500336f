"""A function's modules imported anew, as Lambda does when it starts a worker."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# They read the environment of the function that imports them.
SHARED = {f"receiver.lambda_support.{name}" for name in ("log", "batch")}


def cold_start(package: str) -> ModuleType:
    """The function's handler module, with clients, caches and settings of its own.

    What keeps nothing of an invocation (the domain, libraries) stays imported: it takes a second.
    """
    # An earlier start's logger would keep that one's output.
    logging.Logger.manager.loggerDict.pop("getprofile.webhooks", None)
    for name in _modules_of(package):
        _forget(name)
    return importlib.import_module(f"receiver.{package}.handler")


@contextmanager
def restored_modules() -> Iterator[None]:
    """Afterwards, the functions' modules are those of before."""
    packages = ("ingest", "consumer", "publisher", "hydrator")
    before = {name: sys.modules[name] for one in packages for name in _modules_of(one)}
    yield
    for package in packages:
        for name in _modules_of(package):
            _forget(name)
    for name, module in before.items():
        sys.modules[name] = module
        parent, _dot, child = name.rpartition(".")
        setattr(sys.modules[parent], child, module)


def _forget(name: str) -> None:
    """Remove a module, from its package too: `from package import module` reads it there."""
    del sys.modules[name]
    parent, _dot, child = name.rpartition(".")
    if parent in sys.modules:
        vars(sys.modules[parent]).pop(child, None)


def _modules_of(package: str) -> list[str]:
    own = f"receiver.{package}"
    return [n for n in sys.modules if n in SHARED or n == own or n.startswith(f"{own}.")]
