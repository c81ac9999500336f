#!/bin/sh
# Sees to PostgreSQL's server and PgBouncer, which the tests of infra/examples/postgres start for
# themselves. Installs Debian's packages where they are missing and this may be done; else the tests
# say what to do.
set -eu

missing=postgresql
for directory in "$(dirname "$(command -v pg_ctl || echo /)")" \
    /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin; do
    if [ -x "$directory/pg_ctl" ]; then
        missing=
    fi
done
if ! PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null; then
    missing="$missing pgbouncer"
fi
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing for the tests:" $missing
    # No cluster of its own: the tests make theirs.
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing >/dev/null; } ||
        echo "PostgreSQL could not be installed" >&2
elif [ -n "${CI:-}" ] && command -v brew >/dev/null; then
    brew install --quiet postgresql@17 pgbouncer || echo "PostgreSQL could not be installed" >&2
fi
