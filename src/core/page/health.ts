/** How hosts and networks are, in one word and in a sentence. Pure. */
import type { HostRow, PathRow, SubnetRow } from './contract.ts';

export type Tone = 'good' | 'warning' | 'bad' | 'unknown';

export interface Health {
  readonly tone: Tone;
  /** What is told of it first: the worst. */
  readonly words: string;
}

/** Of a host, and of the path to it from the one that tells. */
export function healthOf(host: HostRow, path: PathRow | undefined): Health {
  if (host.self) return { tone: 'good', words: 'this host' };
  if (host.left) return { tone: 'unknown', words: 'has left' };
  if (!path) return { tone: 'unknown', words: 'nothing is known of it yet' };
  if (path.control === 'down') return { tone: 'bad', words: 'down' };
  if (path.path === 'lost') return { tone: 'bad', words: 'data path lost' };
  if (path.control === 'restarting') return { tone: 'warning', words: 'its agent restarts' };
  if (path.control === 'suspect') return { tone: 'warning', words: 'suspect' };
  if (path.path === 'loses') return { tone: 'warning', words: `loses ${path.lossPercent} % of packets` };
  if (path.tunnel) return { tone: 'warning', words: path.tunnel };
  if (path.path === 'unknown') return { tone: 'unknown', words: 'ready, path not tried yet' };
  return { tone: 'good', words: 'ready' };
}

/** 0 to 1: what of the subnet is taken, or rests. */
export function fillOf({ total, free }: Pick<SubnetRow, 'total' | 'free'>): number {
  return total === 0 ? 0 : Math.min(1, Math.max(0, (total - free) / total));
}

export function fillTone(fill: number): Tone {
  return fill >= 0.98 ? 'bad' : fill >= 0.85 ? 'warning' : 'good';
}
