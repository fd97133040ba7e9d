/** What the agent may do (capabilities(7)), asked before it promises anything. */
import { readFile } from 'node:fs/promises';
import { OverlaydError } from '../../core/errors.ts';

/** Bit numbers of linux/capability.h. */
const NEEDED = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

/** Throws `permission-denied` naming what is missing. */
export async function requireCapabilities(statusPath = '/proc/self/status'): Promise<void> {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile(statusPath, 'utf8'))?.[1] ?? '0';
  const held = BigInt(`0x${effective}`);
  const missing = Object.entries(NEEDED).filter(([, bit]) => ((held >> BigInt(bit)) & 1n) === 0n);
  if (missing.length === 0) return;
  throw new OverlaydError(
    'permission-denied',
    `the agent makes network namespaces and devices and lacks ${missing.map(([name]) => name).join(' and ')}: run it as root, or with deploy/overlayd.service`,
  );
}
