#!/usr/bin/env bash
# Runs the suites under the userland of another Debian, on this machine's kernel, as root:
#
#   npm run test:debian -- trixie             all of them
#   npm run test:debian -- forky unit e2e     chosen ones
#   npm run test:debian -- forky -- COMMAND…  anything, in this directory: a shell, `vitest run --project e2e FILE`
#
# Ends as `npm test` does, with its last line and its exit code. Debian's root is made once, by debootstrap and
# deploy/setup.sh, in OVERLAYD_DEBIAN_ROOTS (by default /var/cache/overlayd/debian, 1 GB each); remove it there to have
# a newer one. What a run writes goes to a layer above it and is thrown away; this tree and /tmp are the machine's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'test:debian: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 2
}

[ $# -gt 0 ] || fail 'usage: npm run test:debian -- trixie|forky|… [check|unit|sim|netns|e2e|room … | -- COMMAND…]'
release=$1
shift
[[ $release =~ ^[a-z]+$ ]] || fail "'$release' is no name of a Debian release; try trixie or forky"
[ "$(id -u)" = 0 ] || fail 'it makes roots and namespaces and has to be run as root'
PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"
mirror=${OVERLAYD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
roots=${OVERLAYD_DEBIAN_ROOTS:-/var/cache/overlayd/debian}
root=$roots/$release
mkdir -p "$roots"

# Runs a command with the root that $1 says as its own: a directory, or several as overlayfs takes them. A pivot, since
# to enter a mount namespace, as the lab does, is to leave a chroot. Everything that was started ends with the command.
enter() {
  unshare --mount --pid --fork --kill-child bash -c '
    set -e
    layers=$1 tree=$2
    shift 2
    mount --make-rprivate /
    case $layers in
      *=*) root=${layers##*=} && mount -t overlay overlay -o "${layers%,*}" "$root" ;;
      *) root=$layers && mount --bind "$root" "$root" ;;
    esac
    cp --remove-destination "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir -p "$root/run/lock" "$root/run/machine"
    mount --bind "${TMPDIR:-/tmp}" "$root/tmp"
    mkdir -p "$root$tree"
    mount --bind "$tree" "$root$tree"
    cd "$root"
    pivot_root . run/machine
    umount -l /run/machine
    rmdir /run/machine
    cd "$tree"
    unset TMPDIR
    # The shell stays: as process 1 it collects what others leave behind.
    code=0
    "$@" || code=$?
    exit $code
  ' enter "$1" "$PWD" "${@:2}"
}

# A run holds the lock with others, a change of the root holds it alone.
exec 8>"$roots/$release.lock"
if ! cmp -s deploy/setup.sh "$root/etc/overlayd-setup"; then
  flock -n 8 || {
    say "waiting for another run with $release"
    flock 8
  }
  if [ ! -d "$root" ]; then
    say "making $root from $mirror"
    rm -rf "$root.new"
    script=/usr/share/debootstrap/scripts/$release
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    debootstrap --variant=minbase --include=ca-certificates "$release" "$root.new" "$mirror" "$script" >"$root.log" 2>&1 ||
      fail "debootstrap failed, see $root.log"
    # Lists of a release under way end after a week; a mirror that is late is as good here.
    echo 'Acquire::Check-Valid-Until "false";' >"$root.new/etc/apt/apt.conf.d/90overlayd"
    mv "$root.new" "$root"
  fi
  say "installing what the tests need in $root"
  enter "$root" bash deploy/setup.sh --test >&2 || fail "could not make $root ready (see above)"
  cp deploy/setup.sh "$root/etc/overlayd-setup"
fi
flock -s 8

if [ "${1-}" = -- ]; then
  shift
  [ $# -gt 0 ] || fail 'a command is missing after --'
else
  set -- node_modules/.bin/node test/run.ts "$@"
fi
find "$roots" -maxdepth 1 -name 'run.*' -mtime +1 -exec rm -rf {} + # of runs that were killed
layer=$(mktemp -d "$roots/run.XXXXXX")
trap 'rm -rf "$layer"' EXIT
trap : INT
mkdir "$layer/upper" "$layer/work" "$layer/merged"
code=0
enter "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work,merged=$layer/merged" "$@" || code=$?
exit $code
