#!/usr/bin/env bash
# Makes this machine ready to build and run overlayd: tools, npm packages, dist/. Does only what is missing.
#
#   deploy/setup.sh            what the agent and the demo need
#   deploy/setup.sh --docker   and what the demo with Docker needs
#   deploy/setup.sh --test     and what the tests need
#   deploy/setup.sh --bench    and what the benchmarks need
#   deploy/setup.sh --debian   and what makes another Debian's root to test in
#   deploy/setup.sh --hosts    and what boots hosts with systemd
#   deploy/setup.sh --kernel   and what the tests and a virtual machine with another kernel need
#
# wireguard-go runs encrypted networks where the kernel has no module for it: the tests and the demo have them everywhere.
# Debian 12 or 13 as root; elsewhere it says what to install by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

with_tests= with_docker= with_bench= with_debian= with_kernel= with_hosts=
case "${1-}" in
  '') ;;
  --docker) with_docker=1 ;;
  --test) with_docker=1 with_tests=1 ;;
  --bench) with_docker=1 with_tests=1 with_bench=1 ;;
  --debian) with_debian=1 ;;
  --hosts) with_hosts=1 ;;
  --kernel) with_docker=1 with_tests=1 with_kernel=1 ;;
  *) fail "unknown argument '$1'; usage: deploy/setup.sh [--docker | --test | --bench | --debian | --hosts | --kernel]" ;;
esac

# One set-up at a time in one tree.
exec 9<.
flock 9

# ---------------------------------------------------------------- tools: command or library -> Debian package

tools='libnftables.so.1:libnftables1 ip:iproute2 bridge:iproute2 nft:nftables etcd:etcd-server etcdctl:etcd-client ping:iputils-ping
  nsenter:util-linux unshare:util-linux flock:util-linux sysctl:procps ps:procps
  wireguard-go:wireguard-go tcpdump:tcpdump'
[ -z "$with_tests" ] || tools="$tools dig:bind9-dnsutils curl:curl openssl:openssl /usr/sbin/sshd:openssh-server ssh:openssh-client faketime:faketime ethtool:ethtool /usr/lib/cni/portmap:containernetworking-plugins zsh:zsh fish:fish
  promtool:prometheus chromium:chromium"
[ -z "$with_docker" ] || tools="$tools
  dockerd:docker.io /usr/bin/docker:docker.io containerd:containerd iptables:iptables docker-compose:docker-compose busybox:busybox-static"
[ -z "$with_bench" ] || tools="$tools iperf3:iperf3 sockperf:sockperf dnsperf:dnsperf ldd:libc-bin"
[ -z "$with_debian" ] || tools="$tools debootstrap:debootstrap"
[ -z "$with_hosts" ] || tools="$tools debootstrap:debootstrap systemd-nspawn:systemd-container dpkg-deb:dpkg busybox:busybox-static qemu-aarch64-static:qemu-user-static"
[ -z "$with_kernel" ] || tools="$tools qemu-system-x86_64:qemu-system-x86 modprobe:kmod cpio:cpio xz:xz-utils zstd:zstd setsid:util-linux"
# Runs etcd by another clock.
[ -z "$with_tests" ] || tools="$tools qemu-x86_64:qemu-user busybox:busybox-static"

# A library is looked for where ldconfig can list them. A container has none of this machine's libraries: only a static
# busybox makes an image.
has_tool() {
  case $1 in
    *.so.*)
      ! libraries=$(ldconfig -p 2>/dev/null) || case $libraries in *"$1 ("*) ;; *) return 1 ;; esac
      return
      ;;
  esac
  command -v "$1" >/dev/null && { [ "$1" != busybox ] || ! ldd "$(command -v busybox)" >/dev/null 2>&1; }
}

missing=
for tool in $tools; do
  has_tool "${tool%%:*}" || case " $missing " in
    *" ${tool#*:} "*) ;;
    *) missing="${missing:+$missing }${tool#*:}" ;;
  esac
done

# Debian starts a service when it is installed and at every boot. overlayd and the tests run etcd and Docker themselves,
# so a service that came with this installation is not started and not enabled; one that was there before is left as it
# is.
install_packages() {
  local policy=/usr/sbin/policy-rc.d saved=
  if [ -e $policy ]; then
    saved=$(mktemp -u $policy.XXXXXX)
    mv $policy "$saved"
  fi
  # shellcheck disable=SC2064
  trap "rm -f $policy; [ -z '$saved' ] || mv '$saved' $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq || return 1
  # Debian 13 has Docker's client in a package of its own.
  case " $* " in
    *' docker.io '*) ! apt-cache show docker-cli >/dev/null 2>&1 || set -- "$@" docker-cli ;;
  esac
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null || return 1
  command -v systemctl >/dev/null || return 0
  local package
  for package in "$@"; do
    case $package in
      etcd-server) systemctl disable -q etcd ;;
      docker.io) systemctl disable -q docker.service docker.socket ;;
      containerd) systemctl disable -q containerd ;;
      prometheus) systemctl disable -q prometheus ;;
      openssh-server) systemctl disable -q ssh.service ssh.socket ;;
      containernetworking-plugins) systemctl disable -q cni-dhcp.service cni-dhcp.socket ;;
    esac 2>/dev/null || true
  done
}

if [ -n "$missing" ]; then
  by_hand="install by hand: $missing"
  command -v apt-get >/dev/null || fail 'this is not Debian, there is no apt-get here' "$by_hand"
  [ "$(id -u)" = 0 ] || fail 'packages are missing and this is not root' "run as root, or $by_hand"
  say "installing with apt-get: $missing"
  # shellcheck disable=SC2086
  (install_packages $missing) || fail "apt-get could not install them (see above); $by_hand"
fi

# A Podman of Debian 13, which no other Debian has to have installed.
if [ -n "$with_tests" ]; then
  bash test/tools-root.sh trixie podman netavark crun catatonit nftables >/dev/null || fail 'Podman could not be unpacked for the tests (see above)'
fi

# ---------------------------------------------------------------- npm packages

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  command -v node >/dev/null && command -v npm >/dev/null ||
    fail 'node and npm are needed: Node 20 or newer (Debian 13: apt-get install nodejs npm; else see nodejs.org)'
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || fail "node $(node -v) is too old: Node 20 or newer is needed (see nodejs.org)"
  say 'npm ci'
  npm ci --no-progress --loglevel=error || fail 'npm ci failed (see above)'
fi
[ -x node_modules/.bin/node ] || fail 'node_modules/.bin/node is missing: remove node_modules and run again'

# ---------------------------------------------------------------- build

inputs='src deploy/build.ts deploy/compiled-bundle.ts deploy/keep-code.ts deploy/koffi.cjs
  deploy/launch-flags.ts deploy/launcher.sh deploy/rehearsed-agent.ts deploy/shims deploy/start-bundle.ts package.json package-lock.json node_modules/.package-lock.json'
# shellcheck disable=SC2086
if [ ! -x dist/overlayd ] || [ -n "$(find $inputs -newer dist/.stamp -print -quit 2>&1)" ]; then
  say 'building dist/overlayd'
  node_modules/.bin/node deploy/build.ts || fail 'the build failed (see above)'
fi
