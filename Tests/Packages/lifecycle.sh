#!/usr/bin/env bash
# Runs as the one task of a systemd in a clean Debian: a package's whole life, and what is to be seen of it.
units=(millstream.service millstream.socket)
ip link set lo up

is() { systemctl show -p "$1" --value millstream.service; }
answer() { curl -s -m 20 -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/nothing; }
reached() { case $(answer) in 000) echo refused ;; *) answer ;; esac; }
states() { systemctl "$1" "${units[@]}" | tr '\n' ' ' | sed 's/ $//'; }
socket() { systemctl show -p ActiveEnterTimestampMonotonic --value millstream.socket; }
say() { echo "* $1: $2"; }

dpkg --install /out/millstream.deb
say installed "$(states is-enabled), $(states is-active), $(reached)"

# Postgres is away, which is no reason not to be there for clients.
cat >>/etc/default/millstream <<'END'
MILLSTREAM_DATABASE=host=127.0.0.1 port=1 dbname=none
MILLSTREAM_SECRET_FILE=/etc/millstream/secrets
END
install -m 640 -g millstream <(echo first) /etc/millstream/secrets
systemctl --quiet enable --now millstream
say started "$(states is-active), $(reached), as $(stat -c %U /proc/"$(is MainPID)")"

process=$(is MainPID) opened=$(socket)
touch /tmp/upgrading
{
  others=0
  while [ -e /tmp/upgrading ]; do [ "$(answer)" = 404 ] || others=$((others + 1)); done
  echo "$others" >/tmp/others
} &
dpkg --install /out/millstream.deb
[ "$(is MainPID)" != "$process" ] && [ "$(is ActiveState)" = active ] && new=new
[ "$(socket)" = "$opened" ] && same=same
say upgraded "$new process, $same socket, $(reached)"
rm /tmp/upgrading
wait
say "refused meanwhile" "$(cat /tmp/others)"

dpkg --remove millstream
say removed "$(states is-active), $(reached)"
rm /etc/millstream/secrets
dpkg --purge millstream
links=$(find /etc/systemd/system -name 'millstream*')
say purged "${links:-no links}, $(getent passwd millstream || echo no account)"
