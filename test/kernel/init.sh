#!/bin/busybox sh
# The first process of the guest of test/kernel.sh. Makes a root out of the machine's files, which are read only, and a
# layer in memory above them; this project's directory and what the run hands over are shared for writing.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module" || echo "cannot load $module"; done

share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,cache=loose,$3" "$1" "$2"; }

share shared /shared rw || exit
. /shared/settings
share machine /machine ro || exit
mount -t tmpfs -o size=70% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/machine,upperdir=/layer/upper,workdir=/layer/work overlay /root || exit
for directory in tmp var/tmp run; do mount -t tmpfs tmpfs "/root/$directory"; done
mkdir -p /root/run/lock
chmod 1777 /root/tmp /root/var/tmp
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm
ln -s /proc/self/fd /root/dev/fd
ln -s fd/0 /root/dev/stdin
ln -s fd/1 /root/dev/stdout
ln -s fd/2 /root/dev/stderr
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mkdir -p /root/lib/modules
mount --bind "/machine$kernel/lib/modules/" /root/lib/modules || exit
share tree "/root$tree" rw || exit
mount --move /shared "/root$run/shared" || exit
exec switch_root /root /bin/bash "$tree/test/kernel/session.sh" "$run/shared" </dev/hvc0 >/dev/hvc0 2>&1
