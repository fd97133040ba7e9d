/** Waits for the data path to a member that has just come. */
import { OverlaydError } from '../../core/errors.ts';
import type { Diagnosis, Status } from '../../gen/overlayd/v1/control.ts';
import { VERSION } from '../../version.ts';
import type { Session } from '../session.ts';

export interface PathSeen {
  readonly roundTripMs: number;
  /** Of the largest packet inside that came back; 0: not known. */
  readonly mtu: number;
  readonly words: string;
}

/** Members hear of each other within seconds; a keeper's etcd may have to take in its copy before. */
const LIMIT_MS = 60_000;
const AGAIN_MS = 500;
/** How often the path is looked at in vain before that is the answer. */
const LOST_LOOKS = 3;

/**
 * A packet of this host goes there by the data path, and is sent back by the other one's agent: so both directions are open, in the
 * firewalls of both hosts too. Throws `data-path-failed` with the doctor's words where nothing comes back, `peer-unreachable` where the
 * member is not even heard.
 */
export function untilPathPasses(
  session: Session,
  nodeName: string,
  signal: AbortSignal,
): Promise<{ readonly path: PathSeen | undefined; readonly skipped: string }> {
  const { now, sleep } = session.surroundings;
  return session.ask(`waiting for ${nodeName}`, async (client, report) => {
    const until = now() + LIMIT_MS;
    let lost = 0;
    let isHeard = false;
    let diagnosis: Diagnosis | undefined;
    while (now() < until && lost < LOST_LOOKS) {
      const peer = peerOf(await client.getStatus({}), nodeName);
      isHeard = peer?.state === 'alive';
      if (peer && isHeard) {
        report(`waiting until a packet has gone to ${nodeName} by the data path and come back`);
        diagnosis = await client.diagnose({ network: '', peer: nodeName, commandVersion: VERSION });
        const { path, tunnel } = peerOf(await client.getStatus({}), nodeName) ?? {};
        if (path?.state === 'passes') return { path: seen(path.roundTripMs, path.mtu), skipped: '' };
        const skipped = diagnosis.checks.find(({ name, outcome }) => name === 'data path' && outcome === 'skipped');
        if (skipped && isFinal(skipped.detail)) {
          const shaken = tunnel && tunnel.lastHandshakeMs > 0 ? `; WireGuard has shaken hands with it` : '';
          return { path: undefined, skipped: `${skipped.detail}${shaken}` };
        }
        if (path?.state === 'lost') lost++;
      } else report(`waiting until ${nodeName} is heard`);
      await sleep(AGAIN_MS);
      signal.throwIfAborted();
    }
    throw isHeard ? pathFailed(diagnosis, nodeName) : unheard(nodeName);
  });
}

function peerOf({ peers }: Status, name: string): Status['peers'][number] | undefined {
  return peers.find((peer) => peer.name === name);
}

function seen(roundTripMs: number, mtu: number): PathSeen {
  const size = mtu > 0 ? `, packets of ${mtu} bytes pass` : '';
  return { roundTripMs, mtu, words: `${roundTripMs.toFixed(1)} ms there and back${size}` };
}

/** What does not become otherwise by waiting. */
function isFinal(detail: string): boolean {
  return /NAT|encrypted|other family|does not answer such packets/.test(detail);
}

function pathFailed(diagnosis: Diagnosis | undefined, nodeName: string): OverlaydError {
  const finding = diagnosis?.findings.find(({ subject, code }) => subject === nodeName && code.startsWith('data-path'));
  const why = finding ? `${finding.text} (${finding.mend})` : 'nothing has come back yet; `overlayd doctor` says more';
  return new OverlaydError('data-path-failed', `it is a member, but ${why}`);
}

function unheard(nodeName: string): OverlaydError {
  return new OverlaydError(
    'peer-unreachable',
    `it is a member, but this host has not heard it: open 7946/tcp between the two (the port of gossip), and see what \`overlayd status\` says on ${nodeName}`,
  );
}
