#!/usr/bin/env bash
# Runs the tests of container tools with the releases of those tools that `npm test` does not run, as root:
#
#   npm run test:tools                all of them
#   npm run test:tools -- podman      chosen ones: podman, containerd, nspawn, lxc, incus
#
# What it unpacks for that, it keeps: see tools-root.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH"

[ $# -gt 0 ] || set -- podman containerd nspawn lxc incus
for tool in "$@"; do
  case $tool in
    # Debian's next release: Podman 5.8, netavark 1.17. And Podman 4.3, which runs CNI's plugins; compose, and units.
    podman)
      PODMAN_RELEASE=forky node test/run.ts e2e/podman.test.ts e2e/podman-life.test.ts e2e/podman-documentation.test.ts
      node test/run.ts tools/podman-cni.test.ts tools/podman-files.test.ts tools/podman-rootless.test.ts
      ;;
    # containerd 1.7 and 2.1, by `ctr` and by CRI.
    containerd)
      for release in trixie forky; do CONTAINERD_RELEASE=$release node test/run.ts e2e/cri.test.ts e2e/cni.test.ts; done
      ;;
    # systemd 257 and its machines, booted.
    nspawn)
      command -v systemd-nspawn >/dev/null || apt-get install -y -qq --no-install-recommends systemd-container >/dev/null
      node test/run.ts tools/nspawn.test.ts
      ;;
    # LXC 5.0, 6.0 and 7.0, and Incus 6.0 and 7.0.
    lxc)
      for release in bookworm trixie forky; do LXC_RELEASE=$release node test/run.ts tools/lxc.test.ts; done
      ;;
    incus)
      for release in trixie forky; do INCUS_RELEASE=$release node test/run.ts tools/incus.test.ts; done
      ;;
    *)
      echo "test:tools: there is no '$tool'; there are: podman, containerd, nspawn, lxc, incus" >&2
      exit 2
      ;;
  esac
done
