#!/usr/bin/env bash
# Makes Debian packages of what `make build library` has built, in .build/deb. MAINTAINER says who is behind
# them.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly output=.build/deb
readonly debian=$output/source/debian
readonly maintainer=${MAINTAINER:-"The Millstream authors <millstream@millstream.invalid>"}
readonly version=$(packaging/version.sh)

# The moment of the commit, so that the same sources make the same packages.
moment() {
  date --utc --rfc-email --date "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
}

put_changelog() {
  cat <<END
millstream ($version) unstable; urgency=medium

  * What has changed is in /usr/share/doc/millstream/CHANGELOG.md.gz.

 -- $maintainer  $(moment)
END
}

# What debhelper reads has names of its own in a folder of its own.
put_sources() {
  install -d "$debian/source"
  echo '3.0 (native)' >"$debian/source/format"
  cp packaging/deb/{copyright,rules,millstream.{postinst,prerm,postrm}} "$debian"
  sed "s/@MAINTAINER@/$maintainer/" packaging/deb/control >"$debian/control"
  put_changelog >"$debian/changelog"
  cp packaging/systemd/millstream.default "$debian/millstream.default"
  cp packaging/systemd/millstream.sysusers "$debian/millstream.sysusers"
}

rm -rf "$output"
put_sources
(cd "$output/source" && ROOT=$OLDPWD dpkg-buildpackage --build=binary --unsigned-changes)
ls "$output"/*.deb
