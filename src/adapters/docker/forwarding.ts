/**
 * Lets the containers of our networks out of a host whose firewall is Docker's: that drops every forwarded packet which
 * it does not know, and hands all of them to its chain DOCKER-USER first, for rules like ours. The user's own rules in
 * there come before ours. What goes to bridges of Docker is left to Docker's rules, which keep its networks apart; what
 * comes in is let pass here, since our own table has let through answers only. Of IPv6 Docker has the same chain in tables of
 * their own, from Docker 27 on by default.
 */
import { asOverlaydError } from '../../core/errors.ts';
import type { Family } from '../../core/ip.ts';
import { hasLegacyTables } from '../legacy-tables.ts';

export type RunProgram = (
  argv: readonly string[],
  options?: { readonly input?: string; readonly signal?: AbortSignal | undefined },
) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;

export type ForwardingOutcome =
  | { readonly kind: 'unchanged' | 'changed' }
  /** No firewall of Docker's is here, for this reason. */
  | { readonly kind: 'not-needed'; readonly reason: string }
  /** The program's words. */
  | { readonly kind: 'failed'; readonly reason: string };

const USER_CHAIN = 'DOCKER-USER';
const CHAIN = 'OVERLAYD-FORWARD';
const JUMP = `-A ${USER_CHAIN} -j ${CHAIN}`;
/** Ends the chain for everything: Docker itself puts it there. */
const RETURN = `-A ${USER_CHAIN} -j RETURN`;
/** As iptables prints them. `ovl+`: the host's ends of the uplinks. `docker+`, `br-+`: Docker's names of its bridges. */
const RULES = [
  `-A ${CHAIN} -i ovl+ -o docker+ -j RETURN`,
  `-A ${CHAIN} -i ovl+ -o br-+ -j RETURN`,
  `-A ${CHAIN} -i ovl+ -j ACCEPT`,
  `-A ${CHAIN} -o ovl+ -j ACCEPT`,
];
/** Seconds to wait for other programs that change the firewall. */
const PATIENCE = ['-w', '5'];

/** Idempotent; to be repeated, for a restarted firewall forgets. One process when all is right, else two. Never throws. */
export async function ensureForwarding(
  run: RunProgram,
  family: Family = 4,
  signal?: AbortSignal,
): Promise<ForwardingOutcome> {
  return change(run, family, signal, (rules) => {
    const changes = rules.chain.join('\n') === RULES.join('\n') ? [] : [`:${CHAIN} - [0:0]`, ...RULES];
    const jump = rules.user.indexOf(JUMP);
    const end = rules.user.indexOf(RETURN);
    if (jump >= 0 && (end < 0 || jump < end)) return changes;
    const before = rules.user.filter((rule) => rule !== JUMP).indexOf(RETURN);
    return [
      ...changes,
      ...(jump < 0 ? [] : [JUMP.replace('-A', '-D')]),
      before < 0 ? JUMP : JUMP.replace(`-A ${USER_CHAIN}`, `-I ${USER_CHAIN} ${before + 1}`),
    ];
  });
}

/**
 * Of both families where `ipv6` says so; what is in the way of one does not keep the other from its rules. Resolves to what
 * is wrong, in words. `withoutDocker`: asked where Docker has no firewall of IPv4 here.
 */
export async function allowForwarding(
  run: RunProgram,
  ipv6: boolean,
  withoutDocker: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const outcome = await ensureForwarding(run);
  const ofIpv6 = ipv6 ? await ensureForwarding(run, 6) : undefined;
  const reason = outcome.kind === 'not-needed' ? await withoutDocker() : failureOf(outcome);
  return reason ?? failureOf(ofIpv6);
}

function failureOf(outcome: ForwardingOutcome | undefined): string | undefined {
  return outcome?.kind === 'failed' ? outcome.reason : undefined;
}

/** Whether there are rules of iptables-legacy, of whose changes nobody is told. */
export function hasLegacyRules(): boolean {
  return hasLegacyTables(4) || hasLegacyTables(6);
}

/** Takes the rules out again. Idempotent, never throws. */
export async function removeForwarding(
  run: RunProgram,
  family: Family = 4,
  signal?: AbortSignal,
): Promise<ForwardingOutcome> {
  return change(run, family, signal, ({ user, exists }) => [
    ...user.filter((rule) => rule === JUMP).map(() => JUMP.replace('-A', '-D')),
    ...(exists ? [`-F ${CHAIN}`, `-X ${CHAIN}`] : []),
  ]);
}

interface Rules {
  readonly user: readonly string[];
  readonly chain: readonly string[];
  readonly exists: boolean;
}

/** Applies the lines of `iptables-restore` that `plan` wants, all or none. */
async function change(
  run: RunProgram,
  family: Family,
  signal: AbortSignal | undefined,
  plan: (rules: Rules) => readonly string[],
): Promise<ForwardingOutcome> {
  try {
    const program = family === 4 ? 'iptables' : 'ip6tables';
    const list = [...PATIENCE, '-S'];
    const listing = await (family === 4
      ? run(['iptables', ...list], { signal })
      : run(['ip6tables', ...list], { signal }));
    if (listing.code !== 0) return { kind: 'failed', reason: words(program, listing) };
    const lines = listing.stdout.split('\n').map((line) => line.trim());
    if (!lines.includes(`-N ${USER_CHAIN}`)) {
      return { kind: 'not-needed', reason: `${program} has no chain ${USER_CHAIN}` };
    }
    const of = (chain: string) => lines.filter((line) => line.startsWith(`-A ${chain} `));
    const changes = plan({ user: of(USER_CHAIN), chain: of(CHAIN), exists: lines.includes(`-N ${CHAIN}`) });
    if (changes.length === 0) return { kind: 'unchanged' };
    const input = ['*filter', ...changes, 'COMMIT', ''].join('\n');
    const restore = [...PATIENCE, '--noflush'];
    const result = await (family === 4
      ? run(['iptables-restore', ...restore], { input, signal })
      : run(['ip6tables-restore', ...restore], { input, signal }));
    return result.code === 0 ? { kind: 'changed' } : { kind: 'failed', reason: words(`${program}-restore`, result) };
  } catch (thrown) {
    const { code, message } = asOverlaydError(thrown);
    return { kind: code === 'tool-missing' ? 'not-needed' : 'failed', reason: message };
  }
}

function words(program: string, { code, stderr }: { readonly code: number; readonly stderr: string }): string {
  return `${program}: ${stderr.trim() || `ended with ${code}`}`;
}
