"""The local cloud's worker processes, each of which runs one function."""

import subprocess

from infra.local.stack import Stack


def workers(stack: Stack, *functions: str) -> list[int]:
    """The ids of the processes that run one of the functions, by logical id."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    mine = str(stack.cloud.directory)
    return [
        int(line.split()[0])
        for line in listed.splitlines()
        if mine in line and "_worker.py" in line and any(f"-{name}-" in line for name in functions)
    ]
