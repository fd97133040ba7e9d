/** What a simulated host is surrounded by; tests change it while the agent runs. */
import type { HostRoute } from '../../src/core/host-facts.ts';
import type { HostFacts } from '../../src/ports/host.ts';

const LINK_ROUTE: HostRoute = { destination: '192.0.2.0/24', link: 'eth0', onLink: true, gateways: [] };

export class FakeFacts implements HostFacts {
  boot = 1;
  addressesNow: readonly { readonly link: string; readonly address: string; readonly prefix: number }[];
  mtuBytes = 1_500;
  servers: readonly string[] = [];
  /** Besides the link's own. */
  furtherRoutes: readonly HostRoute[] = [];
  readonly #name: string;

  constructor(name: string, address: string) {
    this.#name = name;
    this.addressesNow = [{ link: 'eth0', address, prefix: 24 }];
  }

  bootId = async () => `boot-${this.boot}`;
  hostname = () => this.#name;
  links = async () => ['lo', 'eth0'];
  addresses = async () => this.addressesNow;
  routes = async () => [LINK_ROUTE, ...this.furtherRoutes];
  nameServers = async () => this.servers;
  lookUp = async () => [];
  underlay = async () => ({ mtuBytes: this.mtuBytes, limit: 'link eth0' });
  linksTo: HostFacts['linksTo'] = async () => new Map();
  bindProblem = async () => undefined;
}
