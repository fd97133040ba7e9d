/** What the host's table has counted, read in the kernel's thread; `core/firewall.ts` says what follows from it. */
import type { Passage, Way } from '../../core/firewall.ts';
import { HOST, TABLE } from '../../core/host-state.ts';
import {
  decodeElementCounts,
  decodeRuleCount,
  dumpElements,
  dumpRules,
  type ElementCount,
  type RuleCount,
} from '../netlink/nftables.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { NFPROTO_INET } from '../netlink/uapi/netfilter.ts';
import { NETLINK_NETFILTER } from '../netlink/uapi/netlink.ts';
import { pathOf } from './means.ts';

const STRAYS = 'strays';

/** Undefined while the table is not there. Throws where it cannot be read. */
export function readCounters(): Passage | undefined {
  const socket = new NetlinkSocket({ protocol: NETLINK_NETFILTER, namespace: pathOf(HOST) });
  try {
    const rules = socket.dump(dumpRules(NFPROTO_INET, TABLE), decodeRuleCount);
    const strays = socket.dump(dumpElements(NFPROTO_INET, TABLE, STRAYS), decodeElementCounts, ['ENOENT']);
    // A kernel that does not look at the name tells of all tables.
    return passageOf(
      rules.filter(({ table }) => table === TABLE),
      strays.flat(),
    );
  } finally {
    socket.close();
  }
}

/** Of the rules that count, in their order, and of the set's elements; undefined when they are not there. */
export function passageOf(rules: readonly RuleCount[], strays: readonly ElementCount[]): Passage | undefined {
  const counts = (name: string) =>
    rules.flatMap(({ chain, packets, drops }) => (chain === name && !drops ? packets : []));
  // Which rules count what passes is said in `host-filter.ts`: of `input` the first, of `forward` the last, and one before it.
  const data = wayOf(counts('input')[0], counts('admitted')[0]);
  const out = wayOf(counts('forward').at(-1), counts('passed')[0]);
  const published = counts('forward').length > 1 ? wayOf(counts('forward')[0], counts('passed')[1]) : undefined;
  const bySource = new Map(strays.map(({ address, packets }) => [address, packets]));
  return data && out && { data, out, in: published ?? NOTHING_CAME, strays: bySource };
}

/** In a table of a release that does not count it. */
const NOTHING_CAME: Way = { before: 0, after: 0 };

function wayOf(before: number | undefined, after: number | undefined): Way | undefined {
  return before === undefined || after === undefined ? undefined : { before, after };
}
