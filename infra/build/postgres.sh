#!/bin/sh
# Sees to the PostgreSQL server that the tests of infra/examples/postgres start for themselves.
# Installs Debian's package where it is missing and this may be done; else the tests say what to do.
set -eu

for directory in "$(dirname "$(command -v pg_ctl || echo /)")" \
    /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin; do
    if [ -x "$directory/pg_ctl" ]; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing PostgreSQL's server for the tests"
    # No cluster of its own: the tests make theirs.
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql >/dev/null; } ||
        echo "PostgreSQL could not be installed" >&2
elif [ -n "${CI:-}" ] && command -v brew >/dev/null; then
    brew install --quiet postgresql@17 || echo "PostgreSQL could not be installed" >&2
fi
