/**
 * The exchange of a key, step by step (docs/adr/0020, 4): the next step follows from the keys of the file, what is published and
 * what is seen of the devices, so that it goes on after a crash at any line. No packet is ever for a key that its receiver
 * does not have. Pure.
 */
import type { WireguardOffer } from '../records.ts';
import type { MemberPeer } from './desired.ts';
import { comingKey, goingKey, type OwnKey } from './own-keys.ts';
import { hasSession, type Moment, type PeerMemory } from './peer-memory.ts';
import type { SeenDevice, SeenWireguard } from './state.ts';

/** So long is waited for a member that answers but whose tunnel was never used. */
export const IDLE_PEER_MS = 120_000;
/** Longer than a packet is under way, and than a member needs to follow the record. */
export const QUIET_MS = 15_000;
/** The old key stays for so long at least: who is about to send for the first time has heard of the new one by then. */
export const FOLLOW_MS = 30_000;

export interface RotationInput {
  readonly keys: readonly OwnKey[];
  /** As the own record has it. */
  readonly published: WireguardOffer | undefined;
  readonly seen: SeenWireguard;
  readonly peers: readonly MemberPeer[];
  /** Whether there are devices to be wanted at all. */
  readonly isUsed: boolean;
  readonly memory: Pick<PeerMemory, 'quietMs' | 'talkers'>;
  /** Whether that member is heard by others than its packets. */
  readonly answers: (nodeId: string) => boolean;
  readonly nameOf: (nodeId: string) => string;
  /** Since when the phase that was waited in last is under way, by the monotonic clock. */
  readonly since: number;
  readonly phase: Phase | undefined;
  /** Nobody is waited for. */
  readonly forced: boolean;
  readonly moment: Moment;
}

/** Each begins once: what has begun is measured from then. */
export type Phase = 'publish' | 'knock' | 'promote' | 'drain';

export type RotationStep =
  /** There is one key. */
  | { readonly kind: 'none' }
  /** In words; `members` are those that are waited for. */
  | { readonly kind: 'wait'; readonly phase: Phase; readonly why: string; readonly members: readonly string[] }
  /** The new key becomes the first. */
  | { readonly kind: 'promote' }
  /** The old key goes. */
  | { readonly kind: 'retire' };

export function rotationStep(input: RotationInput): RotationStep {
  const coming = comingKey(input.keys);
  if (coming) return comingStep(coming, input);
  const going = goingKey(input.keys);
  return going ? goingStep(going, input) : { kind: 'none' };
}

function comingStep(coming: OwnKey, input: RotationInput): RotationStep {
  const { isUsed, published, seen } = input;
  if (!isPublished(published, coming)) return wait('publish', 'the new key is being published');
  if (!isUsed || input.forced) return { kind: 'promote' };
  const device = seen.devices.find(({ name }) => name === coming.device);
  if (!device?.up) return wait('publish', `device ${coming.device} is not there yet`);
  const awaited = membersAwaited(device, input);
  if (awaited.length === 0) return { kind: 'promote' };
  const names = awaited.map(input.nameOf).sort();
  return { ...wait('knock', `no handshake with the new key yet: ${listed(names)}`), members: names };
}

/** Ids of those whose packets could be lost: they have a tunnel to the old key, or answer and may be about to have one. */
function membersAwaited(device: SeenDevice, input: RotationInput): string[] {
  const { answers, moment, peers, phase, seen, since } = input;
  const old = seen.devices.find(({ name }) => name !== device.name);
  const find = (of: SeenDevice | undefined, { publicKey }: MemberPeer) =>
    of?.peers.find((peer) => peer.publicKey === publicKey);
  const awaited = peers.filter((peer) => {
    if (find(device, peer)?.lastHandshakeMs !== undefined) return false;
    const before = find(old, peer);
    if (before && hasSession(before, moment)) return true;
    return answers(peer.nodeId) && (phase !== 'knock' || moment.elapsedMs - since < IDLE_PEER_MS);
  });
  return [...new Set(awaited.map(({ nodeId }) => nodeId))];
}

function goingStep(going: OwnKey, input: RotationInput): RotationStep {
  const { forced, isUsed, keys, memory, moment, phase, published, seen, since } = input;
  if (published?.keys[0]?.publicKey !== keys[0]!.publicKey)
    return wait('promote', 'the new key is being made the first');
  if (!isUsed || forced) return { kind: 'retire' };
  if (seen.sendBy !== keys[0]!.device) return wait('promote', `${keys[0]!.device} is being made the one that sends`);
  const device = seen.devices.find(({ name }) => name === going.device);
  if (!device) return { kind: 'retire' };
  const isFollowed = phase === 'drain' && moment.elapsedMs - since >= FOLLOW_MS;
  const isQuiet = isFollowed && (memory.quietMs(device, moment) ?? 0) >= QUIET_MS;
  if (isQuiet) return { kind: 'retire' };
  const talkers = new Set(isFollowed ? memory.talkers(device, QUIET_MS, moment) : []);
  const names = input.peers.filter(({ publicKey }) => talkers.has(publicKey)).map(({ nodeId }) => input.nameOf(nodeId));
  const members = [...new Set(names)].sort();
  const who = members.length > 0 ? `: ${listed(members)}` : '';
  return { ...wait('drain', `members go over to the new key${who}`), members };
}

function isPublished(published: WireguardOffer | undefined, { publicKey }: OwnKey): boolean {
  return published?.keys.some((key) => key.publicKey === publicKey) ?? false;
}

function wait(phase: Phase, why: string): RotationStep & { readonly kind: 'wait' } {
  return { kind: 'wait', phase, why, members: [] };
}

function listed(names: readonly string[]): string {
  return names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}
