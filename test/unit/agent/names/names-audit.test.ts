import { expect, test } from 'vitest';
import { NamesAudit } from '../../../../src/agent/names/names-audit.ts';
import type { Told } from '../../../../src/agent/names/told-names.ts';
import type { NamesNews } from '../../../../src/core/dns/names-protocol.ts';
import { ZoneChanges } from '../../../../src/core/dns/zone-changes.ts';
import type { NamesSession } from '../../../../src/ports/names.ts';
import { FakeNames } from '../../../sim/fake-names.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type FakeEndpoint, fakeView } from '../../core/dns/fake-view.ts';
import { addressesIn, question, read } from '../../core/dns/messages.ts';

/** A process that was told all of network `w`. */
async function setUp() {
  const endpoints: FakeEndpoint[] = [
    { address: '10.0.1.2', name: 'api' },
    { address: '10.0.1.3', name: 'db' },
  ];
  const sets = [{ name: 'www', type: 'A' as const, values: ['192.0.2.1'] }] as never;
  const view = fakeView([{ id: 'w', name: 'web', cidr: '10.0.1.0/24', endpoints, sets }]);
  const fake = new FakeNames(new VirtualClock(), seededRandom(1));
  const sessions = Promise.withResolvers<NamesSession>();
  void fake.processFor({ over: false }).run((session) => sessions.resolve(session), new AbortController().signal);
  const session = await sessions.promise;
  const sources = { view, hidden: () => new Set<string>() };
  const zones = new ZoneChanges(sources);
  const told: Told = { session, zones, clients: new Map(), whole: new Set(), kept: true };
  const tell = (news: Iterable<NamesNews>) => {
    for (const each of news) session.tell(each);
  };
  tell(zones.take('w', true));
  session.tell({ kind: 'whole', networkId: 'w' });
  const problems = new Map<string, string>();
  const audit = new NamesAudit({
    ...sources,
    local: { clientsOn: () => [] },
    problemOf: (networkId) => problems.get(networkId),
    told: () => told,
  });
  const now = (name: string) =>
    read(fake.handler(question(name, 'A'), { networkId: 'w', address: '10.0.1.9', transport: 'udp' }) as Uint8Array);
  return { audit, told, tell, endpoints, now, problems };
}

const network = { name: 'web', internal: false, subnets: ['10.0.1.0/24'] };
/** As nobody of ours would tell it. */
const wrong: NamesNews = {
  ...{ kind: 'zone', networkId: 'w', network, removed: ['10.0.1.3'] },
  set: [{ address: '10.0.1.66', name: 'evil', names: ['evil'], shown: true }],
};

test('what is answered otherwise is told name by name, and replaced', async () => {
  const { audit, told, tell, now } = await setUp();
  told.whole.add('w');
  expect(await audit.problem('w')).toBeUndefined();
  tell([wrong, { kind: 'static', networkId: 'w', sets: [] }]);
  expect(addressesIn(now('evil'))).toEqual(['10.0.1.66']);
  const problem = await audit.problem('w');
  expect(problem).toContain('db at 10.0.1.3 is not known');
  expect(problem).toContain('www A is not known');
  expect(problem).toContain('evil at 10.0.1.66 is known and is gone');
  await audit.repair('w');
  expect(await audit.problem('w')).toBeUndefined();
  expect(now('evil').rcode).toBe('NXDOMAIN');
  expect([addressesIn(now('api')), addressesIn(now('db'))]).toEqual([['10.0.1.2'], ['10.0.1.3']]);
});

test('of a network that is not all told yet nothing is wrong', async () => {
  const { audit, tell } = await setUp();
  tell([wrong]);
  expect(await audit.problem('w')).toBeUndefined();
});

test('where names are not answered at all that is what is wrong', async () => {
  const { audit, problems } = await setUp();
  problems.set('w', 'port 53 is held by somebody');
  expect(await audit.problem('w')).toBe('port 53 is held by somebody');
});
