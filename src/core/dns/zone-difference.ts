/** In what two tellings of one network's names differ. Pure. */
import type { NamesNews, ZoneEntry } from './names-protocol.ts';

/** So many are named. */
const MOST_NAMED = 10;

/**
 * Each telling is all that there is of the network. In words, how `kept` differs from `wanted`; undefined: it does not, as far as names
 * are answered by it.
 */
export function zoneDifference(kept: Iterable<NamesNews>, wanted: Iterable<NamesNews>): string | undefined {
  const [have, want] = [factsOf(kept), factsOf(wanted)];
  const missing = [...want].flatMap(([what, is]) => {
    const other = have.get(what);
    return other === is ? [] : [`${what} ${other === undefined ? 'is not known' : 'is answered otherwise'}`];
  });
  const extra = [...have.keys()].filter((what) => !want.has(what)).map((what) => `${what} is known and is gone`);
  const all = [...missing, ...extra];
  if (all.length === 0) return undefined;
  const more = all.length > MOST_NAMED ? `, and ${all.length - MOST_NAMED} more` : '';
  return `${all.slice(0, MOST_NAMED).join(', ')}${more}`;
}

/** What is said of what, as text. */
function factsOf(news: Iterable<NamesNews>): ReadonlyMap<string, string> {
  const facts = new Map<string, string>();
  for (const each of news) {
    if (each.kind === 'zone') {
      const { name, internal, subnets, upstreams = [] } = each.network;
      facts.set(`network ${name}`, JSON.stringify([internal, subnets, upstreams]));
      for (const entry of each.set) facts.set(`${entry.name} at ${entry.address}`, entryText(entry));
    } else if (each.kind === 'static') {
      for (const { name, type, ...values } of each.sets) facts.set(`${name} ${type}`, JSON.stringify(values));
    } else if (each.kind === 'services') {
      for (const { name, addresses } of each.services) facts.set(`service ${name}`, JSON.stringify(addresses));
    }
  }
  return facts;
}

function entryText({ names, shown, unwell, services }: ZoneEntry): string {
  const ports = services?.ports.map(({ service, port }) => `${service} ${port}`) ?? [];
  return JSON.stringify([names, shown, unwell ?? false, services?.host, ports]);
}
