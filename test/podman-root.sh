#!/usr/bin/env bash
# Unpacks Podman of that Debian (trixie: 5.4, forky: 5.8) and prints the folder: see tools-root.sh.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/tools-root.sh" "${1:-trixie}" podman netavark crun catatonit nftables
