"""`gpw ui` as a process, and a browser in front of it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from infra import chromium
from tests.e2e.serving_command import serving


@dataclass(frozen=True)
class Running:
    """A console. link: with the key, for one use."""

    link: str
    port: int
    process: "subprocess.Popen[str]"

    @property
    def url(self) -> str:
        return self.link.partition("/?")[0]


@contextmanager
def console(cloud_file: Path, *options: str) -> Iterator[Running]:
    """A console of the local cloud that the file describes; ended as by Ctrl-C."""
    with serving(cloud_file, "ui", "--local", *options) as (told, process):
        yield Running(told["url"], told["port"], process)


@dataclass
class Window:
    """A page of a browser of its own. problems: what its console and its scripts complained of."""

    page: Page
    problems: list[str] = field(default_factory=list)


def launch(playwright: Playwright) -> Browser:
    # Chromium's sandbox refuses to work for root, as which CI runs.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium.found(), args=root)


@contextmanager
def window(browser: Browser, **settings: Any) -> Iterator[Window]:
    context = browser.new_context(**settings)
    try:
        found = Window(context.new_page())
        found.page.on(
            "console",
            lambda told: found.problems.append(told.text) if told.type == "error" else None,
        )
        found.page.on("pageerror", lambda error: found.problems.append(str(error)))
        found.page.on("dialog", lambda dialog: found.problems.append(dialog.message))
        yield found
    finally:
        context.close()
