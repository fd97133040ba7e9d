import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, ROOT } from './host.ts';
import { unpackImage } from './image.ts';
import { expectSuccess, type Outcome } from './process.ts';
import { ToolRoot } from './tool-root.ts';

/** Debian 13's (LXC 6.0), unless the environment names another release. */
const RELEASE = process.env.LXC_RELEASE ?? 'trixie';
const PACKAGES = ['lxc', 'libstdc++6'];
const COMMANDS = ['lxc-start', 'lxc-stop', 'lxc-attach', 'lxc-info', 'lxc-ls'];
const CONTAINERS = '/var/lib/lxc';
/** Containers have busybox in `/bin`, and what `lxc-attach` runs is looked for where LXC itself is looked for. */
const SEARCHED = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The machine's `/usr/local` with a program of the host's own, which asks the LXC in the tools' root. */
const OWN_LOCAL = `
mkdir -p /run/lxc-local/upper/bin /run/lxc-local/work
mount -t overlay overlay -o lowerdir=/usr/local,upperdir=/run/lxc-local/upper,workdir=/run/lxc-local/work /usr/local
cat > /usr/local/bin/lxc-info
chmod 755 /usr/local/bin/lxc-info
`;

/** Init of busybox, which knows how to restart and to end; LXC leaves the loopback to it. */
const INITTAB = '::sysinit:/bin/ip link set lo up\n::respawn:/bin/sleep 100000\n::ctrlaltdel:/bin/reboot\n';

export interface LxcOptions {
  /** Lines of its configuration besides. */
  readonly lines: readonly string[];
  /** By path in it. */
  readonly files?: Readonly<Record<string, string>>;
}

/** LXC of one host, as root. Containers end with the host. */
export class Lxc {
  readonly #host: Host;
  readonly #root: ToolRoot;

  private constructor(host: Host, root: ToolRoot) {
    this.#host = host;
    this.#root = root;
  }

  static async open(host: Host): Promise<Lxc> {
    const containers = join(host.directory, 'lxc-containers');
    mkdirSync(containers, { recursive: true });
    const root = await ToolRoot.open(host, {
      ...{ name: 'lxc', release: RELEASE, packages: PACKAGES, shared: [containers], controlGroups: 'v2' },
    });
    const lxc = new Lxc(host, root);
    const link = `ln -s ${ROOT}/dist/overlayd /usr/local/bin/overlayd; rm -rf ${CONTAINERS}; ln -s ${containers} ${CONTAINERS}`;
    expectSuccess(await lxc.run(['sh', '-ec', `mkdir -p /usr/local/bin; ${link}`]));
    const wrapper = `#!/bin/sh\nexec ${root.enter().join(' ')} lxc-info "$@"\n`;
    await host.must(['sh', '-ec', OWN_LOCAL], { input: wrapper });
    return lxc;
  }

  /** Makes one of busybox, which is not started. */
  async create(name: string, { lines, files = {} }: LxcOptions): Promise<void> {
    const directory = join(this.#host.directory, 'lxc-containers', name);
    const rootfs = join(directory, 'rootfs');
    await unpackImage(rootfs);
    const folders = ['dev', 'proc', 'sys', 'run', 'etc', 'sbin', 'root'].map((folder) => `${rootfs}/${folder}`);
    await this.#host.must(['mkdir', '-p', ...folders]);
    await this.#host.must(['ln', '-s', '/bin/busybox', `${rootfs}/sbin/init`]);
    const all = { '/etc/inittab': INITTAB, ...files };
    for (const [path, text] of Object.entries(all)) await this.write(`${rootfs}${path}`, text);
    const configuration = [
      ...[`lxc.uts.name = ${name}`, `lxc.rootfs.path = dir:${CONTAINERS}/${name}/rootfs`, 'lxc.mount.auto = proc sys'],
      ...['lxc.apparmor.profile = unconfined', `lxc.cgroup.dir = ${this.#group(name)}`],
      ...lines,
    ];
    await this.write(`${directory}/config`, `${configuration.join('\n')}\n`);
  }

  async write(path: string, text: string): Promise<void> {
    await this.#host.must(['sh', '-c', 'mkdir -p "$(dirname "$0")"; cat > "$0"', path], { input: text });
  }

  /** A command line of that Debian. */
  run(argv: readonly string[]): Promise<Outcome> {
    return this.#host.run([...this.#root.enter(SEARCHED), ...argv], { timeoutMs: 120_000 });
  }

  async must(argv: readonly string[]): Promise<string> {
    return expectSuccess(await this.run(argv));
  }

  /** By a shell of the host, which has LXC's commands. */
  shell(command: string): Promise<Outcome> {
    const enter = this.#root.enter(SEARCHED).join(' ');
    const commands = COMMANDS.map((name) => `${name}() { ${enter} ${name} "$@"; }`);
    return this.#host.run(['bash', '-c', [...commands, command].join('\n')], { timeoutMs: 120_000 });
  }

  /** Control groups are the machine's. */
  #group(name: string): string {
    return `lxc-${this.#host.directory.split('/').slice(-2).join('-')}-${name}`;
  }
}
