"""Bytecode for a built artifact: without it every cold start compiles all sources anew."""

import argparse
import compileall
import py_compile
import sys
from pathlib import Path

RUNTIME = (3, 13)  # template.yaml's python3.13: another version's bytecode would not be used


def compile_artifacts(build_dir: Path) -> int:
    """Compile every function in a `sam build` directory. Returns: how many there were.

    /var/task is read-only, so Python can't keep what it compiles there. The bytecode is marked as
    unchecked, because the time stamps of an unzipped source say nothing.
    """
    functions = [path for path in sorted(build_dir.iterdir()) if path.is_dir()]
    for function in functions:
        done = compileall.compile_dir(
            function, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        if not done:
            raise SystemExit(f"{function.name}: a source could not be compiled")
        print(f"Compiled {function.name}")
    return len(functions)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build_dir", nargs="?", type=Path, default=Path(".aws-sam/build"))
    build_dir: Path = parser.parse_args().build_dir
    if sys.version_info[:2] != RUNTIME:
        parser.error(f"needs Python {'.'.join(map(str, RUNTIME))}, the functions' runtime")
    if not build_dir.is_dir():
        parser.error(f"{build_dir} is not there: run `sam build` first")
    if not compile_artifacts(build_dir):
        parser.error(f"{build_dir} holds no function: run `sam build` first")
    return 0


if __name__ == "__main__":
    sys.exit(main())
