/**
 * Tells where the kernel's state changed, by its own events: one `ip monitor` hears every namespace of ours (each has
 * an id that says which it is), one `nft monitor` hears the host's tables. Device names of neighbour, FDB and route
 * events are not used: with several namespaces on one socket `ip` resolves indexes to names of the wrong one.
 *
 * No events reach us of nftables inside the networks' namespaces and of what is inside containers: whoever needs to
 * know of those looks now and then.
 */
import { type KernelChange, LOOPBACK, SERVICE_ADDRESS } from '../../core/host-state.ts';
import { isHandoverLink, isUplink, namespaceOf } from '../../core/plan/naming.ts';
import type { Clock } from '../../ports.ts';
import type { Exec } from '../exec.ts';
import { createInbox, type Inbox } from './inbox.ts';
import { vniOfNamespaceId } from './namespace-ids.ts';

export interface MonitorDeps {
  readonly exec: Pick<Exec, 'follow'>;
  readonly clock: Clock;
  readonly onFirewallChange?: (() => void) | undefined;
}

const BUFFER_BYTES = 8 * 1024 * 1024;
const RESTART_MS = 1000;
const IP_OPTIONS = ['-rcvbuf', String(BUFFER_BYTES), '-oneline'];
/** A monitor notices that nobody reads it when it next has something to say: the kernel tells it that the agent died. */
const MORTAL = ['setpriv', '--pdeathsig', 'TERM'];
const IP_MONITOR = ['link', 'neigh', 'route', 'address', 'netconf'];

/** `onFirewallChange`: somebody else changed rules of the host. */
export async function* changes(
  { exec, clock, onFirewallChange }: MonitorDeps,
  signal: AbortSignal,
): AsyncGenerator<KernelChange> {
  const inbox = createInbox<KernelChange>(keyOf);
  const stopped = new AbortController();
  const both = AbortSignal.any([signal, stopped.signal]);
  const ends = [
    listen([...MORTAL, 'ip', ...IP_OPTIONS, 'monitor', 'all-nsid', ...IP_MONITOR], parseIpEvent),
    listen([...MORTAL, 'nft', 'monitor'], parseNftEvent),
  ];

  /** Starts the monitor again whenever it ends; what happened in between is unknown. */
  async function listen(argv: readonly string[], parse: (line: string) => KernelChange | undefined): Promise<void> {
    while (!both.aborted) {
      const settled = new AbortController();
      try {
        inbox.push({ kind: 'all' });
        // The process listens a few milliseconds after it was started, and does not say when.
        const again = clock.sleep(RESTART_MS, AbortSignal.any([both, settled.signal]));
        again.then(() => tellAnything(inbox)).catch(() => undefined);
        for await (const line of exec.follow(argv, both)) {
          const change = parse(line);
          if (change) inbox.push(change);
          if (argv.includes('nft') && isForeignRule(line)) onFirewallChange?.();
        }
      } catch (error) {
        if (!both.aborted) inbox.fail(error);
        return;
      } finally {
        settled.abort();
      }
      await clock.sleep(RESTART_MS, both).catch(() => undefined);
    }
  }

  const onAbort = () => inbox.close();
  both.addEventListener('abort', onAbort, { once: true });
  if (both.aborted) inbox.close();
  try {
    yield* inbox.items();
  } finally {
    stopped.abort();
    await Promise.allSettled(ends);
  }
}

/** What may have happened while nobody listened. */
function tellAnything(inbox: Inbox<KernelChange>): void {
  inbox.push({ kind: 'all' });
  inbox.push({ kind: 'underlay' });
}

function keyOf(change: KernelChange): string {
  return change.kind === 'network' ? change.namespace : change.kind;
}

/** One line of `ip -oneline monitor all-nsid`; undefined when it is of no concern. */
export function parseIpEvent(line: string): KernelChange | undefined {
  // "netlink receive error No buffer space available": events were lost.
  if (line.includes('No buffer space')) return { kind: 'all' };
  const match = /^\[nsid (\d+|current)\](.*)$/.exec(line);
  if (!match) return undefined;
  const [, id = '', event = ''] = match;
  if (id === 'current') return hostChange(event);
  const vni = vniOfNamespaceId(Number(id));
  if (vni <= 0 || !isNetworkEvent(event)) return undefined;
  return { kind: 'network', namespace: namespaceOf(vni) };
}

function hostChange(event: string): KernelChange | undefined {
  const link = /^(?:Deleted )?\d+: ([^:@\s]+)/.exec(event)?.[1];
  if (link === LOOPBACK && event.includes(` ${SERVICE_ADDRESS}/`)) return { kind: 'host' };
  // What waits for an engine comes and goes by our own doing and the engine's.
  if (link !== undefined && isHandoverLink(link)) return undefined;
  if (link !== undefined) return { kind: isUplink(link) ? 'host' : 'underlay' };
  if (/^inet6? /.test(event)) return /^inet all forwarding /.test(event) ? { kind: 'host' } : undefined;
  if (isNeighbour(event)) return isRowEvent(event) ? { kind: 'host' } : undefined;
  if (event.includes(' table local ')) return undefined;
  return { kind: / proto 79 /.test(event) ? 'host' : 'underlay' };
}

function isNetworkEvent(event: string): boolean {
  if (/^(?:Deleted )?\d+: /.test(event)) return true;
  if (/^inet6? /.test(event)) return /^inet all forwarding /.test(event);
  if (isNeighbour(event)) return isRowEvent(event);
  // A route; the local table only mirrors addresses.
  return !event.includes(' table local ');
}

/** Neighbours and FDB rows; the latter begin with `dev` when they have no tunnel end. */
function isNeighbour(event: string): boolean {
  return / lladdr | FAILED| INCOMPLETE/.test(event) || /^(?:Deleted )?dev /.test(event);
}

/** Rows that someone wrote, or that went. What the kernel learns and confirms by itself is no change of ours. */
function isRowEvent(event: string): boolean {
  return /^Deleted |PERMANENT|NOARP/.test(event);
}

/** A line of `nft monitor` that tells of tables, chains or rules which are not ours; elements of sets come and go. */
export function isForeignRule(line: string): boolean {
  return /^(?:add|insert|replace|delete) (?:table|chain|rule) /.test(line) && !/ inet overlayd\b/.test(line);
}

/** One line of `nft monitor`. */
export function parseNftEvent(line: string): KernelChange | undefined {
  if (line.includes('No buffer space')) return { kind: 'all' };
  return / inet overlayd\b/.test(line) ? { kind: 'host' } : undefined;
}
