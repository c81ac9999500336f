"""`make start`: the stack on this machine until Ctrl-C, with the logs of its functions."""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.gpw.output import plain
from infra.local.cloud import CLOUD_ERRORS, PREFERRED_PORT, LocalCloud, LocalCloudError
from infra.local.profile_api import ProfileApi
from infra.local.stack import DEVELOPMENT_API_KEY, ROOT, STACK_NAME, Stack, build, deploy
from infra.local.story import complain, say, step

ENVIRONMENT_FILE = ROOT / ".local" / "env.json"
CLOUD_FILE = "cloud.json"  # beside it, for gpw --local
SAMPLE = "tests/samples/profile.updated.json"
LOG_GROUPS = {
    "IngestLogGroup": "ingest",
    "ConsumerLogGroup": "consumer",
    "PublisherLogGroup": "publisher",
    "HydratorLogGroup": "hydrator",
}

# Lambda's own lines about an invocation: START, END, REPORT.
_PLATFORM_LINES = ("START ", "END ", "REPORT ")


def main(argv: list[str] | None = None) -> int:
    """argv: the options, when they are not those of the process."""
    parser = argparse.ArgumentParser(
        prog="make start",
        description="Keeps the real template deployed on a local cloud until Ctrl-C and prints "
        "the functions' logs as they happen.",
    )
    parser.add_argument("--port", type=int, help=f"(default: {PREFERRED_PORT}, or a free one)")
    parser.add_argument(
        "--env-file",
        type=Path,
        default=ENVIRONMENT_FILE,
        help="where to write what `sam local --env-vars` needs (default: .local/env.json)",
    )
    parser.add_argument(
        "--docker",
        action="store_true",
        help="let Docker's containers reach the cloud, for `sam local`; any of them can then run "
        "code on this machine, because the cloud's credentials are well known",
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that a kill cleans up as well
    try:
        run(arguments.port, arguments.env_file, for_containers=arguments.docker)
    except (LocalCloudError, *CLOUD_ERRORS) as error:
        complain(f"\nThe local cloud failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped; everything is cleaned up.")
    return 0


def run(port: int | None, env_file: Path, *, for_containers: bool) -> None:
    """for_containers: whether `sam local` is to use the cloud; only then is the file written."""
    say("A cloud on this machine")
    with (
        LocalCloud(port=port, for_containers=for_containers) as cloud,
        ProfileApi(key=DEVELOPMENT_API_KEY, make_up=made_up) as api,
    ):
        with step("sam build: the functions, for this machine's processor"):
            template = build(cloud.directory)
        with step("sam deploy: template.yaml, with IAM enforced"):
            stack = deploy(
                cloud,
                template,
                api_key=DEVELOPMENT_API_KEY,
                HydrateProfiles="true",
                ProfileApiUrl=api.url,
            )
        env_file.parent.mkdir(exist_ok=True)
        with (
            announced(stack, env_file.parent / CLOUD_FILE),
            written(sam_local_environment(stack), env_file) if for_containers else nullcontext(),
        ):
            greet(stack, api, env_file if for_containers else None)
            for line in logs(stack):
                say(line)


@contextmanager
def written(text: str, path: Path) -> Iterator[None]:
    """A file that is there as long as the block lasts."""
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        # Unless another `make start` has put its own there meanwhile.
        if path.exists() and path.read_text(encoding="utf-8") == text:
            path.unlink()


@contextmanager
def announced(stack: Stack, path: Path) -> Iterator[None]:
    """Tell `gpw --local`, through a file, where this cloud is; as long as the block lasts.

    The file is locked meanwhile. The lock goes with this process however it ends, so whoever finds
    the file knows whether the cloud still runs.
    """
    description = {
        "endpoint": stack.cloud.endpoint,
        "stack": STACK_NAME,
        "webhook_url": stack.url,
        "pid": os.getpid(),
    }
    text = json.dumps(description, indent=2) + "\n"
    own = path.with_suffix(f".{os.getpid()}")
    with own.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        own.replace(path)  # whole and locked from the first moment
        try:
            yield
        finally:
            # Unless another `make start` has put its own there meanwhile.
            if path.exists() and path.read_text(encoding="utf-8") == text:
                path.unlink()


def made_up(profile_id: str) -> dict[str, Any]:
    """What the stand-in for GetProfile's API says about any profile."""
    return {
        "name": f"Somebody with the id {profile_id}",
        "interests": ["webhooks"],
        "last_updated": datetime.now(UTC).isoformat(),
        "update_log": ["grows without end, so it is left out"],
    }


def greet(stack: Stack, api: ProfileApi, env_file: Path | None) -> None:
    """env_file: for `sam local`, if that is to use the cloud."""
    bold, regular = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    say(f"\n{bold}Ready{regular}  AWS endpoint {stack.cloud.endpoint}")
    say(f"       webhook URL  {stack.url}")
    say("\nSend an event:\n")
    # This secret is no secret, but the line is likely to be copied for one that is.
    say(f"  printf 'Authorization: Bearer {stack.secret}' | \\")
    say(f"    curl -i '{stack.url}' -H @- \\")
    say(f"    -H 'Content-Type: application/json' -d @{SAMPLE}\n")
    say(f"Full profiles come from a stand-in for GetProfile's API at {api.url}.")
    say(f"  Let it fail: curl -X POST {api.url}/fail, and recover: curl -X POST {api.url}/heal\n")
    say("Operate it from another terminal: .venv/bin/gpw doctor --local; gpw --help")
    say("  In a browser: .venv/bin/gpw ui --local --write")
    if env_file:
        shown = env_file.relative_to(ROOT) if env_file.is_relative_to(ROOT) else env_file
        say(f"For `sam local start-api` (see docs/deploy.md): {shown}")
        say("Docker's containers reach this cloud, and can run code on this machine through it.")
    say("Logs of the functions follow; Ctrl-C ends it all.\n")


def sam_local_environment(stack: Stack) -> str:
    """The file for `sam local --env-vars`: the real queues and secret, the way to this cloud.

    `sam local` itself would resolve `!Ref EventsQueue` to the logical name.
    """
    functions = stack.client("lambda")
    variables: dict[str, str] = {}
    for logical in ("IngestFunction", "ConsumerFunction"):
        found = functions.get_function_configuration(FunctionName=stack.resources[logical])
        variables |= found["Environment"]["Variables"]
    # From inside a container; `--add-host` gives the name on Linux, Docker Desktop has it.
    endpoint = f"http://host.docker.internal:{stack.cloud.port}"
    variables["AWS_ENDPOINT_URL"] = endpoint
    return json.dumps({"Parameters": variables}, indent=2) + "\n"


def logs(stack: Stack) -> Iterator[str]:
    """The functions' log lines as they happen, without end; what steers a terminal is escaped."""
    pages = stack.client("logs").get_paginator("filter_log_events")
    seen: set[tuple[str, int, str]] = set()
    since = 0
    while True:
        latest = since
        for group, name in LOG_GROUPS.items():
            # Looking back a little, because a line can arrive with an earlier time stamp.
            for page in pages.paginate(
                logGroupName=stack.resources[group], startTime=max(0, since - 10_000)
            ):
                for event in page["events"]:
                    line = (event["logStreamName"], event["timestamp"], event["message"])
                    latest = max(latest, event["timestamp"])
                    if line not in seen and not event["message"].startswith(_PLATFORM_LINES):
                        for text in event["message"].rstrip().replace("\t", " ").split("\n"):
                            yield f"{name:<9} {plain(text)}"
                    seen.add(line)
        since = latest
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
