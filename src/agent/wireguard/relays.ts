/** What this host passes on between members behind NAT: opened when one of them asks for it, published, closed again. */
import type { ClusterView } from '../../core/cluster-view.ts';
import { parseHostPort } from '../../core/host-port.ts';
import type { WireguardRelay } from '../../core/records.ts';
import { isOf, pairsToRelay, type RelayedPair } from '../../core/wireguard/relaying.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { OpenRelay, Relay } from '../../ports/wireguard.ts';

export interface RelaysDeps {
  readonly openRelay?: OpenRelay | undefined;
  readonly view: ClusterView;
  readonly answers: (nodeId: string) => boolean;
  readonly onOffer: () => void;
  /** Where this host sees a member come from: `host:port` of each of its keys. */
  readonly hostOf: (nodeId: string) => readonly string[];
  readonly logger: Logger;
}

export interface RelaysOptions {
  readonly selfId: string;
  /** Of WireGuard's first device; the second has the next one. */
  readonly basePort: number;
}

/** Ports are taken from behind WireGuard's own, so many. */
const PORTS = 512;

interface Open {
  readonly pair: RelayedPair;
  readonly relay: Relay;
}

export class Relays {
  readonly #deps: RelaysDeps;
  readonly #options: RelaysOptions;
  readonly #open = new Map<string, Open>();

  constructor(deps: RelaysDeps, options: RelaysOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  published(): readonly WireguardRelay[] {
    return [...this.#open.values()].map(({ pair, relay }) => ({ between: pair.keys, ports: relay.ports }));
  }

  /** Returns what failed, in words. */
  async keep(): Promise<readonly string[]> {
    const { answers, logger, onOffer, openRelay, view } = this.#deps;
    const { selfId } = this.#options;
    if (!openRelay) return [];
    const isReady = (nodeId: string) => nodeId === selfId || answers(nodeId);
    const pairs = pairsToRelay(selfId, [...view.nodes()], isReady);
    const wanted = new Map(pairs.map((pair) => [pair.keys.join(' '), pair]));
    const problems: string[] = [];
    let isChanged = false;
    for (const [key, { relay }] of this.#open) {
      if (wanted.has(key)) continue;
      relay.close();
      this.#open.delete(key);
      isChanged = true;
    }
    for (const [key, pair] of wanted) {
      if (this.#open.has(key)) continue;
      try {
        this.#open.set(key, { pair, relay: await this.#openFor(pair, openRelay) });
        isChanged = true;
      } catch (error) {
        problems.push(`relaying between two members behind NAT failed: ${(error as Error).message}`);
      }
    }
    if (!isChanged) return problems;
    const names = [...this.#open.values()].map(({ pair }) => pair.nodeIds.map((id) => view.node(id)?.name).join(' - '));
    logger.info({ event: 'relaying', between: names }, 'members behind NAT that are relayed between changed');
    onOffer();
    return problems;
  }

  close(): void {
    for (const { relay } of this.#open.values()) relay.close();
    this.#open.clear();
  }

  /** At the ports of before, where there are any: those who send there need not hear of others. */
  async #openFor(pair: RelayedPair, openRelay: OpenRelay): Promise<Relay> {
    const self = this.#deps.view.node(this.#options.selfId)!;
    const before = self.wireguard?.relays?.find((each) => isOf(each, pair.keys))?.ports;
    const taken = new Set([...this.#open.values()].flatMap(({ relay }) => relay.ports));
    const first = this.#options.basePort + 2;
    const free = Array.from({ length: PORTS }, (_, at) => first + at).filter((port) => !taken.has(port));
    const choices = free.flatMap((port, at) => (at % 2 === 1 ? [[free[at - 1]!, port] as const] : []));
    let failure: unknown;
    for (const ports of [...(before ? [before] : []), ...choices]) {
      try {
        return await openRelay({ address: self.vtep, ports, admits: (side, from) => this.#admits(pair, side, from) });
      } catch (error) {
        failure = error;
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') break;
      }
    }
    throw failure;
  }

  #admits({ nodeIds }: RelayedPair, side: 0 | 1, from: string): boolean {
    return this.#deps.hostOf(nodeIds[side]).some((endpoint) => parseHostPort(endpoint)?.host === from);
  }
}
