import { expect, test } from 'vitest';
import { Doctor, type DoctorDeps } from '../../../src/agent/doctor.ts';
import { type Finding, found } from '../../../src/core/finding.ts';

const MIB = 2 ** 20;
const ASKED = { network: '', peer: '', commandVersion: '' };

/** Of a host that is no member. */
function doctor(known: readonly Finding[], deps: Partial<DoctorDeps> = {}) {
  return new Doctor(
    {
      report: { membership: undefined, make: async () => ({ findings: known, membership: undefined }) } as never,
      kernel: { observe: async () => ({}) as never },
      clock: { now: () => 9_000, elapsed: () => 0 },
      knock: async () => undefined,
      disk: async () => ({ freeBytes: 500 * MIB, totalBytes: 1_000 * MIB }),
      neighbourOverflows: async () => ({ ipv4: undefined, ipv6: undefined }),
      strayAddresses: async () => [],
      ...deps,
    },
    { dataDir: '/var/lib/overlayd', version: '1.0.0' },
  );
}

test('a host that is no member is looked at by itself, and what is of members says why it was skipped', async () => {
  const { checks, findings } = await doctor([]).diagnose(ASKED);
  expect(findings).toEqual([]);
  const outcomes = new Map(checks.map(({ name, outcome }) => [name, outcome]));
  expect(outcomes.get('disk')).toBe('ok');
  expect(outcomes.get('data path')).toBe('skipped');
  expect(outcomes.get('gossip port')).toBe('skipped');
});

test('what is found now is told beside what is known, each once', async () => {
  const known = found('disk-full', ['known']).map((each) => ({ ...each, since: 1_000 }));
  const overflows = { ipv4: 3, ipv6: 0 };
  const deps = { disk: async () => ({ freeBytes: 1, totalBytes: 9 }), neighbourOverflows: async () => overflows };
  const looking = doctor(known, deps);
  // When it was full before that nobody knows.
  await looking.lookAgain();
  overflows.ipv4 = 5;
  const { checks, findings } = await looking.diagnose(ASKED);
  expect(findings.map(({ code, since, text }) => [code, since, text === 'known'])).toEqual([
    ['disk-full', 1_000, true],
    ['neighbours-overflowed', 9_000, false],
  ]);
  expect(looking.standing.map(({ code }) => code)).toEqual(['disk-full', 'neighbours-overflowed']);
  expect(checks.find(({ name }) => name === 'disk')).toMatchObject({ outcome: 'problem', detail: '1 finding' });
});

test('a look that fails is told as skipped, with why', async () => {
  const disk = () => Promise.reject(new Error('no such directory'));
  const { checks } = await doctor([], { disk }).diagnose(ASKED);
  expect(checks.find(({ name }) => name === 'disk')).toEqual({
    ...{ name: 'disk', outcome: 'skipped', detail: 'no such directory' },
  });
});

test.each([{ peer: 'h2' }, { network: 'web' }])('of a host that is no member nobody can ask for %o', async (some) => {
  await expect(doctor([]).diagnose({ ...ASKED, ...some })).rejects.toMatchObject({ code: 'not-joined' });
});

test('what is found for certain stands until a look does not find it any more', async () => {
  const room = { freeBytes: 0, totalBytes: 9 };
  const looking = doctor([], { disk: async () => room });
  expect(looking.standing).toEqual([]);
  await looking.lookAgain();
  expect(looking.standing.map(({ code }) => code)).toEqual(['disk-full']);
  room.freeBytes = 32 * MIB;
  const { findings } = await looking.diagnose(ASKED);
  // It may be nothing by now.
  expect(findings.map(({ code, certain }) => [code, certain])).toEqual([['disk-full', false]]);
  expect(looking.standing).toEqual([]);
});

test('what stands of a host or a network ends when that is gone, which no look comes to any more', async () => {
  const [gone, heard] = [new Set<string>(), new Set(['h2'])];
  const nodes = ['h1', 'h2', 'h3'].map((id) => ({
    ...{ id, name: id, left: false, nat: false },
    advertiseAddress: id,
  }));
  const member = {
    ...{ self: nodes[0], storeConnected: false },
    view: { nodes: () => nodes.filter(({ id }) => !gone.has(id)), keepers: () => [] },
    ...{ networks: { list: () => [] }, local: { hasOnNetwork: () => false } },
    liveness: (id: string) => (heard.has(id) ? 'ready' : 'down'),
  };
  const report = { membership: { member }, make: async () => ({ findings: [], membership: undefined }) } as never;
  const knocked: string[] = [];
  const knock = async (host: string) => {
    knocked.push(host);
    return 'refused';
  };
  const looking = doctor([], { report, knock });
  await looking.lookAgain();
  // A host that is just starting is well a moment later.
  expect(looking.standing).toEqual([]);
  expect(knocked.splice(0)).toEqual(['h2', 'h3', 'h2', 'h3']);
  expect(await looking.lookAgain(true)).toBe(true);
  expect(knocked.splice(0)).toEqual(['h2', 'h2']);
  expect(looking.standing.map(({ subject }) => subject)).toEqual(['h2', 'h2']);
  await looking.lookAgain();
  const standing = () => looking.standing.map(({ code, subject }) => `${code} ${subject}`).sort();
  expect(standing()).toEqual(['gossip-blocked h2', 'gossip-blocked h3', 'join-blocked h2', 'join-blocked h3']);
  gone.add('h2');
  await looking.lookAgain();
  expect(standing()).toEqual(['gossip-blocked h3', 'join-blocked h3']);
});
