#!/bin/sh
# Prepares a host with Docker for overlayd, or says what it would do: see deploy/docker-setup.sh --help. Runs where the
# agent runs, with the same Node.js.
deploy=$(cd "$(dirname "$0")" && pwd) || exit 1
node=$deploy/../node_modules/node/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node) || {
    echo "docker-setup: Node.js 24 or newer is needed, and there is no node on PATH" >&2
    exit 1
  }
fi
exec "$node" "$deploy/docker-setup.ts" "$@"
