#!/usr/bin/env bash
# Prints the version, MAJOR.MINOR.PATCH, as millstream.h has it.
set -euo pipefail
cd "$(dirname "$0")/.."
awk '/^#define MILLSTREAM_VERSION_/ { printf "%s%s", dot, $3; dot = "." } END { print "" }' \
  Sources/CMillstream/millstream.h
