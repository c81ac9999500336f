"""A function's modules imported anew, as Lambda does when it starts a worker."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

SHARED = {"runtime", "batch"}  # they read the environment of the function that imports them


def cold_start(package: str) -> ModuleType:
    """The function's handler module, with clients, caches and settings of its own.

    What keeps nothing of an invocation (the domain, libraries) stays imported: it takes a second.
    """
    # An earlier start's logger would keep that one's output.
    logging.Logger.manager.loggerDict.pop("getprofile.webhooks", None)
    for name in _modules_of(package):
        del sys.modules[name]
    return importlib.import_module(f"{package}.handler")


@contextmanager
def restored_modules() -> Iterator[None]:
    """Afterwards, the functions' modules are those of before."""
    packages = ("ingest", "consumer", "publisher", "hydrator")
    before = {name: sys.modules[name] for one in packages for name in _modules_of(one)}
    yield
    for package in packages:
        for name in _modules_of(package):
            del sys.modules[name]
    sys.modules.update(before)


def _modules_of(package: str) -> list[str]:
    return [n for n in sys.modules if n in SHARED or n.partition(".")[0] == package]
