import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.ts';

const ENDPOINT = fileURLToPath(new URL('programs/endpoint-floor.ts', import.meta.url));
const TRANSACTION = fileURLToPath(new URL('programs/transaction-floor.ts', import.meta.url));
/** Nobody looks after what is made in there. */
const APART = ['unshare', '--net', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /run && exec node "$@"', 'sh'];

/** Part of a method: what {@link endpointFloor} measures. */
export const ENDPOINT_FLOOR = `the same objects made and deleted by the same messages and nftables transactions, decided before, \
in a namespace that nobody looks after, and then a state file of as many endpoints written and one transaction of etcd's, one \
after the other`;

export interface EndpointFloor {
  /** Milliseconds. */
  readonly attach: number;
  readonly detach: number;
}

/** Each by itself, milliseconds. */
export interface Pieces {
  /** The messages to the kernel, all of them. */
  readonly attachMs: number;
  readonly detachMs: number;
  /** A namespace that is made and left. */
  readonly namespaceMs: number;
  readonly stateMs: number;
  /** One of etcd's, asked from its own host. */
  readonly transactionMs: number;
}

interface Extent {
  readonly ports: number;
  readonly remotes?: number;
  readonly rounds: number;
}

/** What an attach and a detach are made of, without an agent. `ports`: endpoints on the host with this one. `etcd`: the host that has it. */
export async function endpointPieces(host: Host, etcd: Host, { ports, remotes = 0, rounds }: Extent): Promise<Pieces> {
  const made = await host.must([...APART, ENDPOINT, `${ports}`, `${remotes}`, `${rounds}`]);
  const told = await etcd.must(['node', TRANSACTION, join(etcd.dataDirectory, 'identity.json'), `${rounds}`]);
  return { ...JSON.parse(made), transactionMs: JSON.parse(told) };
}

/** The pieces one after the other. */
export async function endpointFloor(host: Host, etcd: Host, extent: Extent): Promise<EndpointFloor> {
  const { attachMs, detachMs, stateMs, transactionMs } = await endpointPieces(host, etcd, extent);
  return { attach: attachMs + stateMs + transactionMs, detach: detachMs + stateMs + transactionMs };
}
