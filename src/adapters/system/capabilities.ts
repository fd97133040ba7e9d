/** What the agent may do (capabilities(7), getrlimit(2)), asked before it promises anything. */
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

/** Some 40 are open in an agent that has nothing to do; etcd, which it starts, refuses to run with fewer than 150. */
const LEAST_FILES = 256;

/** Throws `permission-denied` where so few files may be open that nothing would work for long. */
export async function requireOpenFiles(limitsPath = '/proc/self/limits'): Promise<void> {
  const [, soft, hard] = /^Max open files +(\S+) +(\S+)/m.exec(await readFile(limitsPath, 'utf8')) ?? [];
  // The runtime raises the soft limit to the hard one.
  const most = Math.max(
    ...[soft, hard].map((limit) => (limit === 'unlimited' ? LEAST_FILES : Number(limit ?? LEAST_FILES))),
  );
  if (most >= LEAST_FILES) return;
  throw new OverlaydError(
    'permission-denied',
    `the agent may have ${most} files open at once and needs ${LEAST_FILES} at least: start it after \`ulimit -n 65536\`, or with LimitNOFILE=65536 in its unit, as deploy/overlayd.service has it`,
  );
}
