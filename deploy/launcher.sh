#!/bin/sh
# Starts overlayd from wherever it is called, also through symbolic links. `deploy/build.ts` puts it at dist/overlayd.
self=$0
[ ! -L "$self" ] || self=$(readlink -f "$self")
case $self in
  */*) dist=${self%/*} ;;
  *) dist=. ;;
esac

# Asked by scripts, and known without starting anything.
case $#$1 in
  1--version | 1-v)
    echo @VERSION@
    exit 0
    ;;
esac

# A checkout brings the Node.js it is tested with. Without it the system's is taken, and the programs check its version.
node=$dist/../node_modules/node/bin/node
if [ ! -x "$node" ]; then
  node=$(command -v node) || {
    echo "overlayd: Node.js 24 or newer is needed, and there is no node on PATH" >&2
    exit 1
  }
fi

# Whoever we speak TLS with has a certificate of an authority that we name. Without --use-openssl-ca, Node.js reads all
# authorities of the web as soon as it loads TLS.
if [ "$1" = agent ]; then
  shift
  # The agent makes little garbage at a time, and nobody waits for it as for an answer: V8 rather keeps little than goes
  # fast. With a network of thousands that goes too far in two things. Its best compiler takes longer than what it compiles will run,
  # on a processor that the kernel's thread would have. The one in the middle is for what runs thousands of times, not for what runs
  # once a second: of an idle agent's first minutes an eighth went there. And a heap that may hardly grow is collected in the midst
  # of an attach.
  # The C library shares its heaps among threads and gives back what is free at their end. One large block that is freed, as a
  # start does, would make it keep megabytes from then on; not so when its first limits are said (mallopt(3)).
  export MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072
  exec "$node" --optimize-for-size --no-turbofan --invocation-count-for-maglev=2000 --heap-growing-percent=20 --use-openssl-ca "$dist/lib/agent.cjs" "$@"
fi
# A command ends before garbage matters: V8 hardly needs to collect any, nor a thread for each processor. What it has less, it starts
# sooner; with most other flags it would not take the code that Node.js keeps of its own modules.
exec "$node" --min-semi-space-size=4 --v8-pool-size=1 --use-openssl-ca "$dist/lib/cli.cjs" "$@"
