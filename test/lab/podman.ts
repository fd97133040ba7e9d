import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, ROOT } from './host.ts';
import { IMAGE, imageArchive } from './image.ts';
import { expectSuccess, type Outcome, run } from './process.ts';
import { until } from './until.ts';

/** What Podman keeps below `/etc`, which is a host's own in the lab, as `/run` is. */
const FOLDER = '/etc/containers';
const PLUGINS = '/usr/local/libexec/netavark';
/** Below `/run`, which Podman's root and its host share. */
const STORAGE = '/run/podman-storage';
const PID_FILE = '/run/podman-root.pid';

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

/**
 * Makes the unpacked root the root of a mount namespace of its own, whose `/run` and `/etc/containers` are the host's: what
 * Podman mounts below `/run/netns` is there for the agent too. Stays, as the root's holder. A pivot, since `podman exec` enters
 * the container's mount namespace, which leaves a chroot. Control groups are the machine's own ones of version 2.
 */
const ENTER = `
set -e
root=$1 state=$2 tree=$3
mount --make-private /
mkdir -p "$state/upper" "$state/work" "$state/merged"
layers() { mount -t overlay overlay -o "lowerdir=$root,upperdir=$1/upper,workdir=$1/work" "$state/merged"; }
layers "$state" 2>/dev/null || { mkdir -p /run/podman-root/upper /run/podman-root/work && layers /run/podman-root; }
cd "$state/merged"
mount -t tmpfs tmpfs tmp
mkdir -p .old etc/containers ".${PLUGINS}" "./$tree" "./$state"
mount -t proc proc proc
mount --rbind /sys sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount --rbind /run run
mount --bind /etc/containers etc/containers
mount --bind ${PLUGINS} ".${PLUGINS}"
mount --bind "$state" "./$state"
mount --bind "$tree" "./$tree"
cp /etc/resolv.conf etc/resolv.conf
pivot_root . .old
umount -l /.old
echo $$ > ${PID_FILE}
exec sleep infinity
`;

/** Podman of one host, as root, without a daemon. Containers and networks end with the host. */
export class Podman {
  readonly #host: Host;
  readonly #state: string;
  #pid = '';

  constructor(host: Host) {
    this.#host = host;
    this.#state = join(host.directory, 'podman');
  }

  /** Its files, our plugin, and the tests' image. The host's agent needs {@link PODMAN_FLAGS}. */
  async start(): Promise<void> {
    const host = this.#host;
    const root = await podmanRoot();
    await host.must(['mkdir', '-p', `${FOLDER}/networks`]);
    await host.must(['sh', '-ec', OWN_LOCAL]);
    mkdirSync(this.#state, { recursive: true });
    await this.write('containers.conf', CONTAINERS_CONF);
    await this.write('storage.conf', STORAGE_CONF);
    await this.write('policy.json', POLICY);
    await this.install();
    await host.must(['mount', '--make-shared', '/run']);
    const holder = host.spawn(
      ['unshare', '-m', '--propagation', 'unchanged', 'sh', '-c', ENTER, 'enter', root, this.#state, ROOT],
      {
        log: 'podman.log',
      },
    );
    let ended: number | undefined;
    void holder.exited.then((code) => {
      ended = code;
    });
    this.#pid = await until(`the root of Podman on ${host.name}`, async () => {
      if (ended !== undefined) return 'ended';
      const { code, stdout } = await host.run(['cat', PID_FILE]);
      return code === 0 && stdout.trim() !== '' ? stdout.trim() : undefined;
    });
    if (ended !== undefined) throw new Error(`Podman has no root on ${host.name}: see ${host.directory}/podman.log`);
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

  /** By a shell of the host, which has Podman's command. */
  shell(command: string): Promise<Outcome> {
    const podman = `podman() { ${this.#enter().join(' ')} podman "$@"; }`;
    return this.#host.run(['bash', '-c', `${podman}\n${command}`], { timeoutMs: 120_000 });
  }

  #enter(): readonly string[] {
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin';
    return ['nsenter', `--mount=/proc/${this.#pid}/ns/mnt`, 'env', '-i', path, 'PODMAN_IGNORE_CGROUPSV1_WARNING=1'];
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

/** Debian 13's, unless the environment names another release. */
async function podmanRoot(): Promise<string> {
  const release = process.env.PODMAN_RELEASE ?? 'trixie';
  const outcome = await run(['bash', join(ROOT, 'test/podman-root.sh'), release], { timeoutMs: 500_000 });
  return expectSuccess(outcome).trim();
}
