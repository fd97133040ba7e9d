/** One host of its own: systemd as process 1, over a root that all share and a layer of its own that outlives its boots. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Holder, hold, release } from '../lab/holder.ts';
import { childrenOf, expectSuccess, type Outcome, type RunOptions, run, start } from '../lab/process.ts';
import { until } from '../lab/until.ts';

const SETUP = `
mount --make-rprivate /
mkdir -p "$STATE/up" "$STATE/work" "$STATE/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$STATE/up,workdir=$STATE/work" "$STATE/root"
echo "$1" > "$STATE/root/etc/hostname"
hostname "$1"
ip link set lo up
`;

/** In a control group of its own: two of nspawn's in one would share what they make there. */
const BOOT = `
for tree in systemd unified; do
  group=/sys/fs/cgroup/$tree/$2
  [ -d /sys/fs/cgroup/$tree ] || continue
  mkdir -p "$group" && echo $$ > "$group/cgroup.procs"
done
[ -d /sys/fs/cgroup/systemd ] || { mkdir -p "/sys/fs/cgroup/$2" && echo $$ > "/sys/fs/cgroup/$2/cgroup.procs"; }
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes
# Docker's images are layers of an overlay, which cannot lie on one; its containers have keyrings and device filters.
exec systemd-nspawn --quiet --boot --directory="$1" --machine="$2" --keep-unit --register=no --capability=all --console=pipe \\
  --system-call-filter='add_key keyctl bpf' \\
  --bind="$3/docker:/var/lib/docker" --bind="$3/containerd:/var/lib/containerd"
`;

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Plug {
  /** Process id that holds the switch. */
  readonly pid: number;
}

export class BootedHost {
  readonly name: string;
  readonly address: string;
  readonly directory: string;
  readonly #root: string;
  readonly #plug: Plug;
  #holder: Holder | undefined;
  #pid: number | undefined;
  #console = '';

  constructor(options: { name: string; address: string; directory: string; root: string; plug: Plug }) {
    this.name = options.name;
    this.address = options.address;
    this.directory = options.directory;
    this.#root = options.root;
    this.#plug = options.plug;
    mkdirSync(this.directory, { recursive: true });
  }

  /** Before it boots: a file of its own, or a link. */
  put(path: string, contents: string | { readonly link: string }): void {
    if (this.#holder !== undefined) throw new Error(`${this.name} is on`);
    const file = join(this.directory, 'up', path);
    mkdirSync(dirname(file), { recursive: true });
    rmSync(file, { force: true });
    if (typeof contents === 'string') writeFileSync(file, contents);
    else symlinkSync(contents.link, file);
  }

  /**
   * With a cable in the switch, until systemd says that it is up. `addressed`: false where its address comes later; `wholly`: false
   * where systemd is up before all is that it starts.
   */
  async boot({ addressed = true, wholly = true } = {}): Promise<void> {
    for (const name of ['docker', 'containerd']) mkdirSync(join(this.directory, name), { recursive: true });
    const holder = await hold(['--net', '--uts'], SETUP, this.directory, [this.name, this.#root]);
    this.#holder = holder;
    const inHolder = ['nsenter', `--target=${holder.pid}`, '--net', '--mount', '--uts', '--pid', '--'];
    const plug = [
      `link add ${this.name} type veth peer name eth0 netns ${holder.pid}`,
      `link set ${this.name} master sw0 up`,
    ];
    const into = ['nsenter', `--target=${this.#plug.pid}`, '--net', 'ip', '-batch', '-'];
    expectSuccess(await run(into, { input: plug.join('\n') }));
    expectSuccess(await run([...inHolder, 'ip', 'link', 'set', 'eth0', 'up']));
    if (addressed) expectSuccess(await run([...inHolder, 'ip', 'addr', 'add', `${this.address}/24`, 'dev', 'eth0']));
    const words = ['boot', join(this.directory, 'root'), `ovl-${this.name}`, this.directory];
    const child = start([...inHolder, 'sh', '-c', BOOT, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#console += text;
      });
    }
    this.#pid = await until(`${this.name} to start its systemd`, () => {
      const below = (pid: number): readonly number[] => [pid, ...childrenOf(pid).flatMap(below)];
      return below(child.pid!).find((pid) => nameOf(pid) === 'systemd');
    });
    await until(`${this.name} to be up`, async () => {
      const { stdout } = await this.run(['systemctl', 'is-system-running']);
      return (wholly ? /running|degraded/ : /running|degraded|starting/).test(stdout);
    });
  }

  /** As at a switch in a menu: services are stopped in their order. */
  async shutDown(): Promise<void> {
    await this.run(['systemctl', 'poweroff']);
    const pid = this.#pid!;
    await until(`${this.name} to be down`, () => nameOf(pid) === undefined);
    await this.cutPower();
  }

  /** Everything ends in the middle of what it does. */
  async cutPower(): Promise<void> {
    const holder = this.#holder;
    this.#holder = undefined;
    this.#pid = undefined;
    if (holder === undefined) return;
    await release(holder);
    await run(['nsenter', `--target=${this.#plug.pid}`, '--net', 'ip', 'link', 'del', this.name]);
  }

  /** What the host has said on its console. */
  get console(): string {
    return this.#console;
  }

  enter(argv: readonly string[]): readonly string[] {
    if (this.#pid === undefined) throw new Error(`${this.name} is off`);
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid'];
    const environment = ['env', '-i', `PATH=${PATH}`, 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8', 'HOME=/root'];
    return ['nsenter', `--target=${this.#pid}`, ...namespaces, '--root', '--wd=/', '--', ...environment, ...argv];
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return run(this.enter(argv), options);
  }

  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.run(argv, options));
  }

  async sh(script: string): Promise<string> {
    return (await this.must(['sh', '-c', script], { timeoutMs: 300_000 })).trimEnd();
  }
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
