import { describe, expect, it } from 'vitest';
import { PathWatch } from '../../../../src/agent/path/path-watch.ts';
import type { PlannedOp } from '../../../../src/core/host-state.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import type { Backend } from '../../../../src/core/underlay.ts';
import { settle, VirtualClock } from '../../../sim/virtual-clock.ts';

interface Told {
  readonly code: string;
  readonly subject: string;
}

interface Logged {
  readonly event?: unknown;
  readonly member?: unknown;
  readonly code?: unknown;
}

const byMember = (a: Logged, b: Logged) => String(a.member).localeCompare(String(b.member));

const nodeOf = (number: number, fields: Partial<NodeRecord> = {}): NodeRecord =>
  ({
    ...{ id: String(number).repeat(32), name: `h${number}`, vtep: `10.0.0.${number}`, dataPathPort: 4_789 },
    ...{ underlayMtu: 1_500, left: false, ...fields },
  }) as NodeRecord;

/** Hosts whose packets pass in no time, but for those that `drops` says. */
function hosts(nodes: readonly NodeRecord[], networks: readonly object[] = [], backend: Backend = 'plain') {
  const clock = new VirtualClock();
  const sockets = new Map<string, (data: Uint8Array, from: string) => void>();
  const ops: PlannedOp[] = [];
  const ending = new AbortController();
  const logged: Logged[] = [];
  const lab = {
    ...{ clock, ops, logged, unheard: new Set<string>(), old: new Set<string>(), refuses: false },
    drops: (_from: string, _to: string, _bytes: number) => false,
    asked: 0,
    ...{ place: '0' as string | undefined, opened: 0, checksumErrors: { inside: 0, outside: 0 } },
  };
  const watches = nodes.map((self) => {
    const watch = new PathWatch({
      ...{ backend, socketsAt: () => lab.place },
      view: () =>
        ({
          nodes: () => nodes,
          node: (id: string) => nodes.find((node) => node.id === id),
          live: (id: string) =>
            lab.old.has(id) ? {} : { [backend === 'plain' ? 'answersProbes' : 'answersEncrypted']: true },
          networks: () => networks,
          cluster: () => undefined,
        }) as never,
      self: () => self,
      isHeard: (nodeId) => !lab.unheard.has(nodeId),
      kernel: {
        apply: async ({ stages }) => {
          if (lab.refuses) throw new Error('no VXLAN here');
          ops.push(...stages.flatMap((stage) => stage.ops));
          return { writes: 0, failures: [] };
        },
      },
      open: (_, { address }, { message }) => {
        sockets.set(address, message);
        lab.opened += 1;
        return {
          checksumErrors: () => lab.checksumErrors,
          send: (data, to) => {
            lab.asked += 1;
            if (!lab.drops(address, to, data.length)) queueMicrotask(() => sockets.get(to)?.(data, address));
          },
          close: () => sockets.delete(address),
        };
      },
      ...{ clock, random: { next: () => Math.random() }, stopwatch: () => clock.elapsed() },
      logger: { warn: (fields) => logged.push(fields), info: (fields) => logged.push(fields), debug: () => undefined },
    });
    const ended = watch.run(ending.signal).catch(() => undefined);
    return { watch, self, ended };
  });
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 250) {
      await clock.advance(250);
      await settle();
    }
  };
  const told = (number: number): readonly Told[] =>
    watches[number - 1]!.watch.findings().map(({ code, subject }) => ({ code, subject }));
  return { lab, watches, pass, told, end: () => ending.abort() };
}

describe('paths between hosts', () => {
  it('are known soon, with few packets from then on', async () => {
    const { lab, watches, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    expect(watches[0]!.watch.status(nodeOf(2))).toMatchObject({ state: 'passes', mtu: 1_450 });
    expect(told(1)).toEqual([]);
    lab.asked = 0;
    await pass(60_000);
    // Two sizes, asked and answered, by both: six times a minute at most.
    expect(lab.asked).toBeGreaterThan(0);
    expect(lab.asked).toBeLessThanOrEqual(2 * 2 * 2 * 6);
  });

  it('that are closed one way are found by both, each with its direction, within forty seconds', async () => {
    const { lab, watches, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.drops = (from) => from === '10.0.0.1';
    await pass(40_000);
    expect(told(1)).toEqual([{ code: 'data-path-lost', subject: 'h2' }]);
    expect(told(2)).toEqual([{ code: 'data-path-lost', subject: 'h1' }]);
    expect(watches[0]!.watch.findings()[0]?.text).toContain('no packet of this host gets to h2');
    expect(watches[1]!.watch.findings()[0]?.text).toContain('no packet comes from h1');
    const warned = lab.logged.length;
    await pass(10_000);
    expect(lab.logged).toHaveLength(warned);
    lab.drops = () => false;
    await pass(10_000);
    expect(told(1)).toEqual([]);
  });

  it('are told as events when packets get lost and when they get there again, not when nobody looks', async () => {
    const nodes = [nodeOf(1), nodeOf(2)];
    const { lab, pass } = hosts(nodes);
    await pass(3_000);
    lab.drops = (from) => from === '10.0.0.1';
    await pass(40_000);
    const impaired = (member: string) =>
      expect.objectContaining({ event: 'path-impaired', member, code: 'data-path-lost', problem: expect.any(String) });
    expect(lab.logged.toSorted(byMember)).toEqual([impaired('h1'), impaired('h2')]);
    for (const { id } of nodes) lab.unheard.add(id);
    await pass(10_000);
    expect(lab.logged).toHaveLength(2);
    lab.unheard.clear();
    lab.drops = () => false;
    await pass(60_000);
    const restored = (member: string) => ({ event: 'path-restored', member, encrypted: false });
    expect(lab.logged.slice(2).toSorted(byMember)).toEqual([restored('h1'), restored('h2')]);
  });

  it('are told as an event by the time that somebody who looked knows of it', async () => {
    const { lab, watches, pass } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.drops = (from) => from === '10.0.0.1';
    let told: unknown;
    void watches[0]!.watch.examine([nodeOf(2)]).then(() => {
      told = lab.logged.map(({ event, member }) => `${event} ${member}`);
      lab.drops = () => false;
    });
    await pass(20_000);
    expect(told).toEqual(['path-impaired h2']);
  });

  it('are not told as well again when large packets get lost, and then all', async () => {
    const { lab, pass } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.drops = (_from, _to, bytes) => bytes > 1_250 - 28;
    await pass(90_000);
    lab.drops = () => true;
    await pass(60_000);
    const codes = lab.logged.flatMap(({ member, code, event }) => (member === 'h2' ? [code ?? event] : []));
    expect(codes).toEqual(['path-mtu', 'data-path-lost']);
  });

  it('to members that have gone are forgotten', async () => {
    const nodes = [nodeOf(1), nodeOf(2)];
    const { watches, pass } = hosts(nodes);
    await pass(3_000);
    const { watch } = watches[0]!;
    const [gone] = nodes.splice(1);
    await pass(2_000);
    // Back, and not asked yet.
    nodes.push(gone!);
    expect([watch.skipped(gone!), watch.status(gone!)]).toEqual([undefined, undefined]);
  });

  it('that are known as lost are examined with one packet of each size', async () => {
    const { lab, watches, pass } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.drops = () => true;
    const { watch } = watches[0]!;
    const ended = { count: 0 };
    const examine = () => void watch.examine([nodeOf(2)]).then(() => (ended.count += 1));
    examine();
    await pass(3_000);
    // Four times two seconds, of one that is not known yet.
    expect(ended.count).toBe(0);
    await pass(60_000);
    expect([ended.count, watch.status(nodeOf(2))?.state]).toEqual([1, 'lost']);
    examine();
    await pass(3_000);
    expect(ended.count).toBe(2);
    lab.drops = () => false;
    examine();
    await pass(1_000);
    expect([ended.count, watch.status(nodeOf(2))?.state]).toEqual([3, 'passes']);
  });

  it('that are narrow are found with what passes', async () => {
    const { lab, watches, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.drops = (_from, _to, bytes) => bytes > 1_250 - 28;
    await pass(90_000);
    expect(told(1)).toEqual([{ code: 'path-mtu', subject: 'h2' }]);
    expect(watches[0]!.watch.status(nodeOf(2))?.mtu).toBeLessThanOrEqual(1_250);
    expect(watches[0]!.watch.status(nodeOf(2))?.mtu).toBeGreaterThan(1_240);
  });

  it('that are narrow are no problem where all networks were made for them', async () => {
    const encrypted = { id: 'e', options: { encrypted: 'true' } };
    const networks = [{ id: 'a', options: { mtu: '800' } }, encrypted];
    const { lab, pass, told } = hosts([nodeOf(1), nodeOf(2)], networks);
    lab.drops = (_from, _to, bytes) => bytes > 900 - 28;
    await pass(90_000);
    expect(told(1)).toEqual([]);
    expect(lab.logged).toEqual([]);
    networks.push({ id: 'b', options: { mtu: '1300' } });
    expect(told(1)).toEqual([{ code: 'path-mtu', subject: 'h2' }]);
  });

  it('to members that do not answer, are not heard, behind NAT or of another family are left alone, with why', async () => {
    const old = nodeOf(2);
    const other = nodeOf(5, { vtep: 'fd00::5' });
    const { lab, watches, pass } = hosts([nodeOf(1), old, nodeOf(3), nodeOf(4, { nat: true }), other]);
    lab.unheard.add(nodeOf(3).id);
    lab.old.add(old.id);
    await pass(3_000);
    const { watch } = watches[0]!;
    expect(watch.skipped(old)).toMatch(/does not answer/);
    expect(watch.skipped(nodeOf(3))).toMatch(/not heard/);
    expect(watch.skipped(nodeOf(4, { nat: true }))).toMatch(/NAT/);
    expect(watch.skipped(other)).toMatch(/IPv6/);
    await watch.examine([other]);
    expect([old, nodeOf(3), other].map((node) => watch.status(node))).toEqual([undefined, undefined, undefined]);
  });

  it('are not looked at where all networks are encrypted', async () => {
    const encrypted = hosts([nodeOf(1), nodeOf(2)], [{ vni: 4_096, options: { encrypted: 'true' } }]);
    await encrypted.pass(3_000);
    expect(encrypted.lab.asked).toBe(0);
  });

  it('of many members are looked at in turn, so many packets a second at most', async () => {
    const nodes = Array.from({ length: 60 }, (_, at) => nodeOf(at + 1, { id: (at + 10).toString().repeat(16) }));
    const { watches, pass, told } = hosts(nodes.map((node, at) => ({ ...node, vtep: `10.0.1.${at}` })));
    await pass(12_000);
    const { watch } = watches[0]!;
    expect(nodes.slice(1).filter((node) => watch.status(node)?.state === 'passes')).toHaveLength(59);
    expect(told(1)).toEqual([]);
  });

  it('are tried again where the kernel refuses, which is told once', async () => {
    const { lab, watches, pass } = hosts([nodeOf(1)]);
    lab.refuses = true;
    await pass(25_000);
    expect(watches[0]!.watch.isOpen).toBe(false);
    expect(lab.logged).toHaveLength(1);
    lab.refuses = false;
    await pass(11_000);
    expect(watches[0]!.watch.isOpen).toBe(true);
  });

  it('on which checksums are wrong are told until a while after', async () => {
    const { lab, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.checksumErrors = { inside: 5, outside: 5 };
    await pass(4_000);
    expect(told(1)).toEqual([{ code: 'checksum-broken', subject: '' }]);
    await pass(200_000);
    expect(told(1)).toEqual([]);
  });

  it('on which checksums are wrong are told at once where somebody has them examined', async () => {
    const { lab, watches, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(6_000);
    lab.checksumErrors = { inside: 5, outside: 5 };
    void watches[0]!.watch.examine([nodeOf(2)]);
    await pass(200);
    expect(told(1)).toEqual([{ code: 'checksum-broken', subject: '' }]);
  });

  it('on which packets get lost while the host drops some for their checksum are suspected of that', async () => {
    const { lab, watches, pass, told } = hosts([nodeOf(1), nodeOf(2)]);
    await pass(3_000);
    lab.checksumErrors = { inside: 0, outside: 50 };
    await pass(20_000);
    // They may be anybody's.
    expect(told(1)).toEqual([]);
    lab.drops = () => true;
    await pass(60_000);
    expect(watches[0]!.watch.findings()).toMatchObject([
      { code: 'data-path-lost', certain: true },
      { code: 'checksum-broken', certain: false },
    ]);
  });
});

describe('paths of encrypted networks', () => {
  const key = (number: number) => ({
    wireguard: { backend: 'kernel', keys: [{ publicKey: `k${number}`, number, port: 51_841 }] } as never,
  });
  const nodes = [nodeOf(1, key(1)), nodeOf(2, { ...key(2), nat: true }), nodeOf(3)];
  const encrypted = [{ id: 'e', vni: 4_096, options: { encrypted: 'true' } }];

  it('go by the tunnels to all that offer a key, behind NAT too', async () => {
    const { lab, watches, pass } = hosts(nodes, encrypted, 'wireguard');
    await pass(3_000);
    const { watch } = watches[0]!;
    expect(watch.status(nodes[1]!)).toMatchObject({ state: 'passes', mtu: 1_386 });
    expect(watch.skipped(nodes[2]!)).toMatch(/no key/);
    const rows = lab.ops.flatMap(({ op }) => (op.kind === 'set-fdb' && op.at === 'overlayd-path-wg' ? [op.row] : []));
    expect(rows).toContainEqual(expect.objectContaining({ vtep: '198.18.0.2', port: 4_789 }));
  });

  it('are told apart behind NATs where all have the same address', async () => {
    const same = [1, 2, 3].map((number) => nodeOf(number, { ...key(number), nat: true, vtep: '192.168.1.2' }));
    const { watches, pass, told } = hosts(same, encrypted, 'wireguard');
    await pass(60_000);
    expect(same.slice(1).map((node) => watches[0]!.watch.status(node)?.state)).toEqual(['passes', 'passes']);
    expect(told(1)).toEqual([]);
  });

  it('are named as that when they are lost', async () => {
    const { lab, watches, pass, told } = hosts(nodes, encrypted, 'wireguard');
    await pass(3_000);
    lab.drops = () => true;
    await pass(60_000);
    expect(told(1)).toEqual([{ code: 'data-path-lost', subject: 'h2' }]);
    expect(watches[0]!.watch.findings()[0]!.text).toMatch(
      /VXLAN within WireGuard, 51841\/udp.*containers of encrypted/,
    );
  });

  it('are not looked at where no network is encrypted, or WireGuard does not run here', async () => {
    const plain = hosts(nodes, [{ id: 'p', options: {} }], 'wireguard');
    await plain.pass(3_000);
    expect(plain.lab.asked).toBe(0);
    const without = hosts(nodes, encrypted, 'wireguard');
    without.lab.place = undefined;
    await without.pass(3_000);
    without.lab.asked = 0;
    await without.pass(60_000);
    expect([without.lab.asked, without.watches[0]!.watch.skipped(nodes[1]!)]).toEqual([
      ...[0, 'WireGuard does not run on this host'],
    ]);
  });

  it("are made anew with WireGuard's devices", async () => {
    const { lab, pass } = hosts(nodes.slice(0, 1), encrypted, 'wireguard');
    await pass(3_000);
    expect(lab.opened).toBe(1);
    lab.place = '1';
    await pass(2_000);
    expect(lab.opened).toBe(2);
  });
});
