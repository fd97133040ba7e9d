/**
 * An engine without its firewall (`--iptables=false`) translates nothing for its own bridge `docker_gwbridge`, which is the
 * default route of containers that publish ports. Their way out is the user's to make then; here it is noticed when it
 * is not there.
 */
import { canonical, formatCidr, parseCidr } from '../../core/cidr.ts';
import { isIpv4 } from '../../core/ip.ts';
import type { RoutingAnswer, RoutingQuestion } from '../kernel/host-routing.ts';
import type { RunProgram } from './forwarding.ts';

export interface TranslationDeps {
  /** For `iptables`, whose older kind has rules that nftables does not list. */
  readonly run: RunProgram;
  readonly routing: (question: RoutingQuestion) => Promise<RoutingAnswer>;
  /** All tables of the host, as `nft list ruleset` writes them; undefined when they cannot be listed. */
  readonly ruleset: () => Promise<string | undefined>;
}

const BRIDGE = 'docker_gwbridge';
/** What any table but ours says where it translates what leaves. */
const TRANSLATES = /\b(masquerade|snat)\b/i;

/** In words, with what mends it; undefined when it is there, or no container needs it. Never throws. */
export async function missingTranslation({ run, routing, ruleset }: TranslationDeps): Promise<string | undefined> {
  const host = await routing({ addresses: true }).catch(() => undefined);
  if (!host?.links.some(({ master }) => master === BRIDGE)) return undefined;
  const [iptables, nft] = await Promise.all([
    run(['iptables', '-w', '5', '-t', 'nat', '-S', 'POSTROUTING']).catch(() => undefined),
    ruleset().catch(() => undefined),
  ]);
  // Somebody translates: whether it is enough shows in the host's own counters, and not in rules.
  if (TRANSLATES.test(iptables?.stdout ?? '') || TRANSLATES.test(withoutOurs(nft ?? ''))) return undefined;
  const found = host.addresses.find(({ link, address }) => link === BRIDGE && isIpv4(address));
  const cidr = found && parseCidr(`${found.address}/${found.prefix}`);
  const subnet = cidr ? formatCidr(canonical(cidr)) : `SUBNET-OF-${BRIDGE}`;
  return `it runs without one (--iptables=false) and translates nothing, so those that publish ports have no way out; \`iptables -t nat -A POSTROUTING -s ${subnet} ! -o ${BRIDGE} -j MASQUERADE\` mends that until the next boot`;
}

/** The ruleset less the table that this agent writes; tables begin and end at the margin. */
function withoutOurs(ruleset: string): string {
  return ruleset.replace(/^table inet overlayd \{\n[\s\S]*?^\}$/m, '');
}
