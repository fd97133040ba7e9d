import { expect, test } from 'vitest';
import { ClusterDrift, type DriftHost, type HostDrift } from '../../../../src/agent/drift/cluster-drift.ts';
import type { DriftReport } from '../../../../src/core/drift/drift.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import type { DriftQuery } from '../../../../src/ports/members.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const NOTHING: DriftReport = { differs: [], repaired: [], putBack: [], leftOut: 0, isPartial: false };
const SIGNAL = new AbortController().signal;

function open(answers: Readonly<Record<string, (signal: AbortSignal) => Promise<DriftReport>>> = {}) {
  const clock = new VirtualClock();
  const asked: [string, DriftQuery][] = [];
  const hosts: DriftHost[] = ['h2', 'h3'].map((name) => ({ id: `id-${name}`, name, address: `${name}:7946` }));
  const answer = async (name: string, query: DriftQuery, signal: AbortSignal) => {
    asked.push([name, query]);
    return (await answers[name]?.(signal)) ?? NOTHING;
  };
  const drift = new ClusterDrift({
    clock,
    own: (query, signal) => answer('h1', query, signal),
    self: () => ({ id: 'id-h1', name: 'h1' }),
    others: () => hosts,
    networks: () => [{ id: 'id-web', name: 'web' } as NetworkRecord],
    transport: () => ({
      drift: ({ address }, query, signal) => answer(address.split(':')[0]!, query, signal),
      events: () => {
        throw new Error('nobody asks for events');
      },
      look: () => Promise.reject(new Error('nobody asks what is seen')),
    }),
  });
  const find = async (request: Partial<Parameters<ClusterDrift['find']>[0]> = {}) => {
    const told: HostDrift[] = [];
    const done = drift.find(
      { network: '', node: '', repair: false, ...request },
      async (found) => void told.push(found),
      SIGNAL,
    );
    await clock.until(done);
    return told;
  };
  return { find, asked, hosts };
}

const named = (told: readonly HostDrift[]) =>
  told.map(({ host, found }) => `${host.name}: ${typeof found === 'string' ? found : 'answered'}`).sort();

test('all hosts are asked, of the network by its id', async () => {
  const { find, asked } = open();
  expect(named(await find({ network: 'web', repair: true }))).toEqual(['h1: answered', 'h2: answered', 'h3: answered']);
  expect(asked).toHaveLength(3);
  for (const [, query] of asked) expect(query).toEqual({ network: 'id-web', repair: true });
});

test('one host is asked where one is named, and a name of none is refused', async () => {
  const { find, asked } = open();
  expect(named(await find({ node: 'h3' }))).toEqual(['h3: answered']);
  expect(asked.map(([name]) => name)).toEqual(['h3']);
  await expect(find({ node: 'h9' })).rejects.toMatchObject({ code: 'node-not-found' });
  await expect(find({ network: 'nope' })).rejects.toMatchObject({ code: 'network-not-found' });
});

test('a host that fails or stays silent is named, and the others are told all the same', async () => {
  const silent = (signal: AbortSignal) =>
    new Promise<DriftReport>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const broken = () => Promise.reject(new OverlaydError('peer-unreachable', 'no route to it'));
  const { find } = open({ h2: silent, h3: broken });
  expect(named(await find())).toEqual(['h1: answered', 'h2: it did not answer within 10 s', 'h3: no route to it']);
});

test('a host to which there is no way is named', async () => {
  const { find, hosts } = open();
  hosts[0] = { ...hosts[0]!, address: undefined };
  expect(named(await find())).toContain('h2: there is no way to it yet');
});
