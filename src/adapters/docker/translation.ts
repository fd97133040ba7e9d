/**
 * An engine without its firewall (`--iptables=false`) translates nothing for its own bridge `docker_gwbridge`, which is the
 * default route of containers that publish ports. Their way out is the user's to make then; here it is noticed when it
 * is not there.
 */
import { canonical, formatCidr, parseCidr } from '../../core/cidr.ts';
import type { RunProgram } from './forwarding.ts';

const BRIDGE = 'docker_gwbridge';
/** What any table but ours says where it translates what leaves. */
const TRANSLATES = /\b(masquerade|snat)\b/i;

/** In words, with what mends it; undefined when it is there, or no container needs it. Never throws. */
export async function missingTranslation(run: RunProgram, signal?: AbortSignal): Promise<string | undefined> {
  const read = (...argv: readonly string[]) => run(argv, { signal }).catch(() => undefined);
  const ports = await read('ip', '-j', 'link', 'show', 'master', BRIDGE);
  if (ports?.code !== 0 || !ports.stdout.includes('"ifname"')) return undefined;
  const [addresses, iptables, nft] = await Promise.all([
    read('ip', '-4', '-o', 'addr', 'show', 'dev', BRIDGE),
    read('iptables', '-w', '5', '-t', 'nat', '-S', 'POSTROUTING'),
    read('nft', '-s', 'list', 'ruleset'),
  ]);
  // Somebody translates: whether it is enough shows in the host's own counters, and not in rules.
  if (TRANSLATES.test(iptables?.stdout ?? '') || TRANSLATES.test(withoutOurs(nft?.stdout ?? ''))) return undefined;
  const cidr = parseCidr(/\binet (\S+)/.exec(addresses?.stdout ?? '')?.[1] ?? '');
  const subnet = cidr ? formatCidr(canonical(cidr)) : `SUBNET-OF-${BRIDGE}`;
  return `it runs without one (--iptables=false) and translates nothing, so those that publish ports have no way out; \`iptables -t nat -A POSTROUTING -s ${subnet} ! -o ${BRIDGE} -j MASQUERADE\` mends that until the next boot`;
}

/** The ruleset less the table that this agent writes; tables begin and end at the margin. */
function withoutOurs(ruleset: string): string {
  return ruleset.replace(/^table inet overlayd \{\n[\s\S]*?^\}$/m, '');
}
