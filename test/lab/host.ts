import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent } from './agent.ts';
import { Engine } from './engine.ts';
import { type Holder, hold, keep, release } from './holder.ts';
import { childrenOf, expectSuccess, letGo, type Outcome, type RunOptions, run, signal, start } from './process.ts';
import { stopProcess } from './stopping.ts';
import { until } from './until.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const PATH = pathOf(ROOT);

/** The command is that of the checkout's build; everything else is the same whichever it is. */
function pathOf(checkout: string): string {
  return `${checkout}/dist:${ROOT}/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
}

/**
 * Runs in the new namespaces as pid 1. `/etc` is the machine's with changes of its own, `/run` starts empty, every
 * start is a boot of its own. The machine's control groups stay in sight below the new `/sys`: containers need them.
 */
const SETUP = `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock "$STATE/etc" "$STATE/etc.work" "$STATE/data"
mkdir /run/.cgroup
mount --rbind /sys/fs/cgroup /run/.cgroup
mount -t sysfs sysfs /sys
mount --move /run/.cgroup /sys/fs/cgroup
rmdir /run/.cgroup
layers() { mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1,workdir=$2" /etc; }
layers "$STATE/etc" "$STATE/etc.work" 2>/dev/null || {
  mkdir -p /run/.etc && mount -t tmpfs tmpfs /run/.etc && mkdir /run/.etc/up /run/.etc/work
  layers /run/.etc/up /run/.etc/work
}
rm -f /etc/resolv.conf
echo "nameserver $2" > /etc/resolv.conf
hostname "$1"
echo "$1" > /etc/hostname
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
ip link set lo up
`;

export interface HostOptions {
  readonly name: string;
  /** On the switch; empty: not attached. */
  readonly address: string;
  /** Kept over reboots: `etc`, `data`, logs. */
  readonly directory: string;
  readonly mtu: number;
  /** Whose build it runs at first. */
  readonly checkout: string;
  /** Default route and name server. */
  readonly router?: { readonly gateway: string; readonly resolver: string };
  /** Process id that holds the switch, and the port's name there. */
  readonly plug: { readonly pid: number; readonly port: string };
}

/** A long-running process inside a host. */
export class HostProcess {
  readonly child: ChildProcess;
  output = '';
  readonly exited: Promise<number>;

  constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => {
        this.output += chunk;
      });
    }
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 137)));
  }

  /** Process id of what runs inside, as this process sees it. */
  async pid(): Promise<number> {
    return until('the process to start', () => childrenOf(this.child.pid!)[0]);
  }

  async kill(name: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const inner = childrenOf(this.child.pid!)[0];
    if (inner !== undefined && name === 'SIGSTOP') await stopProcess(inner);
    else if (inner !== undefined) signal(inner, name);
    // nsenter stops when what it runs is stopped, and does not go on by itself.
    if (name === 'SIGCONT') signal(this.child.pid!, name);
  }

  /** Ends nsenter, whatever state it is in: while it is stopped, the host's process namespace cannot end. */
  drop(): void {
    this.child.kill('SIGKILL');
  }
}

/**
 * One machine of the lab: network, mount, host name and process namespaces of its own. What runs inside sees its own
 * `/run`, `/etc` and processes; `ip netns` there makes containers that nobody else sees.
 */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly directory: string;
  readonly agent: Agent;
  readonly engine: Engine;
  /** Directory of the checkout whose build is what starts from now on. */
  checkout: string;
  readonly #options: HostOptions;
  readonly #processes = new Set<HostProcess>();
  #holder: Holder | undefined;

  constructor(options: HostOptions) {
    this.name = options.name;
    this.address = options.address;
    this.directory = options.directory;
    this.checkout = options.checkout;
    this.#options = options;
    this.agent = new Agent(this);
    this.engine = new Engine(this);
  }

  get pid(): number {
    if (this.#holder === undefined) throw new Error(`${this.name} is off`);
    return this.#holder.pid;
  }

  get isOn(): boolean {
    return this.#holder !== undefined;
  }

  /** The directory that its agent keeps over reboots. */
  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  /** A path inside the host as a path of this machine. */
  path(inside: string): string {
    return `/proc/${this.pid}/root${inside}`;
  }

  async powerOn(): Promise<void> {
    const { name, directory, mtu, plug, address, router } = this.#options;
    mkdirSync(directory, { recursive: true });
    this.#holder = await hold(['--net', '--uts'], SETUP, directory, [name, router?.resolver ?? '127.0.0.1']);
    const link = [
      `link add ${plug.port} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${this.pid}`,
      `link set ${plug.port} master sw0 up`,
    ];
    expectSuccess(
      await run(['nsenter', `--target=${plug.pid}`, '--net', 'ip', '-batch', '-'], { input: link.join('\n') }),
    );
    const addresses = [
      `addr add ${address.includes(':') ? `${address}/64 nodad` : `${address}/24`} dev eth0`,
      'link set eth0 up',
      ...(router === undefined ? [] : [`route add default via ${router.gateway}`]),
    ];
    await this.must(['ip', '-batch', '-'], { input: addresses.join('\n') });
  }

  /** Pulls the plug: every process dies, every namespace is gone, files under `directory` stay. */
  async powerOff(): Promise<void> {
    const holder = this.#holder;
    this.#holder = undefined;
    if (holder === undefined) return;
    for (const process of this.#processes) process.drop();
    await release(holder);
    // The kernel ends the namespace, and with it the cable, in its own time; a failure means that it has.
    const { pid, port } = this.#options.plug;
    await run(['nsenter', `--target=${pid}`, '--net', 'ip', 'link', 'del', port]);
  }

  keep(): void {
    if (this.#holder !== undefined) keep(this.#holder);
  }

  /** The command line that runs something in this host from the outside. */
  enter(argv: readonly string[]): readonly string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', '--mount', '--uts', '--pid', '--', ...argv];
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    // A bash whose standard input is a socket takes itself for one of a remote login, and reads its user's .bashrc; not one
    // that another shell has started.
    return run(this.enter(argv), { ...options, env: { PATH: pathOf(this.checkout), SHLVL: '1', ...options.env } });
  }

  /** Standard output; throws when the command fails. */
  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.run(argv, options));
  }

  /**
   * Starts something that goes on. With `log`, its output is appended to that file in the host's directory and it ends
   * with the host; without, `output` has it and it ends with this process.
   */
  spawn(argv: readonly string[], options: { log?: string } = {}): HostProcess {
    const log = options.log === undefined ? undefined : openSync(join(this.directory, options.log), 'a');
    if (log !== undefined) writeSync(log, `# ${argv.join(' ')}\n`);
    const out = log ?? 'pipe';
    const child = start(this.enter(argv), {
      stdio: ['ignore', out, out],
      env: { ...process.env, PATH: pathOf(this.checkout) },
      detached: log !== undefined,
    });
    if (log !== undefined) {
      closeSync(log);
      letGo(child);
    }
    const made = new HostProcess(child);
    this.#processes.add(made);
    void made.exited.then(() => this.#processes.delete(made));
    return made;
  }

  // ------------------------------------------------------------ containers

  /** A container: a network namespace of that name with its loopback up. Returns how overlayd names it. */
  async container(name: string): Promise<string> {
    await this.must(['ip', 'netns', 'add', name]);
    await this.must(['ip', '-netns', name, 'link', 'set', 'lo', 'up']);
    return `netns:${name}`;
  }

  async deleteContainer(name: string): Promise<void> {
    await this.must(['ip', 'netns', 'del', name]);
  }

  /** Runs in a container as `ip netns exec` does: with its own `/etc/resolv.conf` when it has one. */
  exec(container: string, argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.run(['ip', 'netns', 'exec', container, ...argv], options);
  }

  async mustExec(container: string, argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return expectSuccess(await this.exec(container, argv, options));
  }

  // ------------------------------------------------------------ the command

  overlayd(...args: readonly string[]): Promise<Outcome> {
    return this.run(['overlayd', ...args]);
  }

  async mustOverlayd(...args: readonly string[]): Promise<string> {
    return (await this.must(['overlayd', ...args])).trimEnd();
  }

  /** With `--format json`, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
  async json(...args: readonly string[]): Promise<any> {
    return JSON.parse(await this.must(['overlayd', ...args, '--format', 'json']));
  }
}
