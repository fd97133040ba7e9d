import { describe, expect, it, test } from 'vitest';
import * as diagnosis from '../../../src/core/diagnosis.ts';
import { FINDINGS, type Found, found } from '../../../src/core/finding.ts';

const MIB = 2 ** 20;
const told = (findings: readonly Found[]) =>
  findings.map(({ code, subject, certain }) => `${code} ${subject || '-'} ${certain ? 'certain' : 'suspected'}`);

describe('checks', () => {
  it('have each code once', () => {
    const codes = Object.values(diagnosis.CHECKS).flat();
    expect(codes.toSorted()).toEqual(Object.keys(FINDINGS).toSorted());
  });

  it('say what they found, saw, or why they were not done', () => {
    const findings = found('join-blocked', ['a', 'b'], 'h2');
    const checks = diagnosis.checksOf(findings, { 'gossip port': '2 hosts answered' }, { store: 'etcd is away' });
    const of = (name: string) => checks.find((each) => each.name === name);
    expect(of('join port')).toMatchObject({ outcome: 'problem', detail: '2 findings' });
    expect(of('gossip port')).toMatchObject({ outcome: 'ok', detail: '2 hosts answered' });
    expect(of('store')).toMatchObject({ outcome: 'skipped', detail: 'etcd is away' });
    expect(of('MTU')).toMatchObject({ outcome: 'ok', detail: '' });
  });
});

const passing = { state: 'passes', lossPercent: 0, roundTripMs: 0.4, mtu: 1_450, changedAt: 1 } as const;
const lost = { ...passing, state: 'lost', lossPercent: 100 } as const;

test.each([
  [[], { skipped: { 'data path': 'none', MTU: 'none' }, seen: {} }],
  [[{ skipped: 'NAT', status: undefined }], { skipped: { 'data path': 'NAT', MTU: 'NAT' }, seen: {} }],
  [
    [
      { skipped: undefined, status: passing },
      { skipped: undefined, status: { ...passing, roundTripMs: 12.4, mtu: 1_250 } },
      { skipped: 'NAT', status: undefined },
    ],
    {
      skipped: {},
      seen: { 'data path': '2 hosts, 12 ms there and back, 1 not looked at (NAT)', MTU: 'packets of 1250 bytes pass' },
    },
  ],
  [
    [
      { skipped: undefined, status: passing },
      { skipped: undefined, status: { ...lost, mtu: 1_250 } },
      { skipped: undefined, status: { ...passing, mtu: 0 } },
    ],
    {
      skipped: {},
      seen: { 'data path': '3 hosts, 0.4 ms there and back', MTU: 'packets of 1450 bytes pass' },
    },
  ],
  [
    [{ skipped: undefined, status: lost }],
    {
      skipped: { MTU: 'no packet came back' },
      seen: { 'data path': '1 host, 0.4 ms there and back' },
    },
  ],
])('what paths that were looked at say', (paths, expected) => {
  expect(diagnosis.pathsSeen(paths, 'none')).toEqual(expected);
});

test('a port that answers is no finding, one that does not is told with why', () => {
  const port = { name: 'h2', port: 7946 };
  expect(diagnosis.judgePort('gossip', { ...port, problem: undefined })).toEqual([]);
  const [blocked] = diagnosis.judgePort('gossip', { ...port, problem: 'no answer within 2 s' });
  expect(told([blocked!])).toEqual(['gossip-blocked h2 certain']);
  expect(blocked?.text).toMatch(/7946\/tcp/);
  expect(told(diagnosis.judgePort('join', { ...port, problem: 'refused' }))).toEqual(['join-blocked h2 certain']);
});

test.each([
  [64, []],
  [63, ['disk-full - suspected']],
  [3, ['disk-full - certain']],
])('a disk with %d MiB left', (free, expected) => {
  const room = { freeBytes: free * MIB, totalBytes: 1_000 * MIB };
  expect(told(diagnosis.judgeDisk(room, '/var/lib/overlayd'))).toEqual(expected);
});

test('a table of neighbours that has become full is told of by its family, for minutes; what was so before is not', () => {
  const tables = new diagnosis.NeighbourTables();
  tables.note({ ipv4: 7, ipv6: undefined }, 1_000);
  expect(tables.findings()).toEqual([]);
  tables.note({ ipv4: 9, ipv6: undefined }, 61_000);
  expect(told(tables.findings())).toEqual(['neighbours-overflowed - certain']);
  expect(tables.findings()[0]).toMatchObject({
    since: 61_000,
    text: expect.stringMatching(/\(IPv4\) was full 2 times .*sysctl -w net\.ipv4\.neigh\.default\.gc_thresh3=8192/),
  });
  tables.note({ ipv4: 9, ipv6: 0 }, 200_000);
  tables.note({ ipv4: 9, ipv6: 1 }, 260_000);
  expect(tables.findings().map(({ text }) => /\(IPv.\) was full \w+/.exec(text)?.[0])).toEqual([
    '(IPv6) was full once',
  ]);
});

test.each([
  [254, 26, []],
  [254, 25, ['pool-full web certain']],
  [0, 0, []],
])('of %d addresses %d are free', (total, free, expected) => {
  expect(told(diagnosis.judgePool({ network: 'web', total, free, family: 4 }))).toEqual(expected);
});

test('etcd is slow from half a second on', () => {
  expect(diagnosis.judgeStoreSpeed(499)).toEqual([]);
  expect(told(diagnosis.judgeStoreSpeed(2_100))).toEqual(['store-slow - suspected']);
  expect(diagnosis.judgeStoreSpeed(2_100)[0]?.text).toContain('etcd took 2.1 s for one question: ');
  const words = 'etcd took more than 5.0 s for one question (it does not answer in time): ';
  expect(diagnosis.judgeStoreSpeed(5_000, 'it does not answer in time')[0]?.text).toContain(words);
  expect(diagnosis.judgeStoreSpeed(1, 'the connection ended')).toEqual([]);
});

test('a file near its quota is named with its host', () => {
  const file = { name: 'h1', quotaBytes: 1_000 * MIB };
  expect(diagnosis.judgeStoreFile({ ...file, bytes: 799 * MIB })).toEqual([]);
  expect(told(diagnosis.judgeStoreFile({ ...file, bytes: 800 * MIB }))).toEqual(['store-near-quota h1 certain']);
});

test.each([
  [1, 3, 1, []],
  [1, 3, 2, ['store-few-members - suspected']],
  [3, 3, 9, []],
  [2, 3, 9, ['store-few-members - suspected']],
  [0, 3, 3, []],
])('%d of %d wanted keepers among %d hosts', (keepers, wanted, hosts, expected) => {
  expect(told(diagnosis.judgeKeepers(keepers, wanted, hosts, ''))).toEqual(expected);
});

test('other releases are told of, of hosts that have not left and of the command', () => {
  const nodes = [
    { name: 'h1', version: '1.1.0', left: false },
    { name: 'h2', version: '1.0.0', left: false },
    { name: 'h3', left: false },
    { name: 'h4', version: '1.0.0', left: true },
  ];
  expect(told(diagnosis.judgeVersions(nodes, '1.1.0', '1.1.0'))).toEqual([
    'version-mismatch h2 suspected',
    'version-mismatch h3 suspected',
  ]);
  expect(told(diagnosis.judgeVersions([], '1.1.0', '1.0.0'))).toEqual(['version-mismatch - suspected']);
  expect(diagnosis.judgeVersions([], '1.1.0', '')).toEqual([]);
});

test('a host that does not forward is told of where containers have a way out', () => {
  expect(diagnosis.judgeForwarding(false, [])).toEqual([]);
  expect(diagnosis.judgeForwarding(true, ['web'])).toEqual([]);
  expect(told(diagnosis.judgeForwarding(false, ['web']))).toEqual(['forwarding-off - certain']);
});

test('namespaces and links of no network are told of, with what keeps them', () => {
  const left = [
    { name: 'ovl-4097', foreign: [] },
    { name: 'ovl-4098', foreign: ['dummy0'] },
  ];
  const found = diagnosis.judgeLeftOvers(left, ['ovl4099']);
  expect(told(found)).toEqual(['ovl-4097', 'ovl-4098', 'ovl4099'].map((name) => `left-over ${name} suspected`));
  expect(found[0]?.text).toContain('ip netns pids ovl-4097');
  expect(found[1]?.text).toMatch(/not overlayd's \(dummy0\).*ip netns delete ovl-4098/);
  expect(found[2]?.text).toContain('ip link delete ovl4099');
});

test('what was put back again and again is drift that returns, the worst by its name', () => {
  expect(diagnosis.judgeDrift([])).toEqual([]);
  const of = (object: string, times: number) => ({
    drift: {
      ...({ kind: 'link', network: 'web', place: 'ovl-4096', object, state: 'missing', detail: '', why: '' } as const),
    },
    ...{ times, firstMs: 0, lastMs: 0 },
  });
  const all = diagnosis.judgeDrift([of('br0', 3), of('vx0', 9)]);
  expect(told(all)).toEqual(['drift-returns - certain']);
  expect(all[0]!.text).toContain('link vx0 (ovl-4096) was put back 9 times, and 1 more');
});
