import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlGroupOf } from './control-groups.ts';
import type { Host, HostProcess } from './host.ts';
import { savedImage, unpackImage } from './image.ts';
import { expectSuccess, type Outcome } from './process.ts';
import { ToolRoot } from './tool-root.ts';
import { until } from './until.ts';

const SOCKET = '/run/containerd/containerd.sock';
/** Who holds a pod's namespaces, as by CRI. */
const PAUSE = 'docker.io/library/pause:local';
/** Undefined: this machine's own. */
const RELEASE = process.env.CONTAINERD_RELEASE;

const ONLY_CONTAINERS = ['disabled_plugins = ["io.containerd.grpc.v1.cri"]'];
const CRI = 'plugins."io.containerd.grpc.v1.cri"';
const PODS = [
  ...[`[${CRI}]`, `sandbox_image = "${PAUSE}"`, 'disable_apparmor = true', 'restrict_oom_score_adj = true'],
  ...[`[${CRI}.containerd]`, 'snapshotter = "native"'],
  // Debian's newer ones look in /usr/lib/cni, which is the machine's.
  ...[`[${CRI}.cni]`, 'bin_dir = "/opt/cni/bin"', 'conf_dir = "/etc/cni/net.d"'],
];

/** The containerd of one host, as it is by default, and its own command `ctr`. Its output goes to `containerd.log`. */
export class Containerd {
  readonly #host: Host;
  #root: ToolRoot | undefined;
  #process: HostProcess | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  get #directory(): string {
    return join(this.#host.directory, 'containerd');
  }

  /** A file system for containers, instead of an image. */
  get root(): string {
    return join(this.#directory, 'rootfs');
  }

  /** As a path of this machine. */
  get socket(): string {
    return this.#host.path(SOCKET);
  }

  /** `cri`: it serves pods as well. */
  async start({ cri = false }: { readonly cri?: boolean } = {}): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    if (!existsSync(this.root)) {
      await unpackImage(this.root);
      for (const name of ['dev', 'proc', 'sys', 'run', 'etc']) mkdirSync(join(this.root, name));
      // containerd writes no resolver's file.
      writeFileSync(join(this.root, 'etc/resolv.conf'), 'nameserver 10.0.0.1\n');
    }
    if (RELEASE !== undefined) {
      await this.#host.must(['mkdir', '-p', '/etc/cni/net.d']);
      this.#root ??= await ToolRoot.open(this.#host, {
        ...{ name: 'containerd-root', release: RELEASE, packages: ['containerd', 'runc'] },
        ...{ shared: ['/opt', '/etc/cni', this.#directory], controlGroups: 'all' },
      });
    }
    const configuration = join(this.#directory, 'config.toml');
    const lines = ['version = 2', `root = "${this.#directory}/data"`, ...(cri ? PODS : ONLY_CONTAINERS)];
    writeFileSync(configuration, `${lines.join('\n')}\n`);
    const argv = [...this.#enter(), 'containerd', '--config', configuration];
    this.#process = this.#host.spawn(argv, { log: 'containerd.log' });
    await until(`containerd of ${this.#host.name}`, async () => (await this.ctr('version')).code === 0);
    if (cri) await this.importImage(PAUSE, 'k8s.io');
  }

  #enter(): readonly string[] {
    return this.#root?.enter() ?? [];
  }

  async stop(): Promise<void> {
    await this.#process?.kill('SIGTERM');
    await this.#process?.exited;
  }

  /** Of `ctr run`, for a container of that id: names are asked of the network, and its control group is the lab's. */
  runFlags(id: string): readonly string[] {
    return ['--rootfs', '--cgroup', `${controlGroupOf(this.#host)}/${id}`];
  }

  /** By a shell of the host that has its command, whose containers are in the lab's control group. */
  shell(command: string): Promise<Outcome> {
    const group = `${controlGroupOf(this.#host)}/run$RANDOM`;
    const program = [...(this.#root ? this.#enter() : ['command']), 'ctr'].join(' ');
    const run = `shift; ${program} run --snapshotter native --cgroup "${group}" "$@"`;
    const ctr = `ctr() { if [ "$1" = run ]; then ${run}; else ${program} "$@"; fi; }`;
    return this.#host.run(['bash', '-c', `${ctr}\n${command}`], { timeoutMs: 60_000 });
  }

  /** The tests' image, by that name. */
  async importImage(name: string, namespace = 'default'): Promise<void> {
    const archive = await savedImage(join(this.#directory, `image-${namespace}`), name);
    // 2.1 leaves it to the daemon unless it is told not to, which asks for another configuration.
    const { stdout } = await this.ctr('image', 'import', '--help');
    const local = stdout.includes('--local') ? ['--local'] : [];
    await this.must('--namespace', namespace, 'image', 'import', ...local, '--snapshotter', 'native', archive);
  }

  ctr(...args: readonly string[]): Promise<Outcome> {
    return this.#host.run([...this.#enter(), 'ctr', '--address', SOCKET, ...args], { timeoutMs: 60_000 });
  }

  async must(...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.ctr(...args));
  }
}
