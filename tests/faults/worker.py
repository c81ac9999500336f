"""A worker of ConsumerFunction that a test can kill.

Reads one invocation a line: {"environment": …, "event": …, "seconds": …}. For each it forks a fresh
process, as a cold start is, which loads the handler and runs it. Writes JSON lines: {"pid": …} as
soon as the process runs, {"response": …} if the handler got that far, {"exit": …} at the end.
"""

import json
import os
import sys
from typing import Any

from receiver.aws.clients import Budget, make_client
from receiver.lambda_support import log  # noqa: F401  imported once, so that a fork has it already
from tests.faults.system import Context, countdown


def main() -> None:
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the function's log
    for service in ("sqs", "dynamodb"):  # descriptions of the services, read once for all forks
        make_client(service, Budget(1, 1, 1)).close()
    for line in sys.stdin:
        invocation = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _answer(answers, pid=os.getpid())
            os.environ.update(invocation["environment"])
            _answer(answers, response=_handle(invocation["event"], invocation["seconds"]))
            os._exit(0)
        _pid, status = os.waitpid(pid, 0)
        _answer(answers, exit=os.waitstatus_to_exitcode(status))


def _handle(event: dict[str, Any], seconds: float) -> dict[str, Any]:
    from receiver.consumer.handler import lambda_handler

    return lambda_handler(event, Context(countdown(seconds)))


def _answer(answers: int, **document: Any) -> None:
    os.write(answers, json.dumps(document).encode() + b"\n")


if __name__ == "__main__":
    main()
