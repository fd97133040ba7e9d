/**
 * Why can one endpoint not reach another: a walk from the first to the second, by the records, the kernels of both hosts, and the
 * paths and names as both hosts see them now. Each step says where it was looked at.
 */
import type { ClusterView } from '../core/cluster-view.ts';
import { asOverlaydError } from '../core/errors.ts';
import { familyOf } from '../core/ip.ts';
import { networkSettings } from '../core/network-options.ts';
import type { ReachStep, Walk } from '../core/page/contract.ts';
import type { EndpointRecord, NetworkRecord } from '../core/records.ts';
import type { DriftRequest, HostDrift, LookRequest } from '../gen/overlayd/v1/control.ts';
import type { Drift } from '../gen/overlayd/v1/drift.ts';
import type { Seen } from '../gen/overlayd/v1/look.ts';

export interface WalkedAgent {
  lookFrom(request: LookRequest): Promise<Seen>;
  findDrift(request: DriftRequest, onTold: (told: HostDrift) => void): Promise<void>;
}

export interface WalkDeps {
  readonly view: ClusterView;
  readonly agent: WalkedAgent;
  /** What is known against a node, in words; undefined: nothing. */
  readonly problemOf: (nodeId: string) => string | undefined;
}

/** Of one of the two hosts. */
interface Side {
  readonly own: EndpointRecord;
  readonly other: EndpointRecord;
  readonly network: NetworkRecord;
  /** Names of the hosts. */
  readonly host: string;
  readonly otherHost: string;
}

export async function walk(deps: WalkDeps, from: EndpointRecord, to: EndpointRecord): Promise<Walk> {
  const { view } = deps;
  const network = view.network(from.networkId);
  if (!network || from.networkId !== to.networkId) return { steps: [apart(view, from, to)] };
  const hostOf = ({ nodeId }: EndpointRecord) => view.node(nodeId)?.name ?? nodeId;
  const near: Side = { own: from, other: to, network, host: hostOf(from), otherHost: hostOf(to) };
  const far: Side = { own: to, other: from, network, host: hostOf(to), otherHost: hostOf(from) };
  const isApart = from.nodeId !== to.nodeId;
  const [there, back] = await Promise.all([
    sideSteps(deps, near, true),
    isApart ? sideSteps(deps, far, false) : seenSteps(deps, far, { endpoint: to.id }),
  ]);
  const isPacket = ({ name }: ReachStep) => name === 'packet';
  return {
    steps: [
      step('same network', '', 'ok', `${from.name} and ${to.name} are on ${network.name}`),
      between(network),
      ...there.filter((each) => !isPacket(each)),
      ...back,
      // It goes the whole way, so it says least of where that is broken.
      ...there.filter(isPacket),
      health(to),
    ],
  };
}

function step(name: string, host: string, outcome: ReachStep['outcome'], detail: string): ReachStep {
  return { name, host, outcome, detail };
}

function apart(view: ClusterView, from: EndpointRecord, to: EndpointRecord): ReachStep {
  const name = ({ networkId }: EndpointRecord) => view.network(networkId)?.name ?? 'a network that is gone';
  const mend = alsoOn(view, from, to) ?? "connect one of the containers to the other's network as well";
  const detail = `${from.name} is on ${name(from)} and ${to.name} on ${name(to)}: networks do not reach each other; ${mend}`;
  return step('same network', '', 'problem', detail);
}

/** A container has an endpoint on each of its networks: the one that was meant, as like as not. */
function alsoOn(view: ClusterView, from: EndpointRecord, to: EndpointRecord): string | undefined {
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    const isSame = ({ name, nodeId }: EndpointRecord) => name === other.name && nodeId === other.nodeId;
    if (![...view.endpointsOn(one.networkId)].some(isSame)) continue;
    return `a ${other.name} of the same host is on ${view.network(one.networkId)?.name} too: choose that one`;
  }
  return undefined;
}

function between(network: NetworkRecord): ReachStep {
  const { name } = network;
  if (networkSettings(network).betweenContainers)
    return step('allowed', '', 'ok', `containers of ${name} may reach each other`);
  const detail = `${name} was made with enable_icc=false: its containers do not reach each other`;
  return step('allowed', '', 'problem', detail);
}

function health({ name, health: found }: EndpointRecord): ReachStep {
  if (found !== 'unhealthy') return step('health', '', 'ok', `nobody says that ${name} is unwell`);
  const detail = `the check of its own container says that ${name} is unhealthy: aliases do not lead to it meanwhile`;
  return step('health', '', 'problem', detail);
}

/** As one of the hosts sees it; `asksName`: whether its containers find the other one by name. */
async function sideSteps(deps: WalkDeps, side: Side, asksName: boolean): Promise<readonly ReachStep[]> {
  const { own, host } = side;
  const problem = deps.problemOf(own.nodeId);
  const known = step('host', host, problem ? 'problem' : 'ok', problem ?? 'it is heard');
  const { other } = side;
  const look = {
    ...{ endpoint: own.id, pathTo: other.nodeId },
    ...(asksName && { reach: addressFor(side), name: { name: other.name, type: typeOf(addressFor(side)) } }),
  };
  const [seen, kernel] = await Promise.all([seenSteps(deps, side, look), kernelStep(deps, side)]);
  const isPath = ({ name }: ReachStep) => name === 'data path' || name === 'packet';
  return [known, ...seen.filter((each) => !isPath(each)), kernel, ...seen.filter(isPath)];
}

/** The other one's, of a family that both have. */
function addressFor({ own, other }: Side): string {
  const families = own.addresses.map(({ ip }) => familyOf(ip));
  return (other.addresses.find(({ ip }) => families.includes(familyOf(ip))) ?? other.addresses[0]!).ip;
}

function typeOf(address: string): string {
  return familyOf(address) === 6 ? 'AAAA' : 'A';
}

type AskedLook = Partial<Omit<NonNullable<LookRequest['look']>, 'network'>>;

async function seenSteps({ agent }: WalkDeps, side: Side, asked: AskedLook): Promise<readonly ReachStep[]> {
  const { own, other, network, host, otherHost } = side;
  const look = { network: network.id, endpoint: '', pathTo: '', reach: '', name: undefined, ...asked };
  try {
    const { things, name: reply } = await agent.lookFrom({ node: own.nodeId, look });
    return things.map(({ name: what, outcome, detail }) => {
      if (what === 'names') return nameStep(side, outcome, detail, reply?.answers.map(({ value }) => value) ?? []);
      const where = what === 'data path' && own.nodeId !== other.nodeId ? `to ${otherHost}: ` : '';
      const whose = what === 'container' ? `${own.name}: ` : where;
      return step(what, host, outcome === 'ok' || outcome === 'problem' ? outcome : 'skipped', whose + detail);
    });
  } catch (error) {
    return [step('asked', host, 'problem', `it cannot be asked: ${asOverlaydError(error).message}`)];
  }
}

/** Whether what the name leads to is the other endpoint, among others maybe. */
function nameStep({ other, host }: Side, outcome: string, detail: string, values: readonly string[]): ReachStep {
  if (outcome === 'skipped') return step('names', host, 'skipped', detail);
  if (outcome !== 'ok') return step('names', host, 'problem', `${other.name}: ${detail}`);
  const leads = other.addresses.some(({ ip }) => values.includes(ip));
  if (leads) return step('names', host, 'ok', `${other.name} is ${detail}`);
  return step('names', host, 'problem', `${other.name} leads to ${detail}, not to ${other.addresses[0]!.ip}`);
}

/** Whether the kernel there has what it needs for the two. */
async function kernelStep({ agent }: WalkDeps, side: Side): Promise<ReachStep> {
  const { own, network, host } = side;
  const found: Drift[] = [];
  const reasons: string[] = [];
  try {
    await agent.findDrift({ network: network.id, node: own.nodeId, repair: false }, ({ found: part, reason }) => {
      if (reason !== '') reasons.push(reason);
      found.push(...(part?.differs ?? []));
    });
  } catch (error) {
    reasons.push(asOverlaydError(error).message);
  }
  if (reasons[0] !== undefined) return step('kernel', host, 'skipped', `it cannot be asked: ${reasons[0]}`);
  if (found.length === 0)
    return step('kernel', host, 'ok', `links, rows and filters of ${network.name} are as they should be`);
  const text = ({ kind, object, state, detail }: Drift) =>
    `${kind} ${object} is ${state}${detail ? ` (${detail})` : ''}`;
  const ofThem = found.filter((drift) => concerns(side, drift));
  if (ofThem.length > 0) return step('kernel', host, 'problem', ofThem.map(text).join('; '));
  return step('kernel', host, 'ok', `what differs there (${found.length}) is not of these two`);
}

/** Rows and neighbours of others are of others; everything else of a network is everybody's. */
function concerns({ own, other }: Side, { kind, object }: Drift): boolean {
  if (!/row|neighbour/i.test(kind)) return true;
  const words = object.toLowerCase().split(/[\s,/]+/);
  return [own, other].some(
    ({ mac, addresses }) => words.includes(mac) || addresses.some(({ ip }) => words.includes(ip)),
  );
}
