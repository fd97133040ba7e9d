/**
 * A router with source NAT (masquerade) between the lab's switch and a private segment of its own, as people have at home
 * or rent: what is behind it calls out, and nobody calls in.
 */
import { join } from 'node:path';
import { Host } from './host.ts';
import { OUTSIDE } from './internet.ts';
import type { Lab } from './lab.ts';

/**
 * How a port inside becomes one outside. `preserving`: the same number for all destinations where it is free, so that hole
 * punching works; `random`: another one for each destination.
 */
export type Mapping = 'preserving' | 'random';

export interface RouterOptions {
  readonly name: string;
  /** Of its address on the switch. */
  readonly number: number;
  readonly mapping: Mapping;
  /** Its own address inside, a /24; hosts behind it have others of it. Several routers may have the same. */
  readonly inside?: string;
}

export class Router {
  readonly host: Host;
  readonly #lab: Lab;
  readonly #inside: string;
  readonly #behind: Host[] = [];

  private constructor(lab: Lab, host: Host, inside: string) {
    this.#lab = lab;
    this.host = host;
    this.#inside = inside;
  }

  static async open(lab: Lab, { name, number, mapping, inside = '192.168.1.1' }: RouterOptions): Promise<Router> {
    const router = new Router(lab, await lab.addHost(name, number), inside);
    const lines = [
      'link add sw0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
      'link set sw0 up',
      `addr add ${inside}/24 dev sw0`,
    ];
    await router.host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
    await router.host.must(['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
    await router.setMapping(mapping);
    return router;
  }

  /** Of what is opened from now on. What comes from outside uncalled is dropped, before it can take a port. */
  async setMapping(mapping: Mapping): Promise<void> {
    const table = [
      'table ip router {}',
      'delete table ip router',
      'table ip router {',
      'chain input { type filter hook input priority 0; iifname "eth0" ct state new drop; }',
      'chain forward { type filter hook forward priority 0; iifname "eth0" ct state new drop; }',
      'chain out {',
      'type nat hook postrouting priority srcnat;',
      `oifname "eth0" masquerade${mapping === 'random' ? ' fully-random' : ''}`,
      '}',
      '}',
    ];
    await this.host.must(['nft', '-f', '-'], { input: table.join('\n') });
  }

  /** A host behind it, at the `number`th address inside, switched on; no agent runs there yet. Ends with the lab. */
  async addHost(name: string, number: number): Promise<Host> {
    const { host: router } = this;
    const host = new Host({
      name,
      address: this.#inside.replace(/\d+$/, String(number)),
      directory: join(this.#lab.directory, name),
      mtu: 1500,
      checkout: router.checkout,
      router: { gateway: this.#inside, resolver: OUTSIDE[4] },
      plug: {
        get pid() {
          return router.pid;
        },
        port: `p-${name}`,
      },
    });
    this.#behind.push(host);
    await this.#lab.adopt(host);
    return host;
  }

  get behind(): readonly Host[] {
    return this.#behind;
  }

  /** Forgets who called whom, as a router that is started anew: the kernel drops masqueraded flows with the link. */
  async forget(): Promise<void> {
    const lines = ['link set eth0 down', 'link set eth0 up', 'route replace default via 10.77.0.254'];
    await this.host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
  }

  /** The provider gives it another address: the `number`th. Flows of the old one are forgotten by the kernel. */
  async changeAddress(from: number, to: number): Promise<void> {
    const lines = [
      `addr del 10.77.0.${from}/24 dev eth0`,
      `addr add 10.77.0.${to}/24 dev eth0`,
      'route replace default via 10.77.0.254',
    ];
    await this.host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
  }
}
