#!/usr/bin/env bash
# Installs the package on hosts that are booted with systemd, upgrades, reboots and removes it, as root:
#
#   npm run test:hosts                  Debian 12
#   npm run test:hosts -- trixie        another release: trixie, forky
#   npm run test:hosts -- trixie boot   one story: package, boot (host add, late addresses, a full disk), docker,
#                                       readme (what it has a newcomer type)
#   npm run test:hosts -- arm64         the package for arm64, its programs emulated
#   npm run test:hosts -- figures       what it takes from a bare Debian 13 to a name that answers, beside Docker Swarm;
#                                       OVERLAYD_ROUNDS=1 for rough ones
#
# Hosts are systemd-nspawn's over one root per release, in namespaces: the machine's own network is not touched. Each root is
# made once, by debootstrap, in OVERLAYD_HOST_ROOTS (by default /var/cache/overlayd/hosts, 600 MB each), with the packages that
# apt needs to install ours without a network; remove it there to have a newer one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'test:hosts: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 2
}

[ "$(id -u)" = 0 ] || fail 'it boots hosts and has to be run as root'
PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"
mirror=${OVERLAYD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
roots=${OVERLAYD_HOST_ROOTS:-/var/cache/overlayd/hosts}
mkdir -p "$roots"
releases=() stories=() arm64=
for word in "$@"; do
  case $word in
    package | boot | docker | readme | figures) stories+=("$word") ;;
    arm64) arm64=1 ;;
    *) releases+=("$word") ;;
  esac
done
if [ ${#releases[@]} = 0 ] && { [ -z "$arm64" ] || [ ${#stories[@]} -gt 0 ]; }; then
  case " ${stories[*]} " in *' figures '*) releases=(trixie) ;; *) releases=(bookworm) ;; esac
fi

# What a host has, and what apt may want for ours.
base=systemd,systemd-sysv,dbus,iproute2,iputils-ping,nftables,procps,bind9-dnsutils,ca-certificates,openssh-server,openssh-client
ours='libnftables1 libstdc++6 etcd-server dbus passwd docker.io'

make_root() {
  local release=$1 root=$roots/$1 script=/usr/share/debootstrap/scripts/$1
  exec 8>"$root.lock"
  flock 8
  if [ "$(cat "$root/etc/overlayd-host" 2>/dev/null)" != "$base $ours" ]; then
    say "making $root from $mirror"
    rm -rf "$root" "$root.new"
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    debootstrap --variant=minbase --include="$base" "$release" "$root.new" "$mirror" "$script" >"$root.log" 2>&1 ||
      fail "debootstrap failed, see $root.log"
    # Lists of a release under way end after a week; what is downloaded stays.
    echo 'Acquire::Check-Valid-Until "false"; Binary::apt::APT::Keep-Downloaded-Packages "true"; APT::Sandbox::User "root";' \
      >"$root.new/etc/apt/apt.conf.d/90overlayd"
    cp "$(readlink -f /etc/resolv.conf)" "$root.new/etc/resolv.conf"
    # shellcheck disable=SC2086
    chroot "$root.new" sh -c "apt-get update -qq && apt-get install -y -qq --download-only $ours" >>"$root.log" 2>&1 ||
      fail "apt-get failed in $root.new, see $root.log"
    rm -f "$root.new/etc/resolv.conf"
    # Not a first boot, at which systemd would enable its own network, and wait for that.
    : >"$root.new/etc/machine-id"
    for name in systemd-networkd.service systemd-networkd-wait-online.service; do
      ln -sfn /dev/null "$root.new/etc/systemd/system/$name"
    done
    printf '%s' "$base $ours" >"$root.new/etc/overlayd-host"
    mv "$root.new" "$root"
  fi
  exec 8>&-
}

# What its programs need of libraries, unpacked and never set up.
make_arm64() {
  local root=$roots/arm64 deb
  [ ! -e "$root" ] || return 0
  say "unpacking $root from $mirror"
  rm -rf "$root.new"
  debootstrap --arch=arm64 --foreign --variant=minbase --include=libstdc++6,libnftables1 trixie "$root.new" "$mirror" >"$root.log" 2>&1 ||
    fail "debootstrap failed, see $root.log"
  for deb in "$root.new"/var/cache/apt/archives/lib*.deb; do dpkg-deb -x "$deb" "$root.new"; done
  mv "$root.new" "$root"
}

if [ -n "$arm64" ]; then
  make_arm64
  node test/hosts/arm64.ts "$roots/arm64"
fi
for release in "${releases[@]}"; do
  [[ $release =~ ^[a-z]+$ ]] || fail "'$release' is no name of a Debian release; try bookworm, trixie or forky"
  make_root "$release"
  node test/hosts/hosts.ts "$roots/$release" "${stories[@]}"
done
