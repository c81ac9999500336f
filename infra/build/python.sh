#!/bin/sh
# Prints the path of a Python 3.13 to make the virtual environments with.
# $1: the Python to use (optional). If none is found, uv can download one after asking.
set -eu

is_313() { [ -n "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }

if [ -n "${1:-}" ]; then
    if ! is_313 "$1"; then
        echo "make: PYTHON=$1 is not a Python 3.13" >&2
        exit 1
    fi
    command -v "$1"
    exit
fi
for candidate in python3.13 python3 python; do
    if is_313 "$candidate"; then
        command -v "$candidate"
        exit
    fi
done
if ! command -v uv >/dev/null; then
    echo "make: Python 3.13 is needed, and was not found. Install it, or uv (https://docs.astral.sh/uv/)," \
        "which can download it; or name one: make PYTHON=/path/to/python3.13" >&2
    exit 1
fi
found=$(uv python find --no-project 3.13 2>/dev/null || true)
if ! is_313 "$found"; then
    if ! [ -t 0 ]; then
        echo "make: Python 3.13 is needed, and was not found. Download it with: uv python install 3.13" >&2
        exit 1
    fi
    printf 'Python 3.13 was not found. Let uv download it (about 30 MB, for your user alone)? [y/N] ' >&2
    read -r answer
    case $answer in
        [yY]*) uv python install 3.13 >&2 ;;
        *) exit 1 ;;
    esac
    found=$(uv python find --no-project 3.13)
fi
echo "$found"
