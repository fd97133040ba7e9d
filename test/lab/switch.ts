import { type Holder, hold, keep, release } from './holder.ts';
import { expectSuccess, type Outcome, run } from './process.ts';

const SETUP = `
ip link add sw0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
ip link set sw0 up
`;

/** Traffic that the switch loses: all of it, or `percent` of it, between any port of `a` and any port of `b`. */
export interface Fault {
  readonly a: readonly string[];
  readonly b: readonly string[];
  readonly percent?: number;
}

/** The bridge that joins the hosts. Faults are dropped here, so that nothing of the lab is seen inside a host. */
export class Switch {
  readonly #holder: Holder;

  private constructor(holder: Holder) {
    this.#holder = holder;
  }

  static async powerOn(directory: string): Promise<Switch> {
    return new Switch(await hold(['--net'], SETUP, directory, []));
  }

  get pid(): number {
    return this.#holder.pid;
  }

  run(argv: readonly string[], input?: string): Promise<Outcome> {
    const options = input === undefined ? {} : { input };
    return run(this.enter(argv), options);
  }

  /** The command line that runs something there from the outside. */
  enter(argv: readonly string[]): readonly string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', ...argv];
  }

  /** The faults from now on, instead of those before; none heals everything. */
  async setFaults(faults: readonly Fault[]): Promise<void> {
    const rules = faults.flatMap(({ a, b, percent }) => {
      const chance = percent === undefined ? '' : `numgen random mod 100 < ${percent} `;
      const ports = (names: readonly string[]) => `{ ${names.join(', ')} }`;
      return [
        `iifname ${ports(a)} oifname ${ports(b)} ${chance}drop`,
        `iifname ${ports(b)} oifname ${ports(a)} ${chance}drop`,
      ];
    });
    const table = [
      'table bridge faults {}',
      'delete table bridge faults',
      'table bridge faults {',
      'chain forward {',
      'type filter hook forward priority 0; policy accept;',
      ...rules,
      '}',
      '}',
    ];
    expectSuccess(await this.run(['nft', '-f', '-'], table.join('\n')));
  }

  /** Cable of one port out or in. */
  async setLink(port: string, state: 'up' | 'down'): Promise<void> {
    expectSuccess(await this.run(['ip', 'link', 'set', port, state]));
  }

  keep(): void {
    keep(this.#holder);
  }

  async powerOff(): Promise<void> {
    await release(this.#holder);
  }
}
