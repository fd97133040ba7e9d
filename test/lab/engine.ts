import { request } from 'node:http';
import { join } from 'node:path';
import { controlGroupOf } from './control-groups.ts';
import type { Host, HostProcess } from './host.ts';
import { IMAGE, imageArchive } from './image.ts';
import { expectSuccess, type Outcome, type RunOptions } from './process.ts';
import { until } from './until.ts';

/** Inside the host, where Docker itself has it. */
export const DOCKER_SOCKET = '/run/docker.sock';

/** Tells whether Docker's images can be layers of overlayfs in directory $1: not where that is an overlay itself. */
const PROBE_OVERLAY = `
mkdir -p "$1/probe/lower" "$1/probe/upper" "$1/probe/work" "$1/probe/merged"
mount -t overlay overlay -o "lowerdir=$1/probe/lower,upperdir=$1/probe/upper,workdir=$1/probe/work" "$1/probe/merged" &&
  umount "$1/probe/merged"
code=$?
rm -rf "$1/probe"
exit $code
`;

/** A Compose project: its name and its file's text. */
export interface Project {
  readonly name: string;
  readonly file: string;
}

/**
 * The Docker engine of one host, with everything where Docker has it by default, so that it finds the plugin socket of
 * the host's agent. Images and containers survive a reboot; what runs ends with the host. Its output goes to
 * `dockerd.log` in the host's directory.
 */
export class Engine {
  readonly #host: Host;
  #flags: readonly string[] = [];
  #storageDriver: string | undefined;
  #process: HostProcess | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** The API's socket as a path of this machine. */
  get socket(): string {
    return this.#host.path(DOCKER_SOCKET);
  }

  /** Starts it and waits until its API answers. Flags (`--dns`, `--live-restore` …) stay for the next starts. */
  async start(flags: readonly string[] = this.#flags): Promise<void> {
    const process = await this.launch(flags);
    let ended: number | undefined;
    void process.exited.then((code) => {
      ended = code;
    });
    // An engine that waits for a plugin at its start takes long.
    await until(`dockerd of ${this.#host.name}`, () => ended !== undefined || answers(this.socket), 240_000);
    if (ended !== undefined) {
      throw new Error(`dockerd of ${this.#host.name} ended with ${ended}: see ${this.#host.directory}/dockerd.log`);
    }
  }

  /** Starts it and does not wait. */
  async launch(flags: readonly string[] = this.#flags): Promise<HostProcess> {
    this.#flags = flags;
    const root = join(this.#host.directory, 'docker');
    if (this.#storageDriver === undefined) {
      const { code } = await this.#host.run(['sh', '-c', PROBE_OVERLAY, 'probe', root]);
      this.#storageDriver = code === 0 ? 'overlay2' : 'vfs';
    }
    const pidFile = '/run/docker.pid';
    // Left by SIGKILL; dockerd refuses to start when another process has that number by now.
    await this.#host.run(['rm', '-f', pidFile]);
    const places = ['--data-root', root, '--pidfile', pidFile, '-H', `unix://${DOCKER_SOCKET}`];
    const groups = ['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', controlGroupOf(this.#host)];
    // With an init as process 1 a container ends by SIGTERM, and not after the ten seconds to SIGKILL.
    const argv = ['dockerd', '--init', ...places, '--storage-driver', this.#storageDriver, ...groups, ...flags];
    this.#process = this.#host.spawn(argv, { log: 'dockerd.log' });
    return this.#process;
  }

  /** SIGTERM, and waits for its end: its containers are stopped first. */
  stop(): Promise<number> {
    return this.#end('SIGTERM');
  }

  /** SIGKILL: its containers go on without it. */
  kill(): Promise<number> {
    return this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  docker(...args: readonly string[]): Promise<Outcome> {
    return this.#run(['/usr/bin/docker', ...args]);
  }

  async mustDocker(...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.docker(...args)).trim();
  }

  /** A line of a shell in the host, as one would type it there: `docker` is this engine's. */
  shell(line: string): Promise<Outcome> {
    return this.#run(['sh', '-c', line]);
  }

  compose(project: Project, ...args: readonly string[]): Promise<Outcome> {
    return this.#run(['docker-compose', '-p', project.name, '-f', '-', ...args], { input: project.file });
  }

  async mustCompose(project: Project, ...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.compose(project, ...args)).trim();
  }

  /** The names of a service's containers: Compose 1 puts `_` between their parts, Compose 2 `-`. */
  async composed(project: Project, service: string): Promise<readonly string[]> {
    const labels = [`project=${project.name}`, `service=${service}`].map(
      (label) => `label=com.docker.compose.${label}`,
    );
    const filters = labels.flatMap((label) => ['--filter', label]);
    const names = await this.mustDocker('ps', '-a', ...filters, '--format', '{{.Names}}');
    return names.split('\n').filter((name) => name !== '');
  }

  /** The image that all containers of tests are made of, without a registry: see `image.ts`. Returns its name. */
  async importImage(): Promise<string> {
    const archive = await imageArchive(this.#host.directory);
    await this.mustDocker('import', '--change', 'CMD ["sleep", "infinity"]', archive, IMAGE);
    return IMAGE;
  }

  /** The environment keeps the machine's own Docker settings out. */
  #run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const env = { DOCKER_HOST: `unix://${DOCKER_SOCKET}`, DOCKER_CONFIG: '/run/docker-client', DOCKER_CONTEXT: '' };
    return this.#host.run(argv, { ...options, env, timeoutMs: 240_000 });
  }

  async #end(name: NodeJS.Signals): Promise<number> {
    const process = this.#process;
    if (process === undefined) return 0;
    await process.kill(name);
    const code = await process.exited;
    this.#process = undefined;
    return code;
  }
}

/** True when the engine's API answers there. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy());
    ping.once('error', () => resolve(false));
    ping.end();
  });
}
