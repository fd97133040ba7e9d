/**
 * How this host's own programs find names of the networks on which the host is: its resolver is told to ask their gateways, and told
 * again where somebody changed that, or the link was made anew.
 */
import { parseCidr } from '../../core/cidr.ts';
import { DOMAIN } from '../../core/dns/domain.ts';
import { reverseNameOf } from '../../core/dns/reverse.ts';
import { isOfHost } from '../../core/expose.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { uplinkOf } from '../../core/plan/naming.ts';
import type { EndpointRecord, NetworkRecord } from '../../core/records.ts';
import { subnetWith } from '../../core/subnets.ts';
import type { HostResolver } from '../../ports/host-resolver.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Member } from '../member.ts';

export interface HostNamesDeps {
  readonly resolver: HostResolver;
  /** Undefined: this host is none now. */
  readonly member: () => Pick<Member, 'local' | 'reconciler' | 'view'> | undefined;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
}

/** Whom to ask for names of a network, and in which domain they are. */
export interface NameWay {
  readonly servers: readonly string[];
  readonly domain: string;
  /** Those of its addresses' pointers, as far as a domain is of them alone. */
  readonly reverse: readonly string[];
  /** The host's resolver asks there by itself. */
  readonly isAsked: boolean;
}

const LOOK_MS = 60_000;
const AGAIN_MS = 5_000;

export class HostNames {
  readonly #deps: HostNamesDeps;
  /** By network id: what it is told takes several calls. */
  readonly #queue = new KeyedQueue();
  /** What was logged, by network id. */
  readonly #told = new Map<string, string>();

  constructor(deps: HostNamesDeps) {
    this.#deps = deps;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, member } = this.#deps;
    while (!signal.aborted) {
      const now = member();
      const isRight = now !== undefined && (await this.#look(now));
      await clock.sleep(isRight ? LOOK_MS : AGAIN_MS, signal, 'loosely').catch(() => undefined);
    }
  }

  /** Whether nothing is left to be done. */
  async #look({ local, reconciler, view }: Pick<Member, 'local' | 'reconciler' | 'view'>): Promise<boolean> {
    let isRight = true;
    for (const { record } of local.all().filter(isOfHost)) {
      const network = view.network(record.networkId);
      // Meanwhile it may have been taken off one.
      if (!network || !local.has(record.id)) continue;
      // Before that there is no link to tell of.
      const isMade = reconciler.isMade(network.id);
      if (!isMade || (await this.tell(record, network)) === 'failed') isRight = false;
    }
    return isRight;
  }

  /** Whether the host's resolver asks there now. Why it could not be told is logged. */
  tell(record: EndpointRecord, network: NetworkRecord): Promise<'asks' | 'absent' | 'failed'> {
    return this.#queue.run(network.id, () => this.#tell(record, network));
  }

  async #tell(record: EndpointRecord, network: NetworkRecord): Promise<'asks' | 'absent' | 'failed'> {
    const { logger, resolver } = this.#deps;
    const { servers, domain, reverse } = wayOf(record, network);
    try {
      const asks = await resolver.ask(uplinkOf(network.vni), servers, domain, reverse);
      this.#told.delete(network.id);
      return asks ? 'asks' : 'absent';
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (this.#told.get(network.id) !== problem)
        logger.warn({ network: network.name, problem }, "this host's resolver could not be told of a network's names");
      this.#told.set(network.id, problem);
      return 'failed';
    }
  }

  /** After the host's endpoint there has gone, or it is told again. */
  forget({ id, vni, name }: NetworkRecord): Promise<void> {
    const { logger, resolver } = this.#deps;
    return this.#queue.run(id, () =>
      resolver.forget(uplinkOf(vni)).catch((error: unknown) => {
        logger.warn({ network: name, error }, "this host's resolver may ask for a network's names still");
      }),
    );
  }
}

/** By the gateways of those subnets in which the host is. */
export function wayOf({ addresses }: EndpointRecord, { name, subnets }: NetworkRecord): Omit<NameWay, 'isAsked'> {
  const gateways = addresses.flatMap(({ ip }) => subnetWith(subnets, ip)?.gateway ?? []);
  const reverse = subnets.flatMap(({ cidr }) => {
    const block = parseCidr(cidr);
    return (block && reverseNameOf(block)) ?? [];
  });
  return { servers: [...new Set(gateways)], domain: `${name.toLowerCase()}.${DOMAIN}`, reverse };
}
