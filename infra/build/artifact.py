"""Make built functions ready for Lambda: bytecode and the SDK's data in, the builder's traces out.

Usage: python -m infra.build.artifact [BUILD_DIR]    (after `sam build`)

Without bytecode, every cold start compiles every module again. The bytecode is "unchecked": Python
loads it without comparing it with the source, because packaging changes the timestamps of the
source files. SAM compiles nothing, and Lambda can't.

The script also removes what no function runs: the tests that packages contain (600 KB of
simplejson) and their console scripts, whose first line is the path of the builder's Python. With
them go the packages' lists of installed files, which name what is no longer there. So the same
sources give the same bytes in every directory.
"""

import compileall
import re
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

from infra.build import sdk_data

TASK_ROOT = "/var/task"  # where Lambda unpacks a function


def prepare_all(build_dir: Path) -> int:
    """Prepare each function directory of a SAM build directory.

    Returns: the number of directories. Raises: SystemExit, with advice, if there is nothing to
    compile, if the functions run on another version of Python, or if a module does not compile.
    """
    template = build_dir / "template.yaml"
    if not template.is_file():
        sys.exit(f"{build_dir} is not a SAM build: run `sam build` first")
    runtimes = set(re.findall(r"^\s*Runtime: (\S+)", template.read_text("utf-8"), re.MULTILINE))
    current = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if runtimes != {current}:
        wanted = ", ".join(sorted(runtimes)) or "no Python"
        sys.exit(
            f"The functions run on {wanted}, but this is {current}, whose bytecode they can't use"
        )
    directories = [d for d in sorted(build_dir.iterdir()) if d.is_dir() and any(d.rglob("*.py"))]
    if not directories:
        sys.exit(f"{build_dir} has no function: run `sam build` again")
    for directory in directories:
        prepare(directory)
    return len(directories)


def prepare(directory: Path) -> None:
    """Prepare one function directory, which Lambda unpacks at TASK_ROOT. Raises: SystemExit."""
    sdk_data.write(directory)
    for unused in (directory / "bin", *directory.glob("*/tests")):
        shutil.rmtree(unused, ignore_errors=True)
    for listing in directory.glob("*.dist-info/RECORD"):
        listing.unlink()
    compiled = compileall.compile_dir(
        directory,
        quiet=1,
        force=True,
        # In this process, because workers communicate through a socket. Its path may have at most
        # 107 characters, and the path of a temporary directory can be longer.
        workers=1,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        # Makes the bytes independent of the build directory, so that an unchanged function is not
        # deployed again.
        stripdir=directory,
        prependdir=TASK_ROOT,
    )
    if not compiled:
        sys.exit(f"A module in {directory} does not compile: see above")


if __name__ == "__main__":
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".aws-sam/build")
    count = prepare_all(directory)
    print(f"Prepared {count} function director{'y' if count == 1 else 'ies'} in {directory}")
