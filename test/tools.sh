#!/usr/bin/env bash
# Runs the tests of container tools with the releases of those tools that `npm test` does not run, as root:
#
#   npm run test:tools                all of them
#   npm run test:tools -- podman      chosen ones
#
# What it unpacks for that, it keeps: see tools-root.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH"

[ $# -gt 0 ] || set -- podman
for tool in "$@"; do
  case $tool in
    # Debian's next release: Podman 5.8, netavark 1.17.
    podman) PODMAN_RELEASE=forky node test/run.ts e2e/podman.test.ts e2e/podman-life.test.ts ;;
    *)
      echo "test:tools: there is no '$tool'; there is: podman" >&2
      exit 2
      ;;
  esac
done
