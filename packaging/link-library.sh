#!/usr/bin/env bash
# Links libmillstream.so and libmillstream.a, which need nothing of Swift where they are used.
#
#   packaging/link-library.sh FOLDER FILE...
#
# FILE is what `swift build` made of MillstreamC, or further objects. Both libraries are one and the
# same object: those files with as much of Swift's static runtime as they need, in which nothing but
# millstream_* can be seen from outside. So a host may be written in Swift itself, or load something
# else that is, and each has a runtime of its own.
set -euo pipefail

readonly folder=$1
shift
readonly packaging=$(dirname "$0")
readonly version=$("$packaging/version.sh")
readonly soname=libmillstream.so.${version%%.*}
mkdir -p "$folder"
# Two that link at the same time are in nobody's way.
work=$(mktemp -d "$folder/work.XXXXXX")
readonly work
trap 'rm -rf "$work"' EXIT

# The toolchain says itself where its static runtime is: swiftc may be a proxy in another place.
runtime_folder() {
  swiftc -print-target-info -static-stdlib |
    sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p'
}

# Beside the compiler; a program of the same name elsewhere may be years older.
toolchain_program() {
  echo "$(runtime_folder)/../../bin/$1"
}

# Foundation is not among them: Millstream does without.
runtime_archives() {
  find "$1" -maxdepth 1 \( -name 'libswift*.a' -o -name libdispatch.a -o -name libBlocksRuntime.a \) |
    sort
}

# swiftrt.o tells the runtime of our types and conformances when the library is loaded. Groups are
# dissolved: a C++ host has groups of the same names, of which the linker would keep one alone.
join_objects() {
  local runtime
  runtime=$(runtime_folder)/linux
  # shellcheck disable=SC2046  # one word for each archive
  ld -r --force-group-allocation -T "$packaging/joined.ld" -o "$work/joined.o" \
    --whole-archive "$@" --no-whole-archive "$runtime/$(uname -m)/swiftrt.o" \
    --start-group $(runtime_archives "$runtime") --end-group
}

# The other way round, too: what is not `public` in Swift is hidden from other shared objects, even
# if C is meant to call it. Changing that takes the toolchain's own objcopy.
hide_symbols() {
  "$(toolchain_program llvm-objcopy)" --wildcard --keep-global-symbol='millstream_*' \
    --set-symbol-visibility='millstream_*=default' --strip-debug \
    --remove-section=.swift1_autolink_entries "$work/joined.o" "$work/millstream.o"
}

link_archive() {
  ar rcsD "$work/libmillstream.a" "$work/millstream.o"
}

# It stays loaded after a dlclose: Swift's runtime has no way to forget what it was told of.
link_shared() {
  cc -shared -o "$work/libmillstream.so.$version" "$work/millstream.o" \
    -Wl,-soname,"$soname" -Wl,--version-script,"$packaging/libmillstream.map" \
    -Wl,-z,defs,-z,nodelete,-z,relro,-z,noexecstack -Wl,--as-needed,--build-id=sha1 \
    -lev -lpq -lcrypto -lstdc++ -lm -lpthread
}

# Moved into place whole, so that an interrupted link leaves what was there.
publish() {
  mv -f "$work/libmillstream.so.$version" "$work/libmillstream.a" "$folder"
  ln -sfn "libmillstream.so.$version" "$folder/$soname"
  ln -sfn "$soname" "$folder/libmillstream.so"
}

join_objects "$@"
hide_symbols
link_archive
link_shared
publish
