"""The browser of the console's tests: the system's Chromium, where there is one."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = f"no browser ({', '.join(NAMES)}) is on PATH; `sh infra/build/chromium.sh` installs one"


def found() -> str | None:
    """Its path."""
    return next(filter(None, map(shutil.which, NAMES)), None)
