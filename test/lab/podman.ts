import { join } from 'node:path';
import type { Host } from './host.ts';
import { IMAGE, imageArchive } from './image.ts';
import { expectSuccess, type Outcome } from './process.ts';
import { ToolRoot } from './tool-root.ts';

/** What Podman keeps below `/etc`, which is a host's own in the lab, as `/run` is. */
const FOLDER = '/etc/containers';
const PLUGINS = '/usr/local/libexec/netavark';
/** Below `/run`, which Podman's root and its host share. */
const STORAGE = '/run/podman-storage';

/** Debian 13's (trixie: 5.4, forky: 5.8), unless the environment names another release. */
const RELEASE = process.env.PODMAN_RELEASE ?? 'trixie';
const PACKAGES = ['podman', 'netavark', 'crun', 'catatonit', 'nftables'];
/** Podman 4.3, which runs CNI's plugins. */
const WITH_CNI = ['podman', 'crun', 'catatonit', 'containernetworking-plugins', 'iptables'];
const OPT = '/opt';

export interface PodmanOptions {
  /** `cni`: of Debian 12, with CNI's plugins below `/opt/cni/bin`, which is the host's own then. */
  readonly backend?: 'netavark' | 'cni';
  /** Packages of that Debian besides. */
  readonly besides?: readonly string[];
}

/** For the agents of hosts with Podman: all else is where it is by default. */
export const PODMAN_FLAGS = ['--podman-storage', STORAGE];

/** The machine's `/usr/local`, with changes of the host's own. */
const OWN_LOCAL = `
mkdir -p /run/usr-local/upper /run/usr-local/work
mount -t overlay overlay -o lowerdir=/usr/local,upperdir=/run/usr-local/upper,workdir=/run/usr-local/work /usr/local
mkdir -p ${PLUGINS}
`;

/** Podman's own defaults have no NET_RAW, which busybox's ping wants. */
const CONTAINERS_CONF = `[containers]
cgroups = "disabled"
default_capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "NET_RAW", "SETGID", "SETUID"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`;
const STORAGE_CONF = `[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "${STORAGE}"
`;
const POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n';

/** Podman of one host, as root, without a daemon. Containers and networks end with the host. */
export class Podman {
  readonly #host: Host;
  readonly #state: string;
  readonly #options: PodmanOptions;
  #root: ToolRoot | undefined;

  constructor(host: Host, options: PodmanOptions = {}) {
    this.#host = host;
    this.#options = options;
    this.#state = join(host.directory, 'podman');
  }

  /** Its files, our plugin, and the tests' image. The host's agent needs {@link PODMAN_FLAGS}. */
  async start(): Promise<void> {
    const host = this.#host;
    const { backend = 'netavark', besides = [] } = this.#options;
    await host.must(['mkdir', '-p', `${FOLDER}/networks`, '/etc/cni/net.d']);
    await host.must(['sh', '-ec', OWN_LOCAL]);
    await this.write('containers.conf', `${CONTAINERS_CONF}[network]\nnetwork_backend = "${backend}"\n`);
    await this.write('storage.conf', STORAGE_CONF);
    await this.write('policy.json', POLICY);
    if (backend === 'netavark') await this.install();
    else await host.must(['mount', '-t', 'tmpfs', 'tmpfs', OPT]);
    this.#root = await ToolRoot.open(host, {
      ...{ name: 'podman', controlGroups: 'v2', shared: [FOLDER, PLUGINS, '/etc/cni', OPT] },
      ...(backend === 'netavark'
        ? { release: RELEASE, packages: [...besides, ...PACKAGES] }
        : { release: 'bookworm', packages: WITH_CNI }),
    });
    const archive = await imageArchive(this.#state);
    await this.must('import', '--change', 'CMD ["sleep", "infinity"]', archive, IMAGE);
  }

  /** The program that netavark runs. */
  async install(): Promise<void> {
    await this.#host.mustOverlayd('podman', 'install');
  }

  /** A file of Podman's folder of configuration. */
  async write(name: string, text: string): Promise<void> {
    await this.#host.must(['sh', '-c', 'cat > "$0"', `${FOLDER}/${name}`], { input: text });
  }

  podman(...args: readonly string[]): Promise<Outcome> {
    return this.inRoot(['podman', ...args]);
  }

  async must(...args: readonly string[]): Promise<string> {
    return expectSuccess(await this.podman(...args)).trim();
  }

  /** Anything of that Debian, e.g. a shell. */
  inRoot(argv: readonly string[]): Promise<Outcome> {
    return this.#host.run([...this.#enter(), ...argv], { timeoutMs: 120_000 });
  }

  /** By a shell of the host, which has Podman's commands. */
  shell(command: string): Promise<Outcome> {
    const enter = this.#enter().join(' ');
    const commands = ['podman', 'podman-compose'].map((name) => `${name}() { ${enter} ${name} "$@"; }`);
    return this.#host.run(['bash', '-c', [...commands, command].join('\n')], { timeoutMs: 120_000 });
  }

  #enter(): readonly string[] {
    if (!this.#root) throw new Error(`Podman of ${this.#host.name} is not started`);
    return this.#root.enter('PODMAN_IGNORE_CGROUPSV1_WARNING=1');
  }

  /** `podman run -d`: sleeps until it is ended. */
  async runContainer(name: string, ...options: readonly string[]): Promise<string> {
    return this.must('run', '-d', '--stop-timeout', '0', '--name', name, ...options, IMAGE);
  }

  /** What a name resolves to inside a container, sorted; empty when it does not exist. */
  async lookUp(container: string, name: string): Promise<readonly string[]> {
    const { stdout } = await this.podman('exec', container, 'nslookup', '-type=a', name);
    if (!stdout.includes('Name:')) return [];
    const answer = stdout.slice(stdout.indexOf('Name:'));
    return [...answer.matchAll(/^Address:\s+([\d.]+)$/gm)].map((match) => match[1]!).sort();
  }

  async pings(container: string, target: string): Promise<boolean> {
    return (await this.podman('exec', container, 'ping', '-c', '1', '-W', '2', target)).code === 0;
  }

  /** Names of its networks with our driver, sorted. */
  async networks(): Promise<readonly string[]> {
    const names = await this.must('network', 'ls', '--filter', 'driver=overlayd', '--format', '{{.Name}}');
    return names
      .split('\n')
      .filter((name) => name !== '')
      .sort();
  }
}
