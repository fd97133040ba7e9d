import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EndpointIndex } from '../../../../src/agent/endpoints/endpoint-index.ts';
import { handedOver, type LocalEndpoint } from '../../../../src/core/container.ts';
import { firstAddress } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';

const NETWORKS = ['w', 'd', 'x'];

/** Few ids, containers and sandboxes, so that they meet. */
const endpoint = fc
  .record({
    id: fc.nat(5),
    container: fc.nat(2),
    sandbox: fc.option(fc.nat(1)),
    joined: fc.boolean(),
    out: fc.boolean(),
  })
  .map(({ id, container, sandbox, joined, out }): LocalEndpoint => {
    const record = endpointRecord({ id: `e${id}`, networkId: NETWORKS[id % 3]!, address: `10.0.0.${id}` });
    const process = { text: `netns:c${container}`, path: `/run/netns/c${container}`, identity: `${container}` };
    if (sandbox === null) return { record, container: process, ifname: 'eth0' };
    const engine = { endpointId: `engine${id}`, networkId: 'n', sandbox: `/run/docker/netns/${sandbox}`, wayOut: out };
    return { record, container: joined ? process : handedOver(engine), ifname: 'eth0', engine };
  });

const change = fc.oneof(
  endpoint.map((put) => ({ put })),
  fc.nat(5).map((id) => ({ remove: `e${id}` })),
);

it('finds what going through all endpoints finds, after any changes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const index = new EndpointIndex();
      const all = new Map<string, LocalEndpoint>();
      for (const each of changes) {
        if ('put' in each) {
          index.put(each.put);
          all.set(each.put.record.id, each.put);
        } else expect(index.delete(each.remove)).toBe(all.delete(each.remove));
        const list = [...all.values()];
        expect(index.all()).toEqual(list);
        expect(index.networkIds().sort()).toEqual([...new Set(list.map(({ record }) => record.networkId))].sort());
        for (const networkId of NETWORKS) {
          const there = list.filter(({ record }) => record.networkId === networkId);
          expect(index.onNetwork(networkId)).toEqual(expect.arrayContaining(there));
          expect(index.onNetwork(networkId)).toHaveLength(there.length);
          expect(index.countOn(networkId)).toBe(there.length);
          expect(index.hasNetwork(networkId)).toBe(there.length > 0);
        }
        for (const { record, engine } of list) {
          expect(index.get(record.id)).toBe(all.get(record.id));
          if (engine) expect(index.byEngine(engine.endpointId)).toBe(all.get(record.id));
          const { networks, wayOut } = index.client(record.networkId, firstAddress(record))!;
          expect(wayOut).toBe(engine?.wayOut ?? false);
          const own = list.filter((other) => whoseOf(list, other) === whoseOf(list, all.get(record.id)!));
          expect([...networks].sort()).toEqual(own.map((other) => other.record.networkId).sort());
          const told = index.clientsOn(record.networkId).some(({ address }) => address === firstAddress(record));
          expect(told).toBe(networks.length > 1 || wayOut);
        }
        for (let id = 0; id < 6; id++) {
          if (!all.get(`e${id}`)?.engine) expect(index.byEngine(`engine${id}`)).toBeUndefined();
          if (!all.has(`e${id}`)) expect(index.client(NETWORKS[id % 3]!, `10.0.0.${id}`)).toBeUndefined();
        }
      }
    }),
  );
});

/** The last process that was found in the sandbox, else what the container is called. */
function whoseOf(list: readonly LocalEndpoint[], { container, engine }: LocalEndpoint): string {
  const joined = list.filter(
    (other) => engine && other.engine?.sandbox === engine.sandbox && !other.container.identity.startsWith('engine:'),
  );
  return joined.at(-1)?.container.identity ?? container.identity;
}
