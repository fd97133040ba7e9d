import { join } from 'node:path';
import type { Host, HostProcess } from './host.ts';
import { imageArchive } from './image.ts';
import { expectSuccess, type Outcome, run } from './process.ts';
import { ToolRoot } from './tool-root.ts';
import { until } from './until.ts';

/** Debian 13's (Incus 6.0), unless the environment names another release. */
const RELEASE = process.env.INCUS_RELEASE ?? 'trixie';
const PACKAGES = ['incus', 'tar', 'gzip', 'xz-utils', 'iproute2', 'uidmap'];
/** Below `/run`, which the tools' root and its host share. */
const DIRECTORY = '/run/incus-lab';
const IMAGE = 'busybox';

/** For the agents of hosts with Incus. */
export const INCUS_FLAGS = ['--incus-socket', `${DIRECTORY}/unix.socket`];

const METADATA = `architecture: x86_64
creation_date: 1700000000
properties: {description: busybox, os: busybox}
`;
/** Init of busybox, which knows how to restart and to end. */
const INITTAB = '::sysinit:/bin/true\\n::respawn:/bin/sleep 100000\\n::ctrlaltdel:/bin/reboot\\n';

/** Incus of one host, without networks and with an image of busybox. Instances end with the host. */
export class Incus {
  readonly #host: Host;
  readonly #root: ToolRoot;
  #daemon: HostProcess | undefined;

  private constructor(host: Host, root: ToolRoot) {
    this.#host = host;
    this.#root = root;
  }

  static async open(host: Host): Promise<Incus> {
    await host.must(['mkdir', '-p', DIRECTORY]);
    const root = await ToolRoot.open(host, {
      ...{ name: 'incus', release: RELEASE, packages: PACKAGES, shared: [], controlGroups: 'v2' },
    });
    const incus = new Incus(host, root);
    const ids = 'root:1000000:1000000000';
    expectSuccess(
      await incus.run(['sh', '-ec', `echo ${ids} > /etc/subuid; echo ${ids} > /etc/subgid; mkdir -p /var/log/incus`]),
    );
    await incus.start();
    await incus.must('storage', 'create', 'default', 'dir');
    await incus.must('profile', 'device', 'add', 'default', 'root', 'disk', 'path=/', 'pool=default');
    await incus.#importImage();
    return incus;
  }

  async start(): Promise<void> {
    this.#daemon = this.#host.spawn([...this.#enter(), '/usr/libexec/incus/incusd'], { log: 'incusd.log' });
    await until(`Incus of ${this.#host.name}`, async () => (await this.incus('list')).code === 0, 60_000);
  }

  /** Instances go on. */
  async kill(): Promise<void> {
    await this.#daemon?.kill('SIGKILL');
    await this.#daemon?.exited;
  }

  async #importImage(): Promise<void> {
    const state = join(this.#host.directory, 'incus-image');
    const layer = await imageArchive(state);
    const pack = `
cd "$0"
mkdir -p made/rootfs
tar -C made/rootfs -xf "$1"
cd made
mkdir -p rootfs/dev rootfs/proc rootfs/sys rootfs/run rootfs/etc rootfs/sbin rootfs/root
ln -s /bin/busybox rootfs/sbin/init
printf '${INITTAB}' > rootfs/etc/inittab
printf '%s' "$2" > metadata.yaml
tar -czf ../image.tar.gz metadata.yaml rootfs
cp ../image.tar.gz "$3"
`;
    const at = `${this.#host.path(DIRECTORY)}/image.tar.gz`;
    expectSuccess(await run(['sh', '-ec', pack, state, layer, METADATA, at]));
    await this.must('image', 'import', `${DIRECTORY}/image.tar.gz`, '--alias', IMAGE);
  }

  incus(...args: readonly string[]): Promise<Outcome> {
    return this.run(['incus', ...args]);
  }

  async must(...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.incus(...args));
  }

  /** A command line of that Debian. */
  run(argv: readonly string[]): Promise<Outcome> {
    return this.#host.run([...this.#enter(), ...argv], { timeoutMs: 120_000 });
  }

  /** By a shell of the host, which has Incus' command. */
  shell(command: string): Promise<Outcome> {
    const script = [`incus() { ${this.#enter().join(' ')} incus "$@"; }`, command].join('\n');
    return this.#host.run(['bash', '-c', script], { timeoutMs: 120_000 });
  }

  #enter(): readonly string[] {
    return this.#root.enter(`INCUS_DIR=${DIRECTORY}`, 'HOME=/root');
  }
}
