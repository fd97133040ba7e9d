/**
 * What an endpoint is to have: an address of each family that its network has, IPv4 first, and a MAC. On a network that keeps
 * addresses for names it is what the one of its name had before (`core/ipam/kept.ts`). All of it is claimed in one
 * transaction; where that fails, what turned out to be somebody else's is chosen anew and the rest stays. Hosts that claim at
 * the same moment choose the same, so a loser spreads out: with every loss over twice as many addresses, by as many in
 * both families, since those who lost both are the same.
 */
import { derivedMac, proposedMac } from '../../core/endpoint-mac.ts';
import { OverlaydError } from '../../core/errors.ts';
import { canonicalIp, FAMILIES, type Family, familyOf } from '../../core/ip.ts';
import {
  type AddressSpace,
  type Choice,
  checkAddress,
  chooseAddress,
  isAvailable,
  optionOf,
  takeKept,
} from '../../core/ipam/address.ts';
import { chooseKept } from '../../core/ipam/kept.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { networkSettings } from '../../core/network-options.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../core/records.ts';
import { familiesOf } from '../../core/subnets.ts';
import type { Random } from '../../ports/runtime.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { refuseTakenMac } from './mac-choice.ts';
import { hasMac } from './mac-claims.ts';

export interface Wanted extends Pick<EndpointRecord, 'ports' | 'labels' | 'tool'> {
  /** Undefined: its own short id, until it gets one. */
  readonly name: string | undefined;
  readonly aliases: readonly string[];
  /** Static addresses, IPv4 and IPv6; undefined: automatic. */
  readonly ip: string | undefined;
  readonly ip6?: string | undefined;
  readonly mac: string | undefined;
  /** No address of others. Undefined: one of each that the network has. */
  readonly families?: readonly Family[] | undefined;
  /** Of which address the MAC is. Undefined: of what is asked for, of IPv4's where that is both or none. */
  readonly macOf?: Family | undefined;
}

export interface Chosen {
  /** IPv4 first. */
  readonly choices: readonly Choice[];
  readonly mac: string;
  /** Addresses that were kept for it and that it does not take: they are kept no more. */
  readonly unused: readonly string[];
}

export interface AddressChoiceDeps {
  readonly state: ClusterState;
  readonly random: Random;
  readonly selfId: string;
  /** Without what is reserved for this very choice. */
  readonly space: (network: NetworkRecord, family: Family) => AddressSpace;
  /** Whether it is to have what is kept for its name. */
  readonly takesKept: boolean;
}

/** How far apart losers spread at most, in addresses and in milliseconds. */
const MOST_SKIPPED = 256;
const LONGEST_PAUSE_MS = 32;

export class AddressChoice {
  readonly #deps: AddressChoiceDeps;
  readonly #wanted: Wanted;
  /** Automatic ones of the attempt before. */
  readonly #chosen = new Map<Family, Choice>();
  /** Addresses that turned out taken, and quarantines that turned out over, before the watch said so. */
  readonly #lost = { 4: new Set<string>(), 6: new Set<string>() };
  readonly #rested = new Set<string>();
  /** MACs that may be somebody's who cannot be told. */
  readonly #macs = new Set<string>();

  constructor(deps: AddressChoiceDeps, wanted: Wanted) {
    this.#deps = deps;
    this.#wanted = wanted;
  }

  /**
   * Throws what `chooseAddress`, `checkAddress` and `refuseTakenMac` throw; `address-out-of-range` where the network has no
   * subnet of a family that is asked for.
   */
  choose(network: NetworkRecord): Chosen {
    const { view } = this.#deps.state;
    const { mac } = this.#wanted;
    this.#refuseUnreadable(network);
    if (mac !== undefined) refuseTakenMac(view, network, mac);
    const { families: wanted = [4, 6] } = this.#wanted;
    const families = familiesOf(network).filter((family) => wanted.includes(family));
    for (const family of FAMILIES) if (!families.includes(family)) this.#refuseFamily(network, family);
    const chance = this.#deps.random.next();
    const kept = this.#keptFor(network);
    const choices = families.map((family) => this.#chooseOf(network, family, chance, kept));
    const unused = kept.filter((address) => !choices.some((choice) => choice.address === address));
    return { choices, mac: mac ?? this.#macOf(network, choices), unused };
  }

  /** It is somebody else's, whatever is known here. */
  lose(address: string): void {
    this.#lost[familyOf(address) ?? 4].add(address);
  }

  /** Its quarantine is over. */
  rest(address: string): void {
    this.#rested.add(address);
  }

  /** The MAC of what was chosen last is somebody's: another one follows from another address, or is proposed. */
  loseMac({ choices: [first], mac }: Chosen): void {
    if (derivedMac([{ ip: first!.address }]) === mac) this.lose(first!.address);
    else this.#macs.add(mac);
  }

  /** Random, from a range that doubles with every loss, in milliseconds; undefined when nothing was lost. */
  pauseMs(): number | undefined {
    const losses = Math.max(this.#lost[4].size, this.#lost[6].size);
    return losses === 0 ? undefined : this.#deps.random.next() * widthOf(losses, LONGEST_PAUSE_MS);
  }

  /** What the endpoint's name had before, as far as nobody else is about to have it. */
  #keptFor(network: NetworkRecord): readonly string[] {
    const { space, selfId, state, takesKept } = this.#deps;
    const { ip, ip6, name } = this.#wanted;
    if (name === undefined || !takesKept || !networkSettings(network).sticky) return [];
    const { pending } = space(network, 4);
    const isOthers = (address: string) =>
      this.#rested.has(address) || this.#lost[familyOf(address) ?? 4].has(address) || pending.has(address);
    const resting = [...state.view.quarantine(network.id)].filter(([address]) => !isOthers(address));
    const asked = [ip, ip6].flatMap((each) => (each === undefined ? [] : (canonicalIp(each) ?? [])));
    return chooseKept(new Map(resting), { name, selfId, asked })?.addresses ?? [];
  }

  #chooseOf(network: NetworkRecord, family: Family, chance: number, kept: readonly string[]): Choice {
    const { state, space: spaceOf } = this.#deps;
    const lost = this.#lost[family];
    const all = spaceOf(network, family);
    const quarantine =
      this.#rested.size === 0
        ? all.quarantine
        : new Map([...all.quarantine].filter(([address]) => !this.#rested.has(address)));
    const asked = this.#wanted[optionOf(family)];
    if (asked !== undefined) {
      const holder = (nodeId: string) => state.view.node(nodeId)?.name ?? nodeId.slice(0, 12);
      return checkAddress({ ...all, quarantine }, asked, holder, this.#wanted.name);
    }
    const passed = new Set(lost);
    const pending = { has: (address: string) => all.pending.has(address) || passed.has(address) };
    const space = { ...all, quarantine, pending };
    const own = takeKept(space, kept);
    if (own && !this.#followsTaken(network, family, own)) return own;
    const before = this.#chosen.get(family);
    if (before && isAvailable(space, before)) return before;
    const skip = Math.floor(chance * widthOf(lost.size, MOST_SKIPPED));
    for (;;) {
      const choice = chooseAddress(space, network.name, skip);
      if (!this.#followsTaken(network, family, choice)) {
        this.#chosen.set(family, choice);
        return choice;
      }
      passed.add(choice.address);
    }
  }

  /** Hardly ever is the MAC that follows from it another endpoint's. */
  #followsTaken(network: NetworkRecord, family: Family, { address }: Choice): boolean {
    if (family !== this.#macFamily || this.#wanted.mac !== undefined) return false;
    return this.#isTaken(network, derivedMac([{ ip: address }]));
  }

  /** Throws `address-in-use` where it follows from an address that was asked for, and is another endpoint's. */
  #macOf(network: NetworkRecord, choices: readonly Choice[]): string {
    const { view } = this.#deps.state;
    const [first, last] = [choices[0]!, choices.at(-1)!];
    const derived = derivedMac([{ ip: first.address }]);
    if (derived !== undefined && (first === last || this.#macFamily === 4)) {
      if (this.#wanted.ip !== undefined) refuseTakenMac(view, network, derived, this.#wanted.ip);
      return derived;
    }
    for (let nth = 0; ; nth++) {
      const proposed = proposedMac(last.address, nth);
      if (!this.#macs.has(proposed) && !this.#isTaken(network, proposed)) return proposed;
    }
  }

  /**
   * Whoever asks for an address again has the MAC that it had, so that nobody waits for a stale neighbour entry to end, which
   * takes up to a minute.
   */
  get #macFamily(): Family {
    const { ip, ip6, macOf } = this.#wanted;
    return macOf ?? (ip === undefined && ip6 !== undefined ? 6 : 4);
  }

  #isTaken(network: NetworkRecord, mac: string | undefined): boolean {
    return mac !== undefined && hasMac(this.#deps.state.view.addresses(network.id).values(), mac);
  }

  #refuseFamily({ name }: NetworkRecord, family: Family): void {
    const asked = this.#wanted[optionOf(family)];
    if (asked === undefined) return;
    throw new OverlaydError(
      'address-out-of-range',
      `requested address ${asked} is out of range: network ${name} has no IPv${family} subnet; leave out --${optionOf(family)}, or give it one (overlayd network subnet add ${name} CIDR)`,
    );
  }

  /** What another version wrote may say anything: that the network is being removed, that this node has left. */
  #refuseUnreadable({ id, name }: NetworkRecord): void {
    const { state, selfId } = this.#deps;
    const { unreadable } = state.view;
    const self = keys.node(selfId);
    if (unreadable.has(self)) throw unreadableRecord(self, 'this node can claim no address');
    const network = keys.network(id);
    if (unreadable.has(network)) throw unreadableRecord(network, `network ${name} gives no address to this host`);
    for (const asked of [this.#wanted.ip, this.#wanted.ip6]) {
      const ip = asked === undefined ? undefined : canonicalIp(asked);
      const taken = ip === undefined ? undefined : keys.address(id, ip);
      if (taken !== undefined && unreadable.has(taken)) {
        throw unreadableRecord(taken, `address ${asked} on network ${name} belongs to an endpoint; choose another`);
      }
    }
  }
}

/** Of the range that losers spread over. */
function widthOf(losses: number, most: number): number {
  return Math.min(2 ** losses, most);
}
