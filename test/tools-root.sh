#!/usr/bin/env bash
# Unpacks programs of another Debian into a folder that is a root to run them in, and prints it:
#
#   bash test/tools-root.sh trixie podman netavark crun …
#
# Packages and what they depend on, none of their scripts run: no service, no user, no set-up by debconf. It takes a few seconds
# and 200 MB where debootstrap takes minutes. Made once, in OVERLAYD_TOOL_ROOTS (by default /var/cache/overlayd/tools);
# remove it there to have a newer one.
set -euo pipefail

say() { printf 'tools-root: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 2
}

[ $# -gt 1 ] || fail 'usage: test/tools-root.sh trixie|forky|… PACKAGE…'
release=$1
shift
[[ $release =~ ^[a-z]+$ ]] || fail "'$release' is no name of a Debian release; try trixie or forky"
mirror=${OVERLAYD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring
[ -e $keyring.gpg ] && keyring=$keyring.gpg || keyring=$keyring.pgp
roots=${OVERLAYD_TOOL_ROOTS:-/var/cache/overlayd/tools}
packages=$(printf '%s\n' "$@" busybox-static base-files perl-base | sort -u)
root=$roots/$release-$1
mkdir -p "$roots"

exec 8>"$root.lock"
flock 8
if [ "$(cat "$root/etc/overlayd-packages" 2>/dev/null)" != "$packages" ]; then
  say "making $root from $mirror"
  rm -rf "$root" "$root.new"
  apt=$root.new.apt
  rm -rf "$apt"
  mkdir -p "$apt"/{lists,archives}/partial "$apt/etc"
  : >"$apt/status"
  echo "deb [signed-by=$keyring] $mirror $release main" >"$apt/etc/sources.list"
  cat >"$apt/apt.conf" <<END
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc "$apt/etc";
Dir::Etc::parts "none";
Dir::Etc::sourceparts "none";
Dir::Etc::preferencesparts "none";
Dir::Etc::trustedparts "none";
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "false";
Acquire::Retries "3";
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
END
  export APT_CONFIG=$apt/apt.conf DEBIAN_FRONTEND=noninteractive
  mkdir "$apt/etc/none"
  apt-get update -qq >"$root.log" 2>&1 || fail "apt-get update failed, see $root.log"
  # shellcheck disable=SC2086
  apt-get install -y -qq --download-only $packages >>"$root.log" 2>&1 || fail "apt-get could not fetch $packages, see $root.log"
  mkdir -p "$root.new"/usr/{bin,sbin,lib,lib64}
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$root.new/$name"; done
  for archive in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$root.new" --keep-directory-symlink
  done
  mkdir -p "$root.new"/{dev,proc,root,run,sys,tmp,var/tmp,etc}
  for name in $("$root.new/usr/bin/busybox" --list); do
    [ -e "$root.new/usr/bin/$name" ] || [ -e "$root.new/usr/sbin/$name" ] || ln -s busybox "$root.new/usr/bin/$name"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root.new/etc/passwd"
  echo 'root:x:0:' >"$root.new/etc/group"
  printf '%s' "$packages" >"$root.new/etc/overlayd-packages"
  rm -rf "$apt"
  mv "$root.new" "$root"
fi
echo "$root"
