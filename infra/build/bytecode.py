"""Compile the built functions to bytecode, which SAM does not ship and Lambda can't write.

Usage: python infra/build/bytecode.py [BUILD_DIR]    (after `sam build`)

Without it every cold start compiles every module again. The bytecode is "unchecked": Python loads
it without a look at the source, whose time stamp the deployment package changes. The tests that a
package brings along (600 KB of simplejson) are removed.
"""

import compileall
import re
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

TASK_ROOT = "/var/task"  # where Lambda unpacks a function


def compile_artifacts(build_dir: Path) -> int:
    """Compile each function directory of a SAM build directory.

    Returns: how many. Raises: SystemExit, with what to do, when there is nothing to compile, this
    is not the Python that the functions run on, or a module does not compile.
    """
    template = build_dir / "template.yaml"
    if not template.is_file():
        sys.exit(f"{build_dir} is not a SAM build: run `sam build` first")
    runtimes = set(re.findall(r"^\s*Runtime: (\S+)", template.read_text("utf-8"), re.MULTILINE))
    current = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if runtimes != {current}:
        wanted = ", ".join(sorted(runtimes)) or "no Python"
        sys.exit(f"The functions run on {wanted}, this is {current}: its bytecode is of no use")
    directories = [d for d in sorted(build_dir.iterdir()) if d.is_dir() and any(d.rglob("*.py"))]
    if not directories:
        sys.exit(f"{build_dir} has no function: run `sam build` again")
    for directory in directories:
        compile_directory(directory)
    return len(directories)


def compile_directory(directory: Path) -> None:
    """Compile one function, which becomes what Lambda unpacks at TASK_ROOT. Raises: SystemExit."""
    for tests in directory.glob("*/tests"):
        shutil.rmtree(tests)
    compiled = compileall.compile_dir(
        directory,
        quiet=1,
        force=True,
        # In this process: workers would talk through a socket, whose path has 107 characters
        # at most, and that of a temporary directory may be longer.
        workers=1,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        # The same bytes wherever it is built, so that an unchanged function is not deployed.
        stripdir=directory,
        prependdir=TASK_ROOT,
    )
    if not compiled:
        sys.exit(f"{directory} has a module that does not compile: see above")


if __name__ == "__main__":
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".aws-sam/build")
    count = compile_artifacts(directory)
    print(f"Compiled {count} function director{'y' if count == 1 else 'ies'} in {directory}")
