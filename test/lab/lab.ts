import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Family } from '../../src/core/ip.ts';
import { removeControlGroups } from './control-groups.ts';
import { Host, PATH, ROOT } from './host.ts';
import { OUTSIDE, startInternet } from './internet.ts';
import { type Fault, Switch } from './switch.ts';

const PREFIX = 'overlayd-lab-';

export interface LabOptions {
  /** h1 … hN at 10.77.0.1 … 10.77.0.N, or at 2001:db8:77::1 and up. */
  readonly hosts: number;
  /** Of the addresses of hosts and internet: they have none of the other one. 4. */
  readonly family?: Family;
  /** Of the links between the hosts; 1500. */
  readonly mtu?: number;
  /** Starts an agent on each host. */
  readonly agents?: boolean;
  /** Directory of the checkout whose build the hosts run; this one. */
  readonly checkout?: string;
}

/**
 * A laboratory of hosts on one switch, all of it in namespaces that end with this process; nothing is put in the
 * machine's own. Logs and states are under `directory`, until `close`.
 */
export class Lab {
  readonly directory: string;
  readonly hosts: readonly Host[];
  readonly #mtu: number;
  readonly #family: Family;
  readonly #checkout: string;
  readonly #extra: Host[] = [];
  readonly #elsewhere: Host[] = [];
  #switch: Switch | undefined;
  /** When the run ends before the lab is closed or kept; its processes end by themselves. */
  readonly #forget = () => rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });

  private constructor(options: LabOptions) {
    this.directory = mkdtempSync(join(tmpdir(), PREFIX));
    this.#mtu = options.mtu ?? 1500;
    this.#family = options.family ?? 4;
    this.#checkout = options.checkout ?? ROOT;
    process.once('exit', this.#forget);
    this.hosts = Array.from({ length: options.hosts }, (_, index) => this.#host(`h${index + 1}`, index + 1));
  }

  static async open(options: LabOptions): Promise<Lab> {
    if (options.agents === true) requireBuild(options.checkout ?? ROOT);
    const lab = new Lab(options);
    try {
      mkdirSync(join(lab.directory, 'switch'));
      lab.#switch = await Switch.powerOn(join(lab.directory, 'switch'));
      await startInternet(await lab.addHost('internet', 254), lab.#family);
      await Promise.all(lab.hosts.map((host) => host.powerOn()));
      if (options.agents === true) await Promise.all(lab.hosts.map((host) => host.agent.start()));
      return lab;
    } catch (error) {
      await lab.close({ keepFiles: true });
      throw error;
    }
  }

  /** What commands inside find their programs with. */
  get path(): string {
    return PATH;
  }

  /** Host by number, from 1. */
  host(number: number): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new Error(`this lab has ${this.hosts.length} hosts`);
    return host;
  }

  /** What all hosts are plugged in. */
  get wire(): Switch {
    return this.#plug();
  }

  /** What lies behind the hosts' default route. */
  get internet(): Host {
    return this.#extra[0]!;
  }

  /** One more machine, with the `number`th address, without an agent, switched on. */
  async addHost(name: string, number: number): Promise<Host> {
    const host = this.#host(name, number);
    this.#extra.push(host);
    await host.powerOn();
    return host;
  }

  /** Switches a machine on that is plugged in elsewhere (`router.ts`); it ends with the lab. */
  async adopt(host: Host): Promise<void> {
    this.#elsewhere.push(host);
    await host.powerOn();
  }

  // ------------------------------------------------------------ faults

  /** Nothing passes between the groups; within a group everything does. Replaces the faults before. */
  async partition(...groups: readonly (readonly Host[])[]): Promise<void> {
    const faults: Fault[] = [];
    groups.forEach((a, index) => {
      for (const b of groups.slice(index + 1)) faults.push({ a: a.map(portOf), b: b.map(portOf) });
    });
    await this.#plug().setFaults(faults);
  }

  /** Loses that share of all traffic from and to these hosts. */
  async lose(percent: number, hosts: readonly Host[]): Promise<void> {
    const all = [...this.hosts, ...this.#extra].map(portOf);
    await this.#plug().setFaults([{ a: hosts.map(portOf), b: all, percent }]);
  }

  async heal(): Promise<void> {
    await this.#plug().setFaults([]);
  }

  async setCable(host: Host, state: 'up' | 'down'): Promise<void> {
    await this.#plug().setLink(portOf(host), state);
  }

  // ------------------------------------------------------------ the end

  /** Lets everything outlive this process. */
  keep(): readonly number[] {
    process.off('exit', this.#forget);
    const all = [...this.hosts, ...this.#extra, ...this.#elsewhere];
    for (const host of all) host.keep();
    this.#plug().keep();
    return [...all.map((host) => host.pid), this.#plug().pid];
  }

  async close(options: { keepFiles?: boolean } = {}): Promise<void> {
    // Before what they are plugged in.
    await Promise.all(this.#elsewhere.map((host) => host.powerOff()));
    await Promise.all([...this.hosts, ...this.#extra].map((host) => host.powerOff()));
    await this.#switch?.powerOff();
    removeControlGroups((lab) => lab === basename(this.directory));
    process.off('exit', this.#forget);
    if (options.keepFiles === true) console.log(`logs of the lab are kept in ${this.directory}`);
    else rmSync(this.directory, { recursive: true, force: true });
  }

  #plug(): Switch {
    if (this.#switch === undefined) throw new Error('the switch is off');
    return this.#switch;
  }

  #host(name: string, number: number): Host {
    const lab = this;
    return new Host({
      name,
      address: addressOf(number, this.#family),
      directory: join(this.directory, name),
      mtu: this.#mtu,
      checkout: this.#checkout,
      ...(name === 'internet'
        ? {}
        : { router: { gateway: addressOf(254, this.#family), resolver: OUTSIDE[this.#family] } }),
      plug: {
        get pid() {
          return lab.#plug().pid;
        },
        port: `p-${name}`,
      },
    });
  }
}

/** Of the `number`th host, from 1. */
export function addressOf(number: number, family: Family): string {
  return family === 6 ? `2001:db8:77::${number}` : `10.77.0.${number}`;
}

function portOf(host: Host): string {
  return `p-${host.name}`;
}

function requireBuild(checkout: string): void {
  if (!existsSync(join(checkout, 'dist/overlayd'))) throw new Error('dist/overlayd is not built: run "npm run setup"');
}

/** What labs left behind whose run was killed: directories older than a day, control groups. */
export function sweepOldLabs(): void {
  for (const name of readdirSync(tmpdir())) {
    const path = join(tmpdir(), name);
    if (!name.startsWith(PREFIX)) continue;
    // Another run may just have removed its own.
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > 86_400_000) rmSync(path, { recursive: true, force: true });
  }
  removeControlGroups((lab) => lab.startsWith(PREFIX) && !existsSync(join(tmpdir(), lab)));
}
