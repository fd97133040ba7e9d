/** Of the oracle: what each host answers to names and addresses. */
import type { RecordType } from 'dns-packet';
import { expect } from 'vitest';
import { contains, parseCidr } from '../../src/core/cidr.ts';
import { bytesOf, parseIp, requireIp } from '../../src/core/ip.ts';
import { type EndpointRecord, firstAddress, type NetworkRecord, type StaticSet } from '../../src/core/records.ts';
import { addressesIn, question, type ReadReply, read } from '../unit/core/dns/messages.ts';
import { networksOn } from './oracle-networks.ts';
import type { SimulatedHost } from './simulated-cluster.ts';
import { isIpv6, type Truth } from './truth.ts';

type Ask = (name: string, type: RecordType) => Promise<ReadReply>;

/** Nobody is hidden when all agents run, so each network's names are those of its endpoints, and those that a person gave. */
export async function checkNames(host: SimulatedHost, truth: Truth): Promise<void> {
  for (const network of networksOn(host, truth)) {
    const all = truth.endpoints.get(network.id)!;
    const asker = all.find(({ nodeId }) => nodeId === host.record.id)!;
    const client = { networkId: network.id, address: firstAddress(asker), transport: 'tcp' } as const;
    const ask: Ask = async (name, type) => read(await host.names.handler(question(name, type), client));
    const what = `on network ${network.name} of ${host.record.name}`;
    const beside = networksBeside(host, asker, truth);
    const sets = truth.staticNames.get(network.id)?.sets ?? [];
    const former = truth.everCalled.get(network.id) ?? [];
    await checkAddresses(ask, network, { all, former: former.filter(isAlone(beside, truth)), sets, what });
    await checkPointers(ask, network, { all, former, what });
    expect((await ask('nobody', 'A')).rcode, what).toBe('NXDOMAIN');
    await checkOthers(ask, truth, { own: network.id, beside, what });
  }
}

/** Ids of the other networks that the asker's container is on, which only its host knows. */
function networksBeside({ running }: SimulatedHost, asker: EndpointRecord, { endpoints }: Truth): ReadonlySet<string> {
  const all = running.local.all();
  const identity = all.find(({ record }) => record.id === asker.id)?.container.identity;
  const ids = all.filter(({ container }) => container.identity === identity).map(({ record }) => record.networkId);
  return new Set(ids.filter((id) => id !== asker.networkId && endpoints.has(id)));
}

/** Whether nobody goes by any of its names on those networks. */
function isAlone(beside: ReadonlySet<string>, truth: Truth): (endpoint: EndpointRecord) => boolean {
  const names = new Set<string>();
  for (const id of beside) {
    for (const endpoint of truth.endpoints.get(id)!) for (const name of namesOf(endpoint)) names.add(name);
    for (const { name } of truth.staticNames.get(id)?.sets ?? []) names.add(name);
  }
  return (endpoint) => ![...namesOf(endpoint)].some((name) => names.has(name));
}

interface Named {
  readonly all: readonly EndpointRecord[];
  /** Those that there ever were. */
  readonly former: readonly EndpointRecord[];
  readonly sets: readonly StaticSet[];
  readonly what: string;
}

/** All that it goes by. */
function namesOf({ aliases, id, name }: EndpointRecord): ReadonlySet<string> {
  return new Set([name, ...aliases, id.slice(0, 12)].map((text) => text.toLowerCase()));
}

async function checkAddresses(ask: Ask, { name: network }: NetworkRecord, of: Named): Promise<void> {
  const { all, former, sets, what } = of;
  const addresses = new Map<string, Set<string>>();
  for (const endpoint of all)
    for (const each of namesOf(endpoint))
      addresses.set(each, new Set([...(addresses.get(each) ?? []), ...endpoint.addresses.map(({ ip }) => ip)]));
  // A container takes a name from a person's.
  const given = sets.filter(({ name }) => !addresses.has(name));
  for (const { name, type, values } of given)
    if (type === 'A' || type === 'AAAA') addresses.set(name, new Set([...(addresses.get(name) ?? []), ...values]));
  const others = new Set(given.map(({ name }) => name));
  for (const name of new Set(former.flatMap((endpoint) => [...namesOf(endpoint)])))
    if (!addresses.has(name) && !others.has(name))
      expect((await ask(name, 'A')).rcode, `${name} ${what}, which is gone`).toBe('NXDOMAIN');
  for (const [name, expected] of addresses) {
    for (const asked of [name, `${name}.${network}`, `${name}.${network}.overlayd.internal`]) {
      for (const type of ['A', 'AAAA'] as const) {
        const reply = await ask(asked, type);
        const ofType = [...expected].filter((address) => isIpv6(address) === (type === 'AAAA'));
        expect([reply.rcode, ...addressesIn(reply).sort()], `${type} ${asked} ${what}`).toEqual([
          'NOERROR',
          ...ofType.sort(),
        ]);
      }
    }
  }
}

/** The first name of whose an address is; that of nobody has none. */
async function checkPointers(
  ask: Ask,
  { name: network, subnets }: NetworkRecord,
  { all, former, what }: Omit<Named, 'sets'>,
): Promise<void> {
  const held = new Set(all.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)));
  for (const { addresses, name } of all) {
    for (const { ip } of addresses) {
      const { answers } = await ask(reverseOf(ip), 'PTR');
      const data = answers?.map((answer) => ('data' in answer ? String(answer.data).toLowerCase() : undefined));
      expect(data, `PTR ${ip} ${what}`).toEqual([`${name}.${network}`.toLowerCase()]);
    }
  }
  // What is in no subnet of the network (any more) is not its own to deny.
  const isOfIt = (ip: string) => subnets.some(({ cidr }) => contains(parseCidr(cidr)!, parseIp(ip)!));
  const free = former
    .flatMap(({ addresses }) => addresses.map(({ ip }) => ip))
    .filter((ip) => !held.has(ip) && isOfIt(ip));
  for (const ip of new Set([subnets[0]!.gateway, ...free]))
    expect((await ask(reverseOf(ip), 'PTR')).rcode, `PTR ${ip} ${what}`).toBe('NXDOMAIN');
}

/** Nothing of a network is told to who is not on it, and everything of one that the container is on as well. */
async function checkOthers(
  ask: Ask,
  truth: Truth,
  { beside, own, what }: { readonly beside: ReadonlySet<string>; readonly own: string; readonly what: string },
): Promise<void> {
  for (const [networkId, [other]] of truth.endpoints) {
    if (networkId === own) continue;
    const id = other!.id.slice(0, 12);
    const { rcode } = await ask(id, 'A');
    expect(rcode, `${id} ${what}, of another network`).toBe(beside.has(networkId) ? 'NOERROR' : 'NXDOMAIN');
  }
}

function reverseOf(address: string): string {
  const bytes = [...bytesOf(requireIp(address, 'address'))];
  if (bytes.length === 4) return `${bytes.reverse().join('.')}.in-addr.arpa`;
  const nibbles = bytes.flatMap((byte) => [byte >> 4, byte & 15]).map((nibble) => nibble.toString(16));
  return `${nibbles.reverse().join('.')}.ip6.arpa`;
}
