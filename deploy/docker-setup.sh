#!/bin/sh
# Prepares a host with Docker for overlayd, or says what it would do: see deploy/docker-setup.sh --help. Runs where the
# agent runs, with the same Node.js. A package has it as overlayd-docker-setup.
deploy=$(dirname "$(readlink -f "$0")") || exit 1
node=$deploy/../node_modules/node/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node) || {
    echo "docker-setup: Node.js 24 or newer is needed, and there is no node on PATH" >&2
    exit 1
  }
fi
setup=$deploy/docker-setup.cjs
[ -e "$setup" ] || setup=$deploy/docker-setup.ts
exec "$node" "$setup" "$@"
