/**
 * What this host sees of a network of its own, looked at now: whether it has an endpoint, whether packets to a member pass, what a
 * name is answered with. Reads only.
 */

import type { LocalEndpoint } from '../../core/container.ts';
import { ASKED_TYPES, type AskedType, decodeReply, encodeQuestion } from '../../core/dns/reply.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { isOfHost } from '../../core/expose.ts';
import { formatHostPort } from '../../core/host-port.ts';
import { familyOf } from '../../core/ip.ts';
import type { Look, NameReply, Seen, SeenThing } from '../../core/look.ts';
import { isEncrypted } from '../../core/network-options.ts';
import type { PathStatus } from '../../core/path/path.ts';
import type { EndpointRecord, NetworkRecord, NodeRecord } from '../../core/records.ts';
import type { SendPacket, StillnessOf } from '../../ports/look.ts';
import type { AskResponder } from '../../ports/names.ts';
import type { Clock, Random } from '../../ports/runtime.ts';
import type { Member } from '../member.ts';
import type { PathWatch } from '../path/path-watch.ts';

export interface LookDeps {
  readonly member: Pick<Member, 'self' | 'view' | 'local' | 'wireguard'>;
  readonly paths: Pick<PathWatch, 'examine' | 'findingsOf' | 'status' | 'skipped'>;
  readonly encryptedPaths: LookDeps['paths'];
  readonly askResponder: AskResponder;
  readonly sendPacket: SendPacket;
  readonly stillnessOf: StillnessOf;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly random: Pick<Random, 'next'>;
}

const NAME_MS = 3_000;
/** Three packets. */
const PACKET_MS = 1_300;

/** Each look is by itself: one that fails is told as a problem. */
export async function lookHere(deps: LookDeps, look: Look): Promise<Seen> {
  const network = deps.member.view.network(look.network);
  const [container, path, packet, name] = await Promise.all([
    look.endpoint === '' ? [] : [lookAtContainer(deps, look.endpoint)],
    look.pathTo === '' ? [] : [lookAtPath(deps, network, look.pathTo)],
    look.reach === '' ? [] : [lookAtPacket(deps, look)],
    look.name ? lookAtName(deps, network, { ...look, name: look.name }) : undefined,
  ]);
  const things = await Promise.all([...container, ...path, ...packet]);
  return { things: name ? [...things, name.thing] : things, name: name?.reply };
}

async function lookAtContainer({ member, stillnessOf }: LookDeps, endpointId: string): Promise<SeenThing> {
  const seen = (outcome: SeenThing['outcome'], detail: string): SeenThing => ({ name: 'container', outcome, detail });
  const local = member.local.get(endpointId);
  if (!local)
    return seen(
      'problem',
      'this host does not know the endpoint, though the records of the cluster say that it is here',
    );
  const { container, ifname } = local;
  const where = `${container.text}, by ${ifname}`;
  const still = await stillnessOf(container.path);
  return still === undefined ? seen('ok', where) : seen('problem', `${where}: ${still}`);
}

async function lookAtPacket({ clock, member, sendPacket }: LookDeps, { endpoint, reach }: Look): Promise<SeenThing> {
  const seen = (outcome: SeenThing['outcome'], detail: string): SeenThing => ({ name: 'packet', outcome, detail });
  const local = member.local.get(endpoint);
  const family = familyOf(reach);
  const from = local?.record.addresses.find(({ ip }) => familyOf(ip) === family)?.ip;
  if (!local || from === undefined) return seen('skipped', 'there is nothing here that could send one');
  const { container } = local;
  const namespacePath = isOfHost(local) ? undefined : container.path;
  const way = `from inside of ${container.text}, ${from}, to ${reach}`;
  try {
    const why = await within(clock, PACKET_MS, (late) => sendPacket({ namespacePath, from }, reach, late));
    if (why === undefined) return seen('ok', `one got ${way}, and its answer back`);
    const advice = 'where all else is well, look at routes and filters within the two containers';
    return seen('problem', `UDP ${way}: ${why}; ${advice}`);
  } catch (error) {
    return seen('problem', `${way}: ${asOverlaydError(error).message}`);
  }
}

/** The signal of `work` aborts after that time. */
async function within<T>(clock: LookDeps['clock'], ms: number, work: (late: AbortSignal) => Promise<T>): Promise<T> {
  const [late, done] = [new AbortController(), new AbortController()];
  clock.sleep(ms, done.signal).then(
    () => late.abort(),
    () => undefined,
  );
  try {
    return await work(late.signal);
  } finally {
    done.abort();
  }
}

async function lookAtPath(deps: LookDeps, network: NetworkRecord | undefined, nodeId: string): Promise<SeenThing> {
  const { member } = deps;
  const seen = (outcome: SeenThing['outcome'], detail: string): SeenThing => ({ name: 'data path', outcome, detail });
  if (nodeId === member.self.id) return seen('skipped', 'both are on this host');
  const node = member.view.node(nodeId);
  if (!node) return seen('problem', 'this host knows no such node');
  const encrypted = network !== undefined && isEncrypted(network);
  const tunnel = encrypted ? await lookAtTunnel(member, node) : undefined;
  if (tunnel?.outcome === 'problem') return tunnel;
  const paths = encrypted ? deps.encryptedPaths : deps.paths;
  const why = paths.skipped(node);
  if (why !== undefined) return tunnel ?? seen('skipped', why);
  await paths.examine([node]);
  const status = paths.status(node);
  if (!status || status.state === 'unknown')
    return tunnel ?? seen('skipped', 'nothing came back yet, and nothing was lost');
  const by = tunnel ? `${tunnel.detail}; ` : '';
  // As the doctor says it: what is wrong, and what mends it. Of large packets too, while small ones pass.
  const findings = paths.findingsOf(node.id).map(({ text }) => text);
  if (findings.length > 0) return seen('problem', by + findings.join('; '));
  return seen(status.state === 'passes' ? 'ok' : 'problem', by + pathWords(status, node));
}

function pathWords({ state, lossPercent, roundTripMs, mtu }: PathStatus, { name }: NodeRecord): string {
  if (state === 'lost') return `nothing that is sent to ${name} comes back`;
  const loss = state === 'loses' ? `${lossPercent} % of packets to ${name} get lost; ` : '';
  return `${loss}round trip ${roundTripMs.toFixed(2)} ms, packets of ${mtu} bytes pass`;
}

async function lookAtTunnel({ wireguard }: LookDeps['member'], { id, name }: NodeRecord): Promise<SeenThing> {
  await wireguard.looked();
  const tunnel = wireguard.peers().find(({ nodeId }) => nodeId === id);
  if (!tunnel) return { name: 'data path', outcome: 'problem', detail: `there is no WireGuard tunnel to ${name}` };
  const { problem, mtu, backend } = tunnel;
  if (problem) return { name: 'data path', outcome: 'problem', detail: problem };
  return { name: 'data path', outcome: 'ok', detail: `WireGuard (${backend}), MTU ${mtu}` };
}

async function lookAtName(
  deps: LookDeps,
  network: NetworkRecord | undefined,
  { endpoint: endpointId, name: question }: Look & { readonly name: NonNullable<Look['name']> },
): Promise<{ readonly thing: SeenThing; readonly reply?: NameReply }> {
  const seen = (outcome: SeenThing['outcome'], detail: string) => ({
    thing: { name: 'names', outcome, detail } as const,
  });
  const all = network ? deps.member.local.onNetwork(network.id) : [];
  const asker = all.find(({ record }) => record.id === endpointId) ?? all[0];
  if (!network || !asker) {
    return seen('skipped', 'this host has no container on the network, so nobody answers here');
  }
  const id = Math.floor(deps.random.next() * 65_536);
  const type = ASKED_TYPES.find((each) => each === question.type);
  const message = type && encodeQuestion(id, question.name, type satisfies AskedType);
  if (!message) return seen('problem', `"${question.name}" cannot be asked for`);
  try {
    const reply = await ask(deps, network, asker, message);
    if (reply.id !== id) return seen('problem', 'what came back answers another question');
    const what = reply.answers.map(({ value }) => value).join(', ');
    const isThere = reply.code === 'NOERROR' && reply.answers.length > 0;
    return { ...seen(isThere ? 'ok' : 'problem', isThere ? what : `answered with ${reply.code}`), reply };
  } catch (error) {
    return seen('problem', asOverlaydError(error).message);
  }
}

async function ask(
  { askResponder, clock }: LookDeps,
  { subnets }: NetworkRecord,
  asker: LocalEndpoint,
  message: Uint8Array,
): Promise<NameReply & { readonly id: number }> {
  const { container, record } = asker;
  const namespacePath = isOfHost(asker) ? undefined : container.path;
  const [{ subnet, ip: from }] = record.addresses as [EndpointRecord['addresses'][number]];
  const { gateway } = subnets.find(({ cidr }) => cidr === subnet) ?? subnets[0]!;
  const begin = clock.elapsed();
  const bytes = await within(clock, NAME_MS, (late) => askResponder({ namespacePath, from }, gateway, message, late));
  const reply = decodeReply(bytes);
  if (!reply) throw new Error('what came back is no answer');
  const { id, code, answers } = reply;
  return { id, code, answers, tookMs: clock.elapsed() - begin, from: formatHostPort(gateway, 53) };
}
