import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, ROOT } from './host.ts';
import { expectSuccess, run } from './process.ts';
import { until } from './until.ts';

/**
 * Makes the unpacked root the root of a mount namespace of its own, whose `/run` is the host's, and what else is told: what a
 * tool mounts below `/run/netns` is there for the agent too. Stays, as the root's holder. A pivot, since tools enter their
 * containers' mount namespaces, which leaves a chroot. Control groups are the machine's own.
 */
const ENTER = `
set -e
root=$1 state=$2 pid=$3 groups=$4
shift 4
mount --make-private /
mkdir -p "$state/upper" "$state/work" "$state/merged"
layers() { mount -t overlay overlay -o "lowerdir=$root,upperdir=$1/upper,workdir=$1/work" "$state/merged"; }
layers "$state" 2>/dev/null || {
  mkdir -p "/run/$(basename "$state")-root/upper" "/run/$(basename "$state")-root/work"
  layers "/run/$(basename "$state")-root"
}
cd "$state/merged"
mount -t tmpfs tmpfs tmp
mkdir -p .old "./$state"
mount -t proc proc proc
mount --rbind /sys sys
[ "$groups" = all ] || mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount --rbind /run run
mount --bind "$state" "./$state"
for shared; do
  mkdir -p "./$shared"
  mount --bind "$shared" "./$shared"
done
cp /etc/resolv.conf /etc/hosts etc
[ -L var/run ] || { rmdir var/run && ln -s /run var/run; }
pivot_root . .old
umount -l /.old
echo $$ > "$pid"
exec sleep infinity
`;

export interface ToolRootOptions {
  /** Of the host. */
  readonly name: string;
  /** Of Debian, e.g. `trixie`. */
  readonly release: string;
  readonly packages: readonly string[];
  /** Directories of the host that are there too, `/run` besides. */
  readonly shared: readonly string[];
  /** Those of version 2 alone, or all that the machine has. */
  readonly controlGroups: 'v2' | 'all';
}

/** Programs of a release of Debian, on a host that has another one: they see the host's network and `/run`. */
export class ToolRoot {
  readonly #host: Host;
  readonly #pid: string;

  private constructor(host: Host, pid: string) {
    this.#host = host;
    this.#pid = pid;
  }

  static async open(host: Host, options: ToolRootOptions): Promise<ToolRoot> {
    const { name, release, packages, shared, controlGroups } = options;
    const unpack = await run(['bash', join(ROOT, 'test/tools-root.sh'), release, ...packages], { timeoutMs: 500_000 });
    const root = expectSuccess(unpack).trim();
    const state = join(host.directory, name);
    mkdirSync(state, { recursive: true });
    await host.must(['mount', '--make-shared', '/run']);
    const file = `/run/${name}-root.pid`;
    const enter = ['sh', '-c', ENTER, 'enter', root, state, file, controlGroups, ROOT, ...shared];
    const holder = host.spawn(['unshare', '-m', '--propagation', 'unchanged', ...enter], { log: `${name}.log` });
    let ended = false;
    void holder.exited.then(() => {
      ended = true;
    });
    const pid = await until(`the root of ${name} on ${host.name}`, async () => {
      if (ended) return 'ended';
      const { code, stdout } = await host.run(['cat', file]);
      return code === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
    });
    if (pid === 'ended') throw new Error(`${name} has no root on ${host.name}: see ${host.directory}/${name}.log`);
    return new ToolRoot(host, pid);
  }

  /** What a command line in the host begins with to be run in here, with these variables alone. */
  enter(...variables: readonly string[]): readonly string[] {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
    return ['nsenter', `--mount=/proc/${this.#pid}/ns/mnt`, 'env', '-i', path, ...variables];
  }

  get host(): Host {
    return this.#host;
  }
}
