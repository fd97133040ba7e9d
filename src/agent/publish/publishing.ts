/**
 * Publishing ports of this host by name. What is published is kept in the state file, and stays when its container goes: the
 * next one of that name here has it, or, where the host itself is on the network, on any host. What a tool asks for with its
 * container goes with that.
 */
import { attachmentOf, type Owner } from '../../core/attachment.ts';
import { desired } from '../../core/desired.ts';
import { OverlaydError } from '../../core/errors.ts';
import { isOfHost } from '../../core/expose.ts';
import { isThere } from '../../core/failure-detector.ts';
import type { BindProblem } from '../../core/host-facts.ts';
import { ALL_ADDRESSES, FAMILIES, familyOfAddress } from '../../core/ip.ts';
import { networkSettings } from '../../core/network-options.ts';
import {
  type DesiredPublication,
  formatHostEnd,
  goesBy,
  isSameHostEnd,
  type PortMapping,
  type Publication,
  parseHostEnd,
  parsePublication,
  refuseLoopback,
} from '../../core/publish.ts';
import { type EndpointRecord, hasAddress, type NetworkRecord } from '../../core/records.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Member } from '../member.ts';

export interface PublishingDeps {
  readonly member: Pick<Member, 'liveness' | 'local' | 'networks' | 'reconciler' | 'self' | 'view'>;
  readonly facts: Pick<HostFacts, 'bindProblem'>;
}

export interface ListedPublication extends Publication {
  /** Undefined: it is gone. */
  readonly network: NetworkRecord | undefined;
  /** Of containers, where it leads now. */
  readonly addresses: readonly string[];
  /** In words, when it leads nowhere. */
  readonly waitsFor: string | undefined;
  /** Undefined: a person published it. */
  readonly tool: string | undefined;
}

/**
 * Returns when the port is open, also when it was already. Throws `invalid-argument`, `network-not-found`, `conflict` (somebody has the port: says who), and
 * `endpoint-not-found` for a container of another host on a network where this one is not.
 */
export async function publish(
  { member, facts }: PublishingDeps,
  text: string,
): Promise<{ readonly publication: ListedPublication; readonly warnings: readonly string[] }> {
  const { network: ref, ...asked } = parsePublication(text);
  refuseLoopback(asked);
  const network = await member.networks.find(ref);
  requireWayOut(network);
  const publication = { ...asked, networkId: network.id };
  if (member.local.publications.some((each) => isSamePublication(each, publication))) {
    return await opened(member, publication);
  }
  refuseTaken(member, publication);
  refuseForeign(member, network, publication);
  await refuseBound(facts, publication);
  // Somebody else may have been quicker.
  refuseTaken(member, publication);
  await member.local.publish([...member.local.publications, publication]);
  return await opened(member, publication);
}

/** What is asked for again is looked at again: the kernel may have refused it the first time. */
async function opened(member: PublishingDeps['member'], publication: Publication) {
  const listed = describe(member, publication);
  if (listed.addresses.length > 0) await member.reconciler.converge(publication.networkId);
  return {
    publication: listed,
    warnings: listed.waitsFor === undefined ? [] : [`nothing answers yet: ${listed.waitsFor}`],
  };
}

/** Returns what it was. Throws `invalid-argument`, `name-not-found`. */
export async function unpublish({ member }: Pick<PublishingDeps, 'member'>, text: string): Promise<ListedPublication> {
  const end = parseHostEnd(text);
  const found = member.local.publications.find(
    (each) => isSameHostEnd(each, end) && each.hostAddress === end.hostAddress,
  );
  if (!found) {
    const others = byTools(member, allWays(member)).find((each) => isSameHostEnd(each, end));
    throw new OverlaydError(
      'name-not-found',
      others
        ? `${formatHostEnd(end)} was published by ${others.tool} with its container ${others.name}, and goes with it`
        : `${formatHostEnd(end)} is not published on this host; \`overlayd publish ls\` lists what is`,
    );
  }
  const listed = describe(member, found);
  await member.local.publish(member.local.publications.filter((each) => each !== found));
  if (listed.addresses.length > 0) await member.reconciler.converge(found.networkId);
  return listed;
}

/** By port. */
export function listPublications({ member }: Pick<PublishingDeps, 'member'>): ListedPublication[] {
  const ways = allWays(member);
  const named = member.local.publications.map((each) => describe(member, each, ways));
  const order = ({ hostPort, protocol, hostAddress = '' }: ListedPublication) =>
    `${String(hostPort).padStart(5, '0')} ${protocol} ${hostAddress}`;
  return [...named, ...byTools(member, ways)].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** What stands in the way of a tool's ports. Throws `conflict`, `invalid-argument`. `isSame`: of that container, which may ask for them again. */
export function requireFree(
  member: PublishingDeps['member'],
  mappings: readonly PortMapping[],
  isSame: (owner: Owner) => boolean,
): void {
  for (const mapping of mappings) {
    refuseLoopback(mapping);
    refuseTaken(member, mapping, isSame);
  }
}

function isSamePublication(a: Publication, b: Publication): boolean {
  const isSameEnd = isSameHostEnd(a, b) && a.hostAddress === b.hostAddress;
  return isSameEnd && a.networkId === b.networkId && a.port === b.port && goesBy({ name: a.name, aliases: [] }, b.name);
}

function refuseTaken(
  member: PublishingDeps['member'],
  wanted: PortMapping,
  isSame: (owner: Owner) => boolean = () => false,
): void {
  const end = formatHostEnd(wanted);
  const person = member.local.publications.find((each) => isSameHostEnd(each, wanted));
  if (person) {
    const network = member.view.network(person.networkId)?.name ?? person.networkId;
    throw conflict(
      `port ${end} of this host is published for ${network}/${person.name} already (overlayd publish rm ${formatHostEnd(person)})`,
    );
  }
  for (const [owner, asked] of member.local.portsAsked) {
    if (isSame(owner) || !asked.some((each) => isSameHostEnd(each, wanted))) continue;
    throw new OverlaydError(
      'conflict',
      `port ${end} of this host is just being published by ${owner.tool} for its container`,
      { retryable: true },
    );
  }
  for (const endpoint of member.local.all()) {
    const isOthers = endpoint.owner === undefined || !isSame(endpoint.owner);
    const taken = isOthers && endpoint.published?.find((each) => isSameHostEnd(each, wanted));
    if (!taken) continue;
    throw conflict(
      `port ${end} of this host is published by ${attachmentOf(endpoint).tool} for its container ${endpoint.record.name} already`,
    );
  }
}

/** A container of another host answers by its own host, past the one that was asked, but for what comes from the network itself. */
function refuseForeign(member: PublishingDeps['member'], network: NetworkRecord, { name }: Publication): void {
  const { local, self } = member;
  if (local.onNetwork(network.id).some((endpoint) => isOfHost(endpoint) && goesBy(endpoint.record, name))) {
    throw new OverlaydError(
      'invalid-argument',
      `${name} of network ${network.name} is this host itself, which has the port`,
    );
  }
  const all = namedOn(member, network.id, name);
  const isHere = all.some(({ nodeId }) => nodeId === self.id);
  if (all.length === 0 || isHere || isExposed(member, network.id)) return;
  throw new OverlaydError(
    'endpoint-not-found',
    `${name} of network ${network.name} runs on ${hostsOf(member, all)}: run the command there, or put this host on the network first (overlayd network expose ${network.name})`,
  );
}

/** On all hosts. */
function namedOn({ view }: PublishingDeps['member'], networkId: string, name: string): EndpointRecord[] {
  return [...view.endpointsOn(networkId)].filter((record) => goesBy(record, name));
}

function hostsOf({ view }: PublishingDeps['member'], records: readonly EndpointRecord[]): string {
  return [...new Set(records.map(({ nodeId }) => view.node(nodeId)?.name ?? nodeId))].join(', ');
}

/** Whether this host itself is on the network. */
function isExposed({ local }: PublishingDeps['member'], networkId: string): boolean {
  return local.onNetwork(networkId).some(isOfHost);
}

/** Podman's, which holds the ports of a container that runs, so that no other process takes them, and answers nobody. */
const PLACEHOLDER = /^conmon /;

/** Throws `conflict` where a process of the host listens, which is named: its callers would get to the container. */
export async function requireUnbound(facts: PublishingDeps['facts'], mappings: readonly PortMapping[]): Promise<void> {
  const bindProblem: HostFacts['bindProblem'] = async (binding) => {
    const problem = await facts.bindProblem(binding);
    const by = problem?.kind === 'in-use' ? problem.by : undefined;
    return typeof by === 'object' && PLACEHOLDER.test(by.process) ? undefined : problem;
  };
  for (const mapping of mappings) await refuseBound({ bindProblem }, mapping);
}

async function refuseBound(facts: PublishingDeps['facts'], wanted: PortMapping): Promise<void> {
  if (wanted.protocol === 'sctp') return;
  const { protocol: transport, hostPort: port, hostAddress } = wanted;
  for (const address of hostAddress === undefined ? FAMILIES.map((family) => ALL_ADDRESSES[family]) : [hostAddress]) {
    const problem = await facts.bindProblem({ transport, address, port });
    if (!problem) continue;
    // Where the host has no IPv6 there is nothing in the way of IPv4.
    if (problem.kind === 'other' && address === ALL_ADDRESSES[6]) continue;
    throw conflict(`port ${formatHostEnd(wanted)} of this host cannot be published: ${wordsOf(problem)}`);
  }
}

function wordsOf(problem: BindProblem): string {
  if (problem.kind === 'other') return problem.reason;
  const { by } = problem;
  return by === undefined ? 'it is in use' : `${by === 'kernel' ? 'the kernel' : by.process} has it`;
}

/** Whether what its containers answer can leave it. */
export function hasWayOut(network: NetworkRecord): boolean {
  const { gatewayModes } = networkSettings(network);
  return (
    !network.internal && network.subnets.some(({ gateway }) => gatewayModes[familyOfAddress(gateway)] !== 'isolated')
  );
}

/** Throws `invalid-argument`. */
export function requireWayOut(network: NetworkRecord): void {
  if (hasWayOut(network)) return;
  const why = network.internal ? 'internal' : 'cut off from its gateway (gateway_mode=isolated)';
  throw new OverlaydError('invalid-argument', `network ${network.name} is ${why}: none of its ports can be published`);
}

function describe(
  member: PublishingDeps['member'],
  publication: Publication,
  ways = allWays(member),
): ListedPublication {
  const network = member.view.network(publication.networkId);
  const addresses = leadsTo(ways, publication);
  const waitsFor = addresses.length > 0 ? undefined : waitingFor(member, network, publication.name);
  return { ...publication, network, addresses, waitsFor, tool: undefined };
}

function waitingFor(member: PublishingDeps['member'], network: NetworkRecord | undefined, name: string): string {
  if (network === undefined) return 'its network is gone';
  const { local, self } = member;
  const here = local.onNetwork(network.id).find((each) => !isOfHost(each) && goesBy(each.record, name));
  if (here) {
    return `the default route of ${here.record.name} goes through another network: publish it there, or connect it here with a higher --gw-priority`;
  }
  const away = namedOn(member, network.id, name).filter(({ nodeId }) => nodeId !== self.id);
  if (!isExposed(member, network.id)) {
    const where = away.length > 0 ? `, but on ${hostsOf(member, away)} (overlayd network expose ${network.name})` : '';
    return `no container on this host goes by ${name}${where}`;
  }
  return away.length > 0 ? `${hostsOf(member, away)}, where ${name} runs, to answer` : `no container goes by ${name}`;
}

/** Where the kernel is to lead what is sent to this host's ports. */
function allWays(member: PublishingDeps['member']): readonly DesiredPublication[] {
  const { local, self, view } = member;
  const silent = () => [...view.nodes()].filter(({ id }) => !isThere(member.liveness(id))).map(({ id }) => id);
  // Only what leads to other hosts asks.
  const hidden = local.all().some(isOfHost) ? new Set(silent()) : undefined;
  const input = { view, self, local: local.all(), remotes: false, publications: local.publications, hidden };
  return desired(input, new Set()).published;
}

/** Addresses of containers. */
function leadsTo(ways: readonly DesiredPublication[], end: PortMapping): string[] {
  const own = ways.filter((each) => isSameHostEnd(each, end) && each.hostAddress === end.hostAddress);
  return own.map(({ address }) => address);
}

/** A tool asks at each network of a container: it is one publication, of the network by which the container answers. */
function byTools({ local, view }: PublishingDeps['member'], ways: readonly DesiredPublication[]): ListedPublication[] {
  const listed = new Map<string, ListedPublication>();
  for (const endpoint of local.all()) {
    for (const mapping of endpoint.published ?? []) {
      const { record, owner } = endpoint;
      const tool = attachmentOf(endpoint).tool;
      const key = [tool, owner?.container ?? owner?.key ?? record.id, formatHostEnd(mapping), mapping.port].join(' ');
      const own = leadsTo(ways, mapping).filter((address) => hasAddress(record, address));
      if (listed.has(key) && own.length === 0) continue;
      listed.set(key, {
        ...{ ...mapping, networkId: record.networkId, name: record.name, tool, addresses: own },
        network: view.network(record.networkId),
        waitsFor: own.length > 0 ? undefined : 'its container answers by no network that it is connected to here',
      });
    }
  }
  return [...listed.values()];
}

function conflict(message: string): OverlaydError {
  return new OverlaydError('conflict', message);
}
