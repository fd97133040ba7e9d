#!/bin/sh
# Starts overlayd from wherever it is called, also through symbolic links. `deploy/build.ts` puts it at dist/overlayd.
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname "$self")/$target ;;
  esac
done
case $self in
  */*) dist=${self%/*} ;;
  *) dist=. ;;
esac

# A checkout brings the Node.js it is tested with. Without it the system's is taken, and the programs check its version.
node=$dist/../node_modules/node/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node) || {
    echo "overlayd: Node.js 24 or newer is needed, and there is no node on PATH" >&2
    exit 1
  }
fi

# Compiled code is kept where nobody can write who could not change the programs themselves: never below a home
# directory or in /tmp, for root runs what is in there.
cache=$dist/.cache
[ -w "$dist" ] || cache=/var/cache/overlayd
[ -d "$cache" ] || mkdir -m 700 "$cache" 2>/dev/null
export NODE_COMPILE_CACHE="$cache"

if [ "$1" = agent ]; then
  shift
  # The agent makes little garbage at a time: without this, V8 lets it pile up to 60 MiB more.
  exec "$node" --max-semi-space-size=2 "$dist/lib/agent.cjs" "$@"
fi
exec "$node" "$dist/lib/cli.cjs" "$@"
