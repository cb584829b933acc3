#!/usr/bin/env bash
# Installs what `make build library` has built, or removes it again.
#
#   packaging/install.sh install|uninstall
#
# PREFIX (/usr/local), BINDIR, LIBDIR, INCLUDEDIR, DATADIR and MANDIR say where to; with SYSTEMD_UNIT_DIR the units
# for systemd are put there, too. DESTDIR is put before them all, for packages. Nothing is built here: this is what runs as root.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly prefix=${PREFIX:-/usr/local}
readonly binaries=${BINDIR:-$prefix/bin}
readonly libraries=${LIBDIR:-$prefix/lib}
readonly headers=${INCLUDEDIR:-$prefix/include}
readonly data=${DATADIR:-$prefix/share}
readonly manual=${MANDIR:-$data/man}
readonly examples=$data/doc/millstream/examples
readonly scripts=$data/millstream
readonly units=${SYSTEMD_UNIT_DIR:-}
readonly root=${DESTDIR:-}
readonly version=$(packaging/version.sh)
readonly shared=libmillstream.so.$version
readonly soname=libmillstream.so.${version%%.*}

require() {
  local file
  for file in "$@"; do
    [ -e "$file" ] && continue
    echo "install: $file is not there: run \`make build library\` first" >&2
    exit 1
  done
}

# put MODE FILE FOLDER
put() {
  install -D -m "$1" "$2" "$root$3/$(basename "$2")"
}

# Said with the variable, so that a tree that was moved needs one line to be changed.
of_prefix() {
  echo "${1/#"$prefix/"/'${prefix}/'}"
}

put_pkg_config() {
  local folder=$root$libraries/pkgconfig
  install -d "$folder"
  sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" \
    -e "s|@LIBDIR@|$(of_prefix "$libraries")|" -e "s|@INCLUDEDIR@|$(of_prefix "$headers")|" \
    packaging/millstream.pc.in >"$folder/millstream.pc"
  chmod 644 "$folder/millstream.pc"
}

# Where each shell looks for what completes a command of that name.
readonly completions=(
  "bash $data/bash-completion/completions/millstream"
  "zsh $data/zsh/site-functions/_millstream"
  "fish $data/fish/vendor_completions.d/millstream.fish"
)

put_completions() {
  local completion shell file
  for completion in "${completions[@]}"; do
    read -r shell file <<<"$completion"
    install -d "$root$(dirname "$file")"
    # Shells read it; nobody runs it.
    .build/release/millstream --generate-completion-script "$shell" | sed '1{/^#!/d}' >"$root$file"
    chmod 644 "$root$file"
  done
}

put_units() {
  [ -n "$units" ] || return 0
  install -d "$root$units"
  sed -e "s|/usr/bin/millstream|$binaries/millstream|" \
    packaging/systemd/millstream.service >"$root$units/millstream.service"
  chmod 644 "$root$units/millstream.service"
  put 644 packaging/systemd/millstream.socket "$units"
}

# What was just put into a folder of the system's is found by programs only after an ldconfig.
refresh_loader() {
  if [ -z "$root" ] && [ "$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi
}

install_all() {
  require .build/release/millstream ".build/library/$shared" .build/library/libmillstream.a
  put 755 .build/release/millstream "$binaries"
  put 644 Sources/CMillstream/millstream.h "$headers"
  put 644 .build/library/libmillstream.a "$libraries"
  put 644 ".build/library/$shared" "$libraries"
  ln -sfn "$shared" "$root$libraries/$soname"
  ln -sfn "$soname" "$root$libraries/libmillstream.so"
  put_pkg_config
  put 644 packaging/man/millstream.1 "$manual/man1"
  put 644 packaging/man/libmillstream.3 "$manual/man3"
  put 644 packaging/millstream.toml "$examples"
  put 644 Sources/millstream/Browser/millstream.js "$scripts"
  put 644 Sources/millstream/Browser/millstream.d.ts "$scripts"
  put_completions
  put_units
  refresh_loader
}

uninstall_all() {
  rm -f "$root$binaries/millstream" "$root$headers/millstream.h" \
    "$root$libraries"/{libmillstream.a,libmillstream.so,"$soname","$shared",pkgconfig/millstream.pc} \
    "$root$manual"/{man1/millstream.1,man3/libmillstream.3} "$root$examples/millstream.toml" \
    "$root$scripts"/millstream.{js,d.ts}
  [ ! -d "$root$scripts" ] || rmdir --ignore-fail-on-non-empty "$root$scripts"
  local completion
  for completion in "${completions[@]}"; do rm -f "$root${completion#* }"; done
  if [ -n "$units" ]; then rm -f "$root$units"/millstream.{service,socket}; fi
  refresh_loader
}

case "${1:-}" in
  install) install_all ;;
  uninstall) uninstall_all ;;
  *)
    echo "usage: packaging/install.sh install|uninstall" >&2
    exit 64
    ;;
esac
