"""`make start`: runs the stack on a local cloud until Ctrl-C, and prints what happens to events."""

import argparse
import fcntl
import json
import os
import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpw.cli.output import Output
from gpw.operations.sample import SAMPLE
from gpw.operations.send import post_all, sample
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target, running_cloud
from gpw.stack.text import plain
from gpw.stack.webhook import current_secret
from infra.local import kept, log
from infra.local.cloud import (
    CLOUD_ERRORS,
    PREFERRED_PORT,
    LocalCloud,
    LocalCloudError,
    PortTakenError,
)
from infra.local.console import RunningConsole
from infra.local.fake_profile_api import FakeProfileApi
from infra.local.keys import pressed
from infra.local.stack import (
    BUILD,
    DEVELOPMENT_API_KEY,
    ROOT,
    Stack,
    build,
    deploy,
    deploy_again,
)
from infra.local.story import complain, say, step
from infra.local.watch import Redeployment, deploy_built

ENVIRONMENT_FILE = ROOT / ".local" / "env.json"
STATE_FOLDER = "state"  # beside it: what the cloud holds, for the next start
CLOUD_FILE = "cloud.json"  # in the same directory; `gpw --local` reads it


def main(argv: list[str] | None = None) -> int:
    """Run the command. argv: the options; by default those of the process."""
    parser = argparse.ArgumentParser(
        prog="make start",
        description="Runs the real template on a local cloud until Ctrl-C, and prints a line for "
        "what happens to each event.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=PREFERRED_PORT,
        help=f"port to listen on (default: {PREFERRED_PORT}); 0 for any free one",
    )
    parser.add_argument(
        "--env-file",
        type=Path,
        default=ENVIRONMENT_FILE,
        help="file to write for `sam local --env-vars` (default: .local/env.json)",
    )
    parser.add_argument(
        "--docker",
        action="store_true",
        help="let Docker containers reach the cloud, as `sam local` needs; any container can then "
        "run code on this machine, because the cloud's credentials are public",
    )
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="start empty: delete the events, profiles and dead letters of earlier runs",
    )
    parser.add_argument(
        "--raw", action="store_true", help="print the lines that the functions write instead"
    )
    arguments = parser.parse_args(argv)
    if running := running_cloud(arguments.env_file.parent / CLOUD_FILE):
        complain(
            f"A local cloud is already running at {running['endpoint']} (process {running['pid']})."
            " Stop it: Ctrl-C in its terminal, or .venv/bin/gpw local down"
        )
        return 1
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that these clean up and save as well
        signal.signal(ending, lambda *_: sys.exit(0))
    try:
        run(
            arguments.port,
            arguments.env_file,
            for_containers=arguments.docker,
            fresh=arguments.fresh,
            raw=arguments.raw,
        )
    except (LocalCloudError, *CLOUD_ERRORS) as error:
        complain(f"\nThe local cloud failed: {error}")
        if isinstance(error, PortTakenError):
            complain("Stop that program, or choose another port: make start PORT=5000")
        return 1
    except KeyboardInterrupt:
        say("\nStopped. The next `make start` has the same data; make start FRESH=1 starts empty.")
    return 0


def run(port: int, env_file: Path, *, for_containers: bool, fresh: bool, raw: bool) -> None:
    """Deploy to a local cloud and print what happens until Ctrl-C.

    for_containers: let `sam local` use the cloud. env_file is written only then.
    fresh: forget what the runs before have kept. raw: print the functions' own lines.
    """
    folder = env_file.parent / STATE_FOLDER
    with (
        kept.locked(folder),
        FakeProfileApi(key=DEVELOPMENT_API_KEY, make_up=made_up) as api,
        ExitStack() as running,
    ):
        kept.recover(folder)
        if fresh:
            kept.discard(folder)
        stack = begin(running, folder, api, port=port, for_containers=for_containers)
        target, out = stack.target, Output()
        cloud_file = env_file.parent / CLOUD_FILE
        with (
            announced(stack, cloud_file),
            written(sam_local_environment(stack), env_file) if for_containers else nullcontext(),
            RunningConsole(cloud_file) as console,
        ):
            since = datetime.now(UTC)
            actions = {
                "s": lambda: send_sample(target, out),
                "c": lambda: open_console(console),
                "q": lambda: os.kill(os.getpid(), signal.SIGINT),
            }
            link = console.link()
            built = stack.cloud.directory / BUILD
            redeployment = Redeployment(stack, built, ROOT / "functions", say)
            with pressed(actions) as keys, redeployment.running():
                greet(stack, api, link, env_file if for_containers else None, keys=keys)
                if raw:
                    for line in log.raw(target, since):
                        say(line)
                else:
                    log.show(target, out, since)


def send_sample(target: Target, out: Output) -> None:
    """Send one event, whose outcome the log will show."""
    planned = sample(
        event_type=SAMPLE["event"],
        tenant=SAMPLE["tenant_id"],
        profile=None,
        status=None,
        count=1,
        duplicate=False,
        stale=False,
        malformed=False,
    )
    try:
        for posting, answer in post_all(target, out, current_secret(target), planned).pairs:
            say(f"Sent {posting.event_id}: {answer.status} {answer.body}")
    except (OperatorError, *CLOUD_ERRORS) as error:
        complain(f"Not sent: {error}")


def open_console(console: RunningConsole) -> None:
    """Open the console in a browser."""
    if link := console.new_link():
        say(f"Console: {link}")
        webbrowser.open(link)
    else:
        complain("The console has ended. Start it again: .venv/bin/gpw ui --local --write")


def begin(
    running: ExitStack, folder: Path, api: FakeProfileApi, *, port: int, for_containers: bool
) -> Stack:
    """Start the cloud with what the folder holds, which is set aside if that is impossible.

    running: keeps the cloud until it ends.
    """

    def attempt(*, stepwise: bool = False) -> Stack:
        with ExitStack() as trying:
            over = kept.holds_something(folder)
            say("Start a local cloud" + (", with the data of the last run" if over else ""))
            state = kept.prepare(folder)
            cloud = trying.enter_context(
                LocalCloud(port=port, for_containers=for_containers, state=state)
            )
            with step("sam build: the functions, for this machine's processor architecture"):
                template = build(cloud.directory)
            with step("sam deploy: template.yaml, with IAM enforced"):
                settings = {"HydrateProfiles": "true", "ProfileApiUrl": api.url}
                if over:
                    stack = deploy_again(cloud, template, stepwise=stepwise, **settings)
                    deploy_built(stack, template.parent)
                else:
                    stack = deploy(cloud, template, api_key=DEVELOPMENT_API_KEY, **settings)
            cloud.keep()
            running.push(trying.pop_all())
        return stack

    why = kept.defect(folder)
    for stepwise in (False, True) if why is None else ():
        try:
            return attempt(stepwise=stepwise)
        except PortTakenError:
            raise
        except (LocalCloudError, *CLOUD_ERRORS) as error:
            if not kept.holds_something(folder):
                raise
            why = str(error).strip()
    assert why  # noqa: S101  for the type checker
    aside = kept.set_aside(folder)
    try:
        stack = attempt()
    except BaseException:  # the data was not the reason, or nobody waited
        aside.rename(folder)
        raise
    said = plain(why.splitlines()[-1])  # where sam deploy says what failed
    say(
        f"Starting empty: the data of the last run can't be used ({said}) "
        f"and was set aside in {aside}"
    )
    return stack


@contextmanager
def written(text: str, path: Path) -> Iterator[None]:
    """Write a file, and remove it when the block ends."""
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        # Unless another `make start` has put its own there meanwhile.
        if path.exists() and path.read_text(encoding="utf-8") == text:
            path.unlink()


@contextmanager
def announced(stack: Stack, path: Path) -> Iterator[None]:
    """Write the file in which `gpw --local` finds this cloud, and remove it when the block ends.

    The file stays locked until then. The lock ends with this process, even if it is killed, so gpw
    can tell whether the cloud of a file is still running.
    """
    text = json.dumps(stack.address | {"pid": os.getpid()}, indent=2) + "\n"
    own = path.with_suffix(f".{os.getpid()}")
    with own.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        own.replace(path)  # so readers see it only complete and locked
        try:
            yield
        finally:
            # Unless another `make start` has put its own there meanwhile.
            if path.exists() and path.read_text(encoding="utf-8") == text:
                path.unlink()


def made_up(profile_id: str) -> dict[str, Any]:
    """The profile that the fake of GetProfile's API returns for any id."""
    return {
        "name": f"Somebody with the id {profile_id}",
        "interests": ["webhooks"],
        "last_updated": datetime.now(UTC).isoformat(),
        "update_log": ["grows without bound, so it is not stored"],
    }


def greet(
    stack: Stack, api: FakeProfileApi, link: str | None, env_file: Path | None, *, keys: bool
) -> None:
    """Print how to use the cloud.

    link: of the console, if it started. env_file: the file for `sam local`, if it was written.
    keys: whether there is a terminal.
    """
    bold, regular = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    say(f"\n{bold}Ready{regular}  webhook URL   {stack.url}")
    say(f"       console       {link or 'did not start: .venv/bin/gpw ui --local --write'}")
    say("       send          .venv/bin/gpw send --local --type billing.invoice_paid")
    say(f"       AWS endpoint  {stack.cloud.endpoint}")
    say(f"       profiles      a stand-in for GetProfile's API at {api.url}")
    say(f"                     (fails after curl -X POST {api.url}/fail, until …/heal)")
    if env_file:
        shown = env_file.relative_to(ROOT) if env_file.is_relative_to(ROOT) else env_file
        say(f"For `sam local start-api` (see docs/deploy.md): {shown}")
        say("Docker containers can reach this cloud, and through it run code on this machine.")
    if keys:
        say(f"\nPress {bold}s{regular} to send an event, {bold}c{regular} to open the console.")
    say("Saving a file under functions/ redeploys its functions.")
    say("Ctrl-C stops everything, and keeps the data for the next start.\n")


def sam_local_environment(stack: Stack) -> str:
    """The content of the file for `sam local --env-vars`.

    It holds the deployed queues, the secret and this cloud's endpoint. Without it, `sam local`
    resolves `!Ref EventsQueue` to the logical name.
    """
    functions = stack.client("lambda")
    variables: dict[str, str] = {}
    for logical in ("IngestFunction", "ConsumerFunction"):
        found = functions.get_function_configuration(FunctionName=stack.resources[logical])
        variables |= found["Environment"]["Variables"]
    # The host's name inside a container. Docker Desktop defines it; on Linux `--add-host` does.
    endpoint = f"http://host.docker.internal:{stack.cloud.port}"
    variables["AWS_ENDPOINT_URL"] = endpoint
    return json.dumps({"Parameters": variables}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
