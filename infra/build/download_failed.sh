#!/bin/sh
# Prints what usually helps when packages can't be installed, and exits 1.
cat >&2 <<'TEXT'
make: installing packages failed. The lines above say why. These usually help:
  - Your company inspects TLS: let uv trust the system's certificates. make setup UV_SYSTEM_CERTS=true
  - Your company has a package mirror:
      make setup UV_DEFAULT_INDEX=https://mirror.example/simple PIP_INDEX_URL=https://mirror.example/simple
  - You are offline: use the packages in uv's cache. make setup UV_OFFLINE=1
TEXT
exit 1
