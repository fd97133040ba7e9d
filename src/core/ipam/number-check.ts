/** Compares the claims of WireGuard keys' numbers with the records of the nodes whose they are said to be. */
import { keys } from '../records.ts';
import type { Finding, Repair } from './check.ts';
import type { Inventory } from './inventory.ts';

/** `selfId`: of this host, whose agent puts its own right by itself, as every agent does. */
export function checkNumbers(held: Inventory, selfId: string): Finding[] {
  return [...held.numbers]
    .flatMap(([number, nodeId]) => leaked(held, selfId, number, nodeId))
    .concat(missing(held, selfId));
}

function leaked(held: Inventory, selfId: string, number: number, nodeId: string): Finding[] {
  const node = held.node(nodeId);
  // What cannot be read may have it.
  if (node === 'unreadable' || node?.wireguard?.keys.some((key) => key.number === number)) return [];
  const key = keys.wireguard(number);
  const repair: Repair = { asFound: [key, keys.node(nodeId)], changes: [{ kind: 'delete', key }] };
  const isGone = node === undefined || node.left;
  const why = isGone ? 'which is no member' : 'which has no key of that number';
  return [
    {
      ...{ kind: 'leaked', key, networkId: undefined, owner: `${hostOf(held, nodeId)}${isGone ? `, ${why}` : ''}` },
      what: `number ${number} of a WireGuard key is claimed for ${hostOf(held, nodeId)}, ${why}`,
      mend: isGone ? 'deletes the claim' : byItself(held, selfId, nodeId, 'gives it back'),
      repair: isGone ? repair : undefined,
    },
  ];
}

function missing(held: Inventory, selfId: string): Finding[] {
  return held.members.flatMap((node) =>
    (node.wireguard?.keys ?? []).flatMap(({ number }): Finding[] => {
      const holder = held.numbers.get(number);
      if (node.left || holder === node.id) return [];
      const key = keys.wireguard(number);
      const of = `number ${number} of the WireGuard key of ${node.name}`;
      const what =
        holder === undefined ? `the claim of ${of} is missing` : `${of} is claimed for ${hostOf(held, holder)}`;
      const mend = byItself(held, selfId, node.id, holder === undefined ? 'claims it again' : 'takes another one');
      const kind = holder === undefined ? 'missing' : 'duplicate';
      return [{ kind, key, networkId: undefined, what, owner: node.name, mend, repair: undefined }];
    }),
  );
}

function byItself(held: Inventory, selfId: string, nodeId: string, does: string): string {
  const whose = nodeId === selfId ? "this host's agent" : `the agent of ${hostOf(held, nodeId)}`;
  return `left alone: ${whose} ${does} by itself`;
}

function hostOf(held: Inventory, nodeId: string): string {
  const node = held.node(nodeId);
  return node && node !== 'unreadable' ? node.name : nodeId.slice(0, 12);
}
