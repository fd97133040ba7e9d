/** Booted hosts on a switch of their own, the package in two versions, and what stories about them do again and again. */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nextVersionOf } from '../lab/checkouts.ts';
import { ROOT } from '../lab/host.ts';
import { imageArchive } from '../lab/image.ts';
import { expectSuccess, run, start } from '../lab/process.ts';
import { Switch } from '../lab/switch.ts';
import { until } from '../lab/until.ts';
import { BootedHost } from './booted-host.ts';

/** Files of this machine. */
export interface Made {
  readonly now: string;
  readonly next: string;
  /** As `now`. */
  readonly archive: string;
  /** Of busybox, for `docker import`. */
  readonly image: string;
}

/** `needsNext`: whether the next version is built as well; `fast`: compressed little. */
export async function makePackages(
  directory: string,
  { needsNext, fast }: { readonly needsNext: boolean; readonly fast: boolean },
): Promise<Made> {
  const build = async (checkout: string, name: string) => {
    const out = path.join(directory, name);
    const script = path.join(checkout, 'deploy/package.ts');
    expectSuccess(
      await run([process.execPath, script, ...(fast ? ['--fast'] : []), '--out', out], { timeoutMs: 600_000 }),
    );
    return path.join(out, readdirSync(out).find((each) => each.endsWith('.deb'))!);
  };
  const now = await build(ROOT, 'now');
  const archive = path.join(directory, 'now', readdirSync(path.dirname(now)).find((each) => each.endsWith('.tar.gz'))!);
  const image = await imageArchive(directory);
  if (!needsNext) return { now, next: '', archive, image };
  const checkout = await nextVersionOf(ROOT);
  try {
    for (const name of ['CHANGELOG.md', 'LICENSE', 'docs'])
      cpSync(path.join(ROOT, name), path.join(checkout.directory, name), { recursive: true });
    return { now, next: await build(checkout.directory, 'next'), archive, image };
  } finally {
    checkout.remove();
  }
}

export interface FleetOptions {
  /** Of the release. */
  readonly root: string;
  readonly made: Made;
}

export class Fleet {
  readonly directory: string;
  readonly made: Made;
  readonly hosts: readonly BootedHost[];
  readonly #wire: Switch;

  private constructor(directory: string, wire: Switch, { root, made }: FleetOptions) {
    this.directory = directory;
    this.made = made;
    this.#wire = wire;
    this.hosts = [1, 2].map((number) => {
      const names = { name: `b${number}`, address: `192.0.2.${number}` };
      return new BootedHost({ ...names, directory: path.join(directory, names.name), root, plug: wire });
    });
    for (const host of this.hosts) {
      const place = path.join(host.directory, 'up/packages');
      mkdirSync(place, { recursive: true });
      for (const file of Object.values(made)) if (file) copyFileSync(file, path.join(place, path.basename(file)));
    }
  }

  /** Two hosts that are off. `tell`: what they said last is shown where the story fails. */
  static async with(options: FleetOptions, story: (fleet: Fleet) => Promise<void>): Promise<void> {
    const directory = mkdtempSync(path.join(tmpdir(), 'overlayd-hosts-'));
    const fleet = new Fleet(directory, await Switch.powerOn(directory), options);
    let failed = true;
    try {
      await story(fleet);
      failed = false;
    } finally {
      if (failed) for (const host of fleet.hosts) await tell(host);
      for (const host of fleet.hosts) await host.cutPower();
      await fleet.#wire.powerOff();
      if (failed) console.error(`the hosts' files: ${directory}`);
      else rmSync(directory, { recursive: true, force: true });
    }
  }

  get one(): BootedHost {
    return this.hosts[0]!;
  }

  get two(): BootedHost {
    return this.hosts[1]!;
  }

  async bootAll(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.boot()));
  }

  /** A package of {@link Made}, as hosts see it. */
  inside(file: string): string {
    return `/packages/${path.basename(file)}`;
  }

  async install(host: BootedHost, which: 'now' | 'next' = 'now'): Promise<void> {
    await aptInstall(host, this.inside(this.made[which]));
  }

  /** By ssh, root of the first host as root of the second one. */
  async letIn(): Promise<void> {
    const key = await this.one.sh(
      'mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519 && cat /root/.ssh/id_ed25519.pub',
    );
    await this.two.sh(`mkdir -p -m 700 /root/.ssh && echo '${key}' >> /root/.ssh/authorized_keys`);
    await this.one.sh(`ssh -o StrictHostKeyChecking=accept-new root@${this.two.address} true`);
  }

  /** The first host's cluster, with both. */
  async formCluster(): Promise<void> {
    const text = await this.one.sh(`overlayd init --advertise-addr ${this.one.address}`);
    const line = /overlayd (join .*)$/m.exec(text)![1]!;
    await this.two.must(['overlayd', ...line.split(' ')]);
  }
}

export async function aptInstall(host: BootedHost, ...packages: readonly string[]): Promise<void> {
  await host.must(['apt-get', 'install', '-y', '-qq', ...packages], { timeoutMs: 600_000 });
}

export async function step(name: string, work: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  try {
    await work();
  } catch (error) {
    console.error(`FAILED  ${name}`);
    throw error;
  }
  console.log(`ok      ${name} (${((performance.now() - begun) / 1_000).toFixed(0)} s)`);
}

export async function untilReady(host: BootedHost): Promise<void> {
  await until(
    `${host.name} to be ready`,
    async () => /State: +ready/.test(await host.sh('overlayd status || true')),
    300_000,
  );
}

export async function attach(host: BootedHost, container: string, name: string): Promise<void> {
  assert.equal(await attachIf(host, container, name), 0);
}

export async function attachIf(host: BootedHost, container: string, name: string): Promise<number> {
  await host.run(['ip', 'netns', 'add', container]);
  return (await host.run(['overlayd', 'network', 'connect', '--name', name, 'web', `netns:${container}`])).code;
}

export async function reaches(host: BootedHost, container: string, name: string): Promise<boolean> {
  return (await host.run(['ip', 'netns', 'exec', container, 'ping', '-c', '1', '-W', '2', name])).code === 0;
}

/** Until it is asked: what was lost. */
export function ping(host: BootedHost, container: string, name: string): () => Promise<readonly string[]> {
  const argv = ['ip', 'netns', 'exec', container, 'ping', '-O', '-i', '0.05', name];
  const child = start(host.enter(argv), { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  return async () => {
    child.kill('SIGTERM');
    assert.match(text, /bytes from/);
    return text.split('\n').filter((line) => /no answer yet|unreachable/i.test(line));
  };
}

/** Until it is asked: questions that were not answered. `asks`: one question, asked again and again. */
export function ask(host: BootedHost, asks: readonly string[]): () => Promise<readonly string[]> {
  let going = true;
  const lost: string[] = [];
  let asked = 0;
  const work = (async () => {
    while (going) {
      const { code, stdout } = await host.run(asks);
      asked++;
      if (code !== 0 || !/\d+\.\d+\.\d+\.\d+/.test(stdout)) lost.push(`${code}: ${stdout}`);
    }
  })();
  return async () => {
    going = false;
    await work;
    assert.ok(asked > 5);
    return lost;
  };
}

/** A question for {@link ask}, in a namespace. */
export function digging(container: string, name: string): readonly string[] {
  return ['ip', 'netns', 'exec', container, 'dig', '+short', '+tries=1', '+time=5', '+search', name];
}

export function mainPid(host: BootedHost): Promise<string> {
  return host.sh('systemctl show --property=MainPID --value overlayd');
}

/** Frozen, the agent is ended and started anew by systemd. */
export async function hang(host: BootedHost): Promise<void> {
  const before = await mainPid(host);
  await host.must(['kill', '-STOP', before]);
  await until('another agent', async () => {
    const now = await mainPid(host);
    return now !== '0' && now !== before && (await host.sh('systemctl is-active overlayd || true')) === 'active';
  });
}

async function tell(host: BootedHost): Promise<void> {
  const said = await host.run(['journalctl', '--no-pager', '-n', '60']).catch(() => undefined);
  console.error(`--- ${host.name}\n${said?.stdout ?? host.console.slice(-4_000)}`);
}
