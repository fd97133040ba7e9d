import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlGroupOf } from './control-groups.ts';
import type { Host, HostProcess } from './host.ts';
import { savedImage, unpackImage } from './image.ts';
import { expectSuccess, type Outcome } from './process.ts';
import { until } from './until.ts';

const SOCKET = '/run/containerd/containerd.sock';

/** The containerd of one host, as it is by default, and its own command `ctr`. Its output goes to `containerd.log`. */
export class Containerd {
  readonly #host: Host;
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

  async start(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    if (!existsSync(this.root)) {
      await unpackImage(this.root);
      for (const name of ['dev', 'proc', 'sys', 'run', 'etc']) mkdirSync(join(this.root, name));
      // containerd writes no resolver's file.
      writeFileSync(join(this.root, 'etc/resolv.conf'), 'nameserver 10.0.0.1\n');
    }
    const configuration = join(this.#directory, 'config.toml');
    const lines = [
      'version = 2',
      `root = "${this.#directory}/data"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    ];
    writeFileSync(configuration, `${lines.join('\n')}\n`);
    this.#process = this.#host.spawn(['containerd', '--config', configuration], { log: 'containerd.log' });
    await until(`containerd of ${this.#host.name}`, async () => (await this.ctr('version')).code === 0);
  }

  async stop(): Promise<void> {
    await this.#process?.kill('SIGTERM');
    await this.#process?.exited;
  }

  /** Of `ctr run`, for a container of that id: names are asked of the network, and its control group is the lab's. */
  runFlags(id: string): readonly string[] {
    return ['--rootfs', '--cgroup', `${controlGroupOf(this.#host)}/${id}`];
  }

  /** By a shell of the host, whose containers are in the lab's control group. */
  shell(command: string): Promise<Outcome> {
    const group = `${controlGroupOf(this.#host)}/run$RANDOM`;
    const run = `shift; command ctr run --snapshotter native --cgroup "${group}" "$@"`;
    const ctr = `ctr() { if [ "$1" = run ]; then ${run}; else command ctr "$@"; fi; }`;
    return this.#host.run(['bash', '-c', `${ctr}\n${command}`], { timeoutMs: 60_000 });
  }

  /** The tests' image, by that name. */
  async importImage(name: string, namespace = 'default'): Promise<void> {
    const archive = await savedImage(join(this.#directory, `image-${namespace}`), name);
    await this.must('--namespace', namespace, 'image', 'import', '--snapshotter', 'native', archive);
  }

  ctr(...args: readonly string[]): Promise<Outcome> {
    return this.#host.run(['ctr', '--address', SOCKET, ...args], { timeoutMs: 60_000 });
  }

  async must(...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.ctr(...args));
  }
}
