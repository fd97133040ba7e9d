/**
 * What the process that answers names is made of: zones, responder and sockets, kept as agents tell, over their ends. It
 * goes on with what it knows for as long as nobody tells anything else.
 */
import { type Cidr, parseCidr } from '../core/cidr.ts';
import type { NamesNews, NamesRequest, OverlaySubnet } from '../core/dns/names-protocol.ts';
import { zoneDifference } from '../core/dns/zone-difference.ts';
import { Zones } from '../core/dns/zones.ts';
import { OverlaydError } from '../core/errors.ts';
import { SERVICE_ADDRESS } from '../core/host-state.ts';
import type { Clock, Random } from '../ports/runtime.ts';
import { EarlyQuestions } from './early-questions.ts';
import type { DnsForwarder, DnsHandler, DnsInside, DnsListeners } from './ports.ts';
import { createResponder, type Responder } from './responder.ts';

export interface AnsweringDeps {
  readonly listen: (handler: DnsHandler) => DnsListeners;
  readonly serveInside: (handler: DnsHandler) => DnsInside;
  /** `isOwn`: that we answer at that address ourselves. */
  readonly forward: (isOwn: (address: string) => boolean) => DnsForwarder;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly random: Pick<Random, 'next'>;
  /** Milliseconds since some moment, with their fractions. */
  readonly stopwatch?: () => number;
}

/** Stands for the host's own part, where an id of a network is said. */
const HOST = '';
/** Entries in a message to the successor. */
const ENTRIES_PER_MESSAGE = 2_000;

export class Answering {
  readonly responder: Responder;
  readonly #listeners: DnsListeners;
  readonly #inside: DnsInside;
  readonly #zones = new Zones();
  readonly #early: EarlyQuestions;
  readonly #subnets = new Map<string, { readonly subnet: OverlaySubnet; readonly block: Cidr }>();
  #naming: ReadonlySet<string> = new Set();
  #blocks: readonly Cidr[] = [];
  #ttlSeconds = 5;
  #knowsAllSubnets = false;
  #session = 0;

  constructor({ listen, serveInside, forward, clock, random, stopwatch }: AnsweringDeps) {
    const zones = this.#zones;
    const early = new EarlyQuestions({
      isWhole: (networkId) => (networkId === HOST ? this.#knowsAllSubnets : zones.isWhole(networkId)),
      clock,
    });
    early.begin(HOST);
    this.#early = early;
    const gateways = () => [...this.#subnets.values()].map(({ subnet }) => subnet.gateway);
    this.responder = createResponder(
      {
        zone: (networkId) => zones.get(networkId),
        overlay: () => this.#blocks,
        networksOf: (networkId, address) => zones.client(networkId, address)?.networks ?? [],
        hasWayOut: (networkId, address) => zones.client(networkId, address)?.wayOut ?? false,
        untilMore: (networkIds) => early.untilMore(networkIds),
        forwarder: forward((address) => address === SERVICE_ADDRESS || gateways().includes(address)),
        isNaming: (networkId) => this.#naming.has(networkId),
        askEngine: (key, query) => this.#inside.ask(key, query),
        random,
      },
      { ttlSeconds: () => this.#ttlSeconds, ...(stopwatch && { stopwatch }) },
    );
    this.#listeners = listen(this.responder.handler);
    this.#inside = serveInside(this.responder.handler);
  }

  /** An agent begins to tell. */
  beginSession(): void {
    this.#session += 1;
  }

  /** Takes effect before it returns. */
  take(news: NamesNews): void {
    switch (news.kind) {
      case 'settings':
        this.#ttlSeconds = news.ttlSeconds;
        this.#zones.setTtl(news.ttlSeconds);
        return;
      case 'cluster':
        this.#takeSubnets(news.subnets, news.whole);
        return;
      case 'zone':
        if (this.#zones.update(news, this.#session)) this.#early.begin(news.networkId);
        break;
      case 'services':
        this.#zones.updateServices(news, this.#session);
        break;
      case 'static':
        this.#zones.updateStatic(news, this.#session);
        break;
      case 'clients':
        this.#zones.updateClients(news, this.#session);
        return;
      case 'naming':
        this.#naming = new Set(news.networkIds);
        return;
      case 'whole':
        this.#zones.becomeWhole(news.networkId, this.#session);
        break;
    }
    this.#early.changed();
  }

  /** Resolves when it is done. Throws as {@link DnsListeners} does. */
  async handle(request: NamesRequest): Promise<void> {
    switch (request.kind) {
      case 'listen':
        return await this.#listeners.ensure(request);
      case 'close':
        this.#zones.forget(request.networkId);
        return await this.#listeners.close(request.networkId);
      case 'keep': {
        const kept = new Set(request.networkIds);
        for (const networkId of this.#zones.networkIds()) if (!kept.has(networkId)) this.#zones.forget(networkId);
        await this.#listeners.keep(kept);
        return;
      }
      case 'release': {
        const { networkId, namespacePath } = request;
        if (networkId !== undefined) await this.#listeners.close(networkId);
        if (namespacePath !== undefined) await this.#listeners.release(namespacePath);
        return;
      }
      case 'serve':
        return await this.#inside.serve(request.container);
      case 'leave':
        return await this.#inside.leave(request.key);
      case 'keep-inside':
        return await this.#inside.keep(new Set(request.keys));
      case 'compare':
        return this.#compare(request);
      case 'sync':
        return;
    }
  }

  #compare({ networkId, news, repair }: Extract<NamesRequest, { kind: 'compare' }>): void {
    const difference = zoneDifference(this.#zones.tellOf(networkId, ENTRIES_PER_MESSAGE), news);
    if (difference === undefined) return;
    if (!repair) throw new OverlaydError('conflict', difference);
    this.#zones.forget(networkId);
    for (const each of news) this.take(each);
  }

  /** All that it knows, for a successor that knows nothing. */
  *tell(): Generator<NamesNews> {
    const subnets = [...this.#subnets.values()].map(({ subnet }) => subnet);
    yield { kind: 'settings', ttlSeconds: this.#ttlSeconds };
    yield { kind: 'cluster', subnets, whole: this.#knowsAllSubnets };
    yield* this.#zones.tell(ENTRIES_PER_MESSAGE);
  }

  #takeSubnets(subnets: readonly OverlaySubnet[], whole: boolean): void {
    if (whole) this.#subnets.clear();
    for (const subnet of subnets) {
      const block = parseCidr(subnet.cidr);
      if (block !== undefined) this.#subnets.set(subnet.cidr, { subnet, block });
    }
    this.#blocks = [...this.#subnets.values()].map(({ block }) => block);
    this.#knowsAllSubnets ||= whole;
    this.#early.changed();
  }
}
