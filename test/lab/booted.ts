/** A Debian that was booted, with systemd, machined and D-Bus, on the network of a host of the lab. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlGroupOf } from './control-groups.ts';
import { type Host, ROOT } from './host.ts';
import { childrenOf, expectSuccess, type Outcome, type RunOptions, run } from './process.ts';
import { until } from './until.ts';

/** Where a machine may be booted from in there: the same Debian once more. */
export const MACHINE = '/var/lib/machines/build';

const PACKAGES = ['systemd', 'systemd-container', 'systemd-sysv', 'dbus', 'iproute2', 'libnftables1', 'libstdc++6'];

/**
 * Layers over the unpacked root, which was never set up, and boots it by systemd-nspawn, in a control group of its own. The
 * checkout is there at its path, as `overlayd`, with its unit.
 */
const BOOT = `
set -e
root=$1 state=$2 group=$3 tree=$4 name=$5
mount --make-rprivate /
groups=/sys/fs/cgroup/unified
[ -d "$groups" ] || groups=/sys/fs/cgroup
mkdir -p "$groups$group"
echo $$ > "$groups$group/cgroup.procs"
layers() {
  mkdir -p "$state/$1"
  over() { mkdir -p "$1/upper" "$1/work"; mount -t overlay overlay -o "lowerdir=$root,upperdir=$1/upper,workdir=$1/work" "$2"; }
  over "$state/$1.layer" "$state/$1" 2>/dev/null || over "/run/$1.layer" "$state/$1"
  echo 'messagebus:x:100:100::/nonexistent:/usr/sbin/nologin' >> "$state/$1/etc/passwd"
  echo 'messagebus:x:100:' >> "$state/$1/etc/group"
  tr -d - < /proc/sys/kernel/random/uuid > "$state/$1/etc/machine-id"
  for unit in ldconfig systemd-modules-load systemd-networkd systemd-resolved console-getty; do
    mkdir -p "$state/$1/etc/systemd/system"
    ln -sf /dev/null "$state/$1/etc/systemd/system/$unit.service"
  done
}
layers host
layers machine
cp /etc/hosts /etc/resolv.conf "$state/host/etc"
echo "$name" > "$state/host/etc/hostname"
mkdir -p "$state/host/usr/local/bin" "$state/host${MACHINE}"
ln -s "$tree/dist/overlayd" "$state/host/usr/local/bin/overlayd"
cp "$tree/deploy/overlayd.service" "$state/host/etc/systemd/system"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes
exec systemd-nspawn --boot --directory "$state/host" --keep-unit --register=no --capability=all --console=pipe \\
  --resolv-conf=off --timezone=off --machine "$name" --bind="$tree" --bind="$state/machine:${MACHINE}"
`;

export class Booted {
  readonly #leader: number;

  private constructor(leader: number) {
    this.#leader = leader;
  }

  /** On a host that has no agent of its own. It ends with the host. */
  static async open(host: Host, release = 'trixie'): Promise<Booted> {
    const unpack = ['bash', join(ROOT, 'test/tools-root.sh'), release, ...PACKAGES];
    const root = expectSuccess(await run(unpack, { timeoutMs: 500_000 })).trim();
    const state = join(host.directory, 'booted');
    mkdirSync(state, { recursive: true });
    const log = 'booted.log';
    const boot = ['boot', root, state, controlGroupOf(host), ROOT, host.name];
    const nspawn = host.spawn(['unshare', '-m', 'bash', '-c', BOOT, ...boot], { log });
    let ended = false;
    void nspawn.exited.then(() => {
      ended = true;
    });
    const pid = await nspawn.pid();
    return await until(`systemd on ${host.name}, see ${host.directory}/${log}`, async () => {
      if (ended) throw new Error('it has ended');
      const leader = childrenOf(pid).find((child) => readFileSync(`/proc/${child}/comm`, 'utf8') === 'systemd\n');
      if (leader === undefined) return undefined;
      const booted = new Booted(leader);
      const { stdout } = await booted.run(['systemctl', 'is-system-running']);
      if (!['running\n', 'degraded\n'].includes(stdout)) throw new Error(`it is ${stdout}`);
      return booted;
    });
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
    const inside = ['nsenter', `--target=${this.#leader}`, '--all', '--', 'env', '-i', path, 'HOME=/root', 'LC_ALL=C'];
    return run([...inside, ...argv], options);
  }

  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.run(argv, options));
  }
}
