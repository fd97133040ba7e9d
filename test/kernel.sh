#!/usr/bin/env bash
# Runs the suites on a kernel as Debian ships it, in a virtual machine that has this machine's files, as root:
#
#   npm run test:kernel -- bookworm                          netns, and the story of e2e
#   npm run test:kernel -- trixie netns/kernel e2e           chosen suites, folders or files: e2e/story.test.ts
#   npm run test:kernel -- bookworm/cloud-amd64 netns        another of the release's kernels: linux-image-cloud-amd64
#   npm run test:kernel -- bookworm -- COMMAND…              anything, in this directory: a shell, `node test/run.ts unit`
#
# Files are bundled here and run there one after the other, without vitest (`test/kernel/bundle.ts`): its workers would be
# given up before they have started. Ends as `npm test` does, with its last line and its exit code. Programs and libraries
# are this machine's own; their packages and qemu come with `deploy/setup.sh --kernel`. The kernel's package is fetched
# once, into OVERLAYD_KERNELS (by default /var/cache/overlayd/kernels, 0.5 GB each) and is installed nowhere; remove it
# there to have a newer one. What a run writes is thrown away, except what it writes in this directory.
#
# The processor is emulated, which takes ten times as long; OVERLAYD_KERNEL_ACCEL=kvm uses the machine's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tree=$(pwd -P)

say() { printf 'test:kernel: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 2
}

[ $# -gt 0 ] || fail 'usage: npm run test:kernel -- bookworm|trixie|…[/cloud-amd64] [netns|e2e|FILE … | -- COMMAND…]'
wanted=$1
shift
[[ $wanted =~ ^[a-z]+(/[a-z0-9-]+)?$ ]] || fail "'$wanted' is no name of a Debian release; try bookworm or trixie"
release=${wanted%%/*} flavour=amd64
[ "$wanted" = "$release" ] || flavour=${wanted#*/}
[ "$(uname -m)" = x86_64 ] || fail 'the kernels it knows are for x86_64'
[ "$(id -u)" = 0 ] || fail 'it lends this machine’s files to a guest and has to be run as root'
PATH="$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin"
mirror=${OVERLAYD_DEBIAN_MIRROR:-http://deb.debian.org/debian}
kernels=${OVERLAYD_KERNELS:-/var/cache/overlayd/kernels}
mkdir -p "$kernels"
kernels=$(realpath "$kernels")
kernel=$kernels/$release-$flavour

bundled=
if [ "${1-}" = -- ]; then
  shift
  [ $# -gt 0 ] || fail 'a command is missing after --'
else
  [ $# -gt 0 ] || set -- netns e2e/story.test.ts
  bundled=1
fi

# Fetches the release's kernel into $1. apt does it with lists of its own: the machine's are of another release.
fetch() {
  local apt=$1/apt packages
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  echo "deb $mirror $release main" >"$apt/sources.list"
  cat >"$apt/conf" <<EOF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Dir::Cache "$apt";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
EOF
  export APT_CONFIG=$apt/conf
  apt-get update -qq || return 1
  # A kernel is one package, or more that it depends on.
  packages=$(apt-cache depends --recurse --important "linux-image-$flavour" | grep -E '^linux-(image|binary|modules)-[0-9]') || {
    say "$release has no linux-image-$flavour"
    return 1
  }
  # shellcheck disable=SC2086
  (cd "$apt" && apt-get download -qq $packages) || return 1
  local package
  for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$1" || return 1; done
  rm -rf "$apt"
  mkdir -p "$1/lib"
  [ -d "$1/lib/modules" ] || ln -s ../usr/lib/modules "$1/lib/modules"
  depmod -b "$1" "$(ls "$1/lib/modules")"
}

exec 8>"$kernel.lock"
flock -n 8 || {
  say "waiting for another run that fetches $release's kernel"
  flock 8
}
if [ ! -d "$kernel" ]; then
  say "fetching $release's linux-image-$flavour from $mirror"
  rm -rf "$kernel.new"
  (fetch "$kernel.new") >&2 || fail "could not fetch it (see above)"
  mv "$kernel.new" "$kernel"
fi
flock -u 8
version=$(ls "$kernel/lib/modules")
image=$(find "$kernel" -name "vmlinuz*" -print -quit)

# What the two sides of the run hand each other; the guest has it at the same path.
find "$kernels" -maxdepth 1 -name 'run.*' -mtime +1 -exec rm -rf {} + # of runs that were killed
run=$(mktemp -d "$kernels/run.XXXXXX")
trap 'rm -rf "$run"' EXIT
trap : INT
mkdir "$run/shared"
if [ -n "$bundled" ]; then
  node test/kernel/bundle.ts "$run/shared/tests" "$@" >/dev/null || exit
  set -- node_modules/.bin/node "$run/shared/tests/run.mjs"
fi
terminal=
[ ! -t 0 ] || [ ! -t 1 ] || terminal="$(stty size) ${TERM:-linux}"
printf "%s='%s'\n" kernel "$kernel" run "$run" tree "$tree" terminal "$terminal" >"$run/shared/settings"
printf '%q ' "$@" >"$run/shared/command"

# The initial file system: busybox, the modules that it takes to mount the machine's files, in order, and init.
mkdir -p "$run/initial"/{bin,dev,proc,sys,modules,machine,layer,root,shared}
cp "$(command -v busybox)" "$run/initial/bin/busybox"
cp test/kernel/init.sh "$run/initial/init"
chmod 755 "$run/initial/init"
number=100
for module in virtio_pci virtio_console virtio_rng 9pnet_virtio 9p overlay; do
  modprobe -d "$kernel" -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  number=$((number + 1))
  to=$run/initial/modules/$number-$(basename "$file")
  case $file in
    *.xz) xz -dc "$file" >"${to%.xz}" ;;
    *.zst) zstd -qdc "$file" >"${to%.zst}" ;;
    *) cp "$file" "$to" ;;
  esac
done
(cd "$run/initial" && find . | cpio --quiet -o -H newc) >"$run/initrd"

share() { printf 'local,path=%s,mount_tag=%s,security_model=passthrough,multidevs=remap%s' "${1//,/,,}" "$2" "${3-}"; }
# Interrupts at a terminal are the guest's.
signals=on
[ -z "$terminal" ] || signals=off
nice -n 10 qemu-system-x86_64 -M q35 -accel "${OVERLAYD_KERNEL_ACCEL:-tcg,thread=multi,tb-size=1024}" -cpu max -smp 2 -m 6G \
  -nodefaults -no-user-config -display none -no-reboot -device virtio-rng-pci \
  -kernel "$image" -initrd "$run/initrd" -append 'console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on' \
  -serial "file:$run/console" -device virtio-serial-pci -chardev "stdio,id=terminal,signal=$signals" -device virtconsole,chardev=terminal \
  -virtfs "$(share / machine ,readonly=on)" -virtfs "$(share "$tree" tree)" -virtfs "$(share "$run/shared" shared)" \
  <"$([ -n "$terminal" ] && echo /dev/stdin || echo /dev/null)" || say "qemu ended with $?"

logs=$run/shared/logs
if [ -d "$logs" ]; then
  kept=$(mktemp -d "${TMPDIR:-/tmp}/overlayd-kernel.XXXXXX")
  cp -r "$logs/." "$kept"
  say "logs of what failed are in $kept"
fi
[ -s "$run/shared/code" ] || {
  tail -n 40 "$run/console" >&2
  fail "the kernel ended before the command did; its last words are above"
}
exit "$(cat "$run/shared/code")"
