#!/usr/bin/env bash
# Brings what the build and the tests need, and is quick when all of it is there.
#
#   Tests/setup.sh packages   the Debian packages alone (what `make demo` needs)
#   Tests/setup.sh all        those, a Python environment in .build-tools/venv with the
#                             requirements of the system tests, PGMQ's SQL in
#                             .build-tools/pgmq.sql and .build-tools/promtool (the default)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly tools=.build-tools
readonly requirements=Tests/System/requirements.txt
# The Python package that carries PGMQ 1.13 as plain SQL; nothing else of it is used.
readonly pgmq_package=pgmq==1.1.4
readonly packages=(
  libev-dev libpq-dev libssl-dev libcurl4-openssl-dev pkg-config
  postgresql postgresql-contrib curl python3-venv
)
# The real browser of the demo page's test, a real pooler (neither runs as a service), callgrind and
# memcheck, what the library's hosts are compiled with and its manual is checked with, and what the
# example hosts stand on.
readonly test_packages=(
  chromium pgbouncer valgrind g++ mandoc
  ruby ruby-rack puma libglib2.0-dev
)

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "setup: installing ${missing[*]}" >&2
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Made anew when the requirements have changed: the copy of them inside tells.
install_environment() {
  local installed="$tools/venv/installed-requirements.txt"
  cmp -s "$requirements" "$installed" && return 0
  echo "setup: Python environment in $tools/venv" >&2
  rm -rf "$tools/venv"
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
  cp "$requirements" "$installed"
}

# Renamed into place at the end, so that an interrupted download is no download.
fetch_pgmq() {
  [ -s "$tools/pgmq.sql" ] && return 0
  echo "setup: $pgmq_package for $tools/pgmq.sql" >&2
  local download="$tools/pgmq-download"
  rm -rf "$download"
  mkdir -p "$download"
  "$tools/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
    --no-deps --only-binary :all: --dest "$download" "$pgmq_package" >&2
  python3 -m zipfile -e "$download"/pgmq-*.whl "$download"
  mv "$download/pgmq/sql/pgmq.sql" "$tools/pgmq.sql"
  rm -rf "$download"
}

# Out of Debian's package, which is not installed: it would start a service.
fetch_promtool() {
  [ -x "$tools/promtool" ] && return 0
  echo "setup: $tools/promtool" >&2
  local download="$tools/prometheus-download"
  rm -rf "$download"
  mkdir -p "$download"
  (cd "$download" && { apt-get download -qq prometheus 2>/dev/null ||
    { as_root apt-get update -qq && apt-get download -qq prometheus; }; }) >&2
  dpkg-deb --fsys-tarfile "$download"/prometheus_*.deb |
    tar -x -C "$download" --strip-components 3 ./usr/bin/promtool
  mv "$download/promtool" "$tools/promtool"
  rm -rf "$download"
}

case "${1:-all}" in
  packages)
    install_packages "${packages[@]}"
    ;;
  all)
    install_packages "${packages[@]}" "${test_packages[@]}"
    mkdir -p "$tools"
    install_environment
    fetch_pgmq
    fetch_promtool
    ;;
  *)
    echo "usage: Tests/setup.sh [packages|all]" >&2
    exit 64
    ;;
esac
