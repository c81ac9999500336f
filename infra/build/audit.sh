#!/bin/sh
# Checks the deployed packages for known vulnerabilities. $@: the command pip-audit.
#
# Exits 1 if there is one. Where the advisory service does not answer, it says so and exits 0, so that
# a machine without access to the service can still run the other checks.

output=$("$@" --progress-spinner off --disable-pip \
    --requirement functions/requirements.txt \
    --requirement infra/examples/postgres/function/requirements.txt 2>&1)
code=$?
case $output in
*"Found "*" known vulnerabilit"*)
    echo "$output"
    exit 1
    ;;
*"could not be audited"*)
    echo "$output"
    echo "SKIPPED: the advisory service has no answer for the packages above"
    ;;
*)
    echo "$output" | tail -n 1
    [ "$code" = 0 ] || echo "SKIPPED: the advisory service does not answer"
    ;;
esac
