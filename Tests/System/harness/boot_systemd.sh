#!/usr/bin/env bash
# Boots the machine's own systemd in namespaces of its own, on an overlay of the root: nothing of the
# machine is changed, and all of it is gone when the first process is.
#
#   unshare -m -p -i -u -n -C -f --kill-child boot_systemd.sh FOLDER [ROOT]
#
# ROOT is the root of another system, whose systemd it is then.
# FOLDER/files is laid over the root; FOLDER/out is /out there; `script.sh` in it runs, and its end is the
# end of it all.
set -euo pipefail
readonly folder=$1 lower=${2:-/}

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder/overlay"
mkdir "$folder"/overlay/{upper,work,root}
readonly root=$folder/overlay/root
mount -t overlay overlay \
  -o "lowerdir=$lower,upperdir=$folder/overlay/upper,workdir=$folder/overlay/work" "$root"
# Of the machine's services none begins there.
rm -rf "$root/etc/systemd/system"
cp -r "$folder"/files/. "$root/"
mkdir -p "$root/out" "$root/old"
mount --bind "$folder/out" "$root/out"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for each in run tmp dev; do mount -t tmpfs tmpfs "$root/$each"; done
for each in null zero full random urandom tty ptmx; do
  touch "$root/dev/$each"
  mount --bind "/dev/$each" "$root/dev/$each"
done
mkdir "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=guest.target --log-target=null --show-status=0
