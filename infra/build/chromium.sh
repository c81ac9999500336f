#!/bin/sh
# Installs Debian's Chromium for the console's browser tests, where that can be done without asking.
# Never fails: without it, the tests that need it are left out, and pytest says so.
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
if ! command -v apt-get >/dev/null 2>&1; then
  echo "make: no Chromium was found, and no apt-get to install it: the browser tests are left out" >&2
  exit 0
fi
if [ "$(id -u)" = 0 ]; then as=""; else as="sudo -n"; fi
log=$(mktemp)
echo "Installing Chromium for the browser tests"
if ! { $as apt-get install -y --no-install-recommends chromium ||
  { $as apt-get update && $as apt-get install -y --no-install-recommends chromium; }; } >"$log" 2>&1; then
  echo "make: Chromium can't be installed, so the browser tests are left out. apt-get said:" >&2
  tail -n 3 "$log" >&2
fi
rm -f "$log"
