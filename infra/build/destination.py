"""Says which stack `make deploy` changes, and creates none that nobody asked for.

Usage: python -m infra.build.destination [--config-env ENV] [--new]    (a part of `make deploy`)

`sam deploy` creates the stack that samconfig.toml names wherever no such stack is. A fresh checkout
or another region is enough: GetProfile would go on delivering to the old stack, and the new one
would be empty. So without --new (`make deploy GUIDED=1` or `NEW=1`) the stack must exist.
"""

import argparse
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from gpw.stack.errors import explained
from gpw.stack.target import samconfig

ROOT = Path(__file__).resolve().parents[2]
NOT_YET = "REVIEW_IN_PROGRESS"  # a stack whose first change set was not executed
SETTINGS = (
    "`make deploy` reads profile and region in samconfig.toml, or AWS_PROFILE and "
    "AWS_DEFAULT_REGION. SAM does not read AWS_REGION."
)
WOULD_CREATE = """\
There is no stack {stack} in {place}.
This would create one, with empty tables, another URL and another secret.
  To upgrade a stack, use its account, and the samconfig.toml that it was deployed with: it has the
  stack's name and region.
  To create one: make deploy GUIDED=1, or NEW=1 to be asked nothing."""


def check(file: Path, environment: str, *, new: bool) -> str:
    """Look for the stack that `sam deploy` would deploy to. Returns: what to tell the user.

    file: samconfig.toml. environment: its section. new: whether the stack may be missing.
    Raises: SystemExit, with advice; BotoCoreError, ClientError.
    """
    saved = samconfig(file, environment)
    stack = saved.get("stack_name", "")
    if not (stack or new):
        sys.exit(f"samconfig.toml has no stack_name for {environment}: make deploy GUIDED=1")
    session = boto3.Session(profile_name=saved.get("profile"), region_name=saved.get("region"))
    account = session.client("sts").get_caller_identity()["Account"]
    if new and not session.region_name:
        return f"Account {account}; no region is set, so SAM asks for it."
    place = f"account {account}, region {session.region_name}"
    if stack and _exists(session, stack):
        return f"The stack {stack} in {place} will be updated."
    if not new:
        sys.exit(WOULD_CREATE.format(stack=stack, place=place))
    return f"There is no stack {stack or 'yet'} in {place}: a new one will be created."


def _exists(session: boto3.Session, stack: str) -> bool:
    try:
        [found] = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return False
        raise
    return found["StackStatus"] != NOT_YET


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Say which stack `make deploy` changes.")
    parser.add_argument("--config-env", default="default", help="a section of samconfig.toml")
    parser.add_argument("--new", action="store_true", help="the stack may be missing")
    options = parser.parse_args(arguments)
    try:
        print(check(ROOT / "samconfig.toml", options.config_env, new=options.new))
    except NoRegionError:
        sys.exit(f"No AWS region is set.\n  {SETTINGS}")
    except (BotoCoreError, ClientError) as error:
        told = explained(error)
        sys.exit(f"{told}\n  {told.fix}\n  {SETTINGS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
