/** Whether ports of other members answer this host: one connection to each, which is closed at once. */
import { judgePort } from '../core/diagnosis.ts';
import type { Found } from '../core/finding.ts';
import type { NodeRecord } from '../core/records.ts';

export interface Knocked {
  readonly findings: readonly Found[];
  readonly seen: string;
  /** Names of those that were looked at. */
  readonly subjects: ReadonlySet<string>;
}

export interface KnockOptions {
  /** In words why there is no connection. */
  readonly knock: (host: string, port: number) => Promise<string | undefined>;
  readonly atOnce: number;
}

/** Behind NAT nobody is called. */
export async function knockAt(
  which: 'gossip' | 'join',
  peers: readonly NodeRecord[],
  { knock, atOnce }: KnockOptions,
): Promise<Knocked> {
  const reached = peers.filter(({ nat }) => !nat);
  const findings: Found[] = [];
  for (let at = 0; at < reached.length; at += atOnce) {
    const knocked = reached.slice(at, at + atOnce).map(async ({ advertiseAddress, gossipPort, joinPort, name }) => {
      const port = which === 'gossip' ? gossipPort : joinPort;
      return judgePort(which, { name, port, problem: await knock(advertiseAddress, port) });
    });
    findings.push(...(await Promise.all(knocked)).flat());
  }
  const nobody = peers.length === 0 ? 'no other member' : 'the others are behind NAT';
  const seen =
    reached.length === 0 ? nobody : `${reached.length === 1 ? '1 host' : `${reached.length} hosts`} answered`;
  return { findings, seen, subjects: new Set(reached.map(({ name }) => name)) };
}
