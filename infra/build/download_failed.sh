#!/bin/sh
# Says what usually helps when packages can't be installed, and fails.
cat >&2 <<'TEXT'
make: installing packages failed. The lines above say why. What usually helps:
  - Your company inspects TLS: let uv trust the system's certificates. make setup UV_SYSTEM_CERTS=true
  - Your company has a package mirror:
      make setup UV_DEFAULT_INDEX=https://mirror.example/simple PIP_INDEX_URL=https://mirror.example/simple
  - You are offline: what was installed once is in uv's cache. make setup UV_OFFLINE=1
TEXT
exit 1
