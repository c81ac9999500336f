"""Photographs the console for docs/: the demo's data, in a cloud of its own (`make pictures`)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from infra import chromium
from infra.local.cloud import CLOUD_ERRORS, LocalCloud, LocalCloudError
from infra.local.demo import DEMO_REQUESTS, EVENT, PATIENCE_SECONDS, PROFILE, drained
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.stack import DEVELOPMENT_API_KEY, ROOT, Stack, build, deploy, headers_for
from infra.local.start import announced
from infra.local.story import complain, say, step, wait_until

DOCS = ROOT / "docs"
SIZE = {"width": 1280, "height": 860}
PROFILES = ("12345", "23456", "34567")
STATUSES = ("processing", "summarizing", "ready")


def main() -> int:
    """Write the pictures; without a browser, leave them as they are."""
    browser = chromium.found()
    if browser is None:
        complain(f"The pictures stay as they are: {chromium.MISSING}")
        return 0
    try:
        with LocalCloud() as cloud, FakeProfileApi(key=DEVELOPMENT_API_KEY) as api:
            api.profiles.update(dict.fromkeys(PROFILES, PROFILE))
            with step("a cloud with the template"):
                stack = deploy(
                    cloud,
                    build(cloud.directory),
                    api_key=DEVELOPMENT_API_KEY,
                    HydrateProfiles="true",
                    ProfileApiUrl=api.url,
                )
            with step("the demo's events, and a few more"):
                deliver(stack)
            file = cloud.directory / "cloud.json"
            with announced(stack, file), console(file) as link, step("three pages"):
                photograph(browser, link)
    except (LocalCloudError, TimeoutError, *CLOUD_ERRORS) as error:
        complain(f"The pictures failed: {error}")
        return 1
    return 0


def deliver(stack: Stack) -> None:
    """The demo's deliveries first, then three profiles on their way to ready."""
    now = datetime.now(UTC).replace(microsecond=0)
    bodies = [(one.body, one.secret) for one in DEMO_REQUESTS]
    for number, (profile, status) in enumerate((p, s) for s in STATUSES for p in PROFILES):
        event = EVENT | {
            "id": f"evt_20{number:02}",
            "data": {"profile_id": profile, "status": status, "step": number + 1},
            "created_at": f"{now - timedelta(minutes=9 - number):%Y-%m-%dT%H:%M:%SZ}",
        }
        bodies.append((event, stack.secret))
    for body, secret in bodies:
        stack.post(json.dumps(body), headers_for(secret))
        wait_until(lambda: drained(stack), seconds=PATIENCE_SECONDS, what="the events queue")


@contextmanager
def console(file: Path) -> Iterator[str]:
    """A console as an operator starts it. Yields: its link."""
    with subprocess.Popen(
        [sys.executable, "-m", "gpw.cli.app", "ui", "--local", "--write", "--json"],
        cwd=ROOT,
        env=os.environ | {"GPW_CLOUD_FILE": str(file)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            lines = iter(process.stdout or ())
            text = ""
            while not text.endswith("}\n"):
                text += next(lines)
            yield json.loads(text)["url"]
        finally:
            process.terminate()


def photograph(browser: str, link: str) -> None:
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's refuses to work for root
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=root)
        page = started.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
        address = link.partition("/?")[0]
        page.goto(link)
        expect(page.locator(".checks li", has_text="alarms")).to_be_visible(timeout=60_000)
        expect(page.locator("svg.chart rect.applied").first).to_be_visible(timeout=60_000)
        _save(page, "console-overview")
        page.goto(f"{address}/events")
        expect(page.locator("#rows tr[data-row]")).to_have_count(11, timeout=60_000)
        _save(page, "console-events")
        page.get_by_role("link", name="evt_2006", exact=True).click()
        expect(page.locator("ol.way")).to_contain_text("published", timeout=60_000)
        _save(page, "console-event")
        started.close()


def _save(page: Page, name: str) -> None:
    page.screenshot(path=DOCS / f"{name}.png")
    say(f" {name}.png")


if __name__ == "__main__":
    sys.exit(main())
