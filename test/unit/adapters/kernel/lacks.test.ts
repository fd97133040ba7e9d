/** What is said of a host without this or that: the kernel's part is played. */
import { describe, expect, it, vi } from 'vitest';
import { findLacks, type Ways } from '../../../../src/adapters/kernel/lacks.ts';
import { setBridgePort } from '../../../../src/adapters/netlink/link.ts';
import type { Message, Request } from '../../../../src/adapters/netlink/message.ts';
import { describeLack, type Need } from '../../../../src/core/host-needs.ts';

const WANTED = { ipv6: true };
const refusal = { ok: false, code: 'EOPNOTSUPP', text: 'Unknown device type' } as const;
const has = (request: Request, kind: string) => Buffer.from(request.payload).includes(`${kind}\0`);

/** A host that has all; `without`: a part of a text for nftables, or a kind of link. */
function hostWithout(without: { text?: string; kind?: string; ways?: Partial<Ways> } = {}): Ways {
  return {
    inNewNamespace: (task) => task(),
    rtnetlink(requests, onAnswer) {
      onAnswer(requests.length - 1, portThatIsLocked());
      return requests.map((request) =>
        without.kind !== undefined && has(request, without.kind) ? refusal : { ok: true },
      );
    },
    hearsEverywhere: () => true,
    listConnections: () => undefined,
    hasIpv6: () => true,
    hasLibnftables: () => true,
    nftables(text) {
      const ok = without.text === undefined || !text.includes(without.text);
      return { ok, output: '', errors: ok ? '' : 'Error: Could not process rule: No such file or directory\n^^^' };
    },
    ...without.ways,
  };
}

/** As the kernel answers: requests and answers are made alike. */
function portThatIsLocked(locked = true): Message {
  const flags = {
    ...{ learning: false, flood: false, multicastFlood: false, broadcastFlood: false },
    ...{ locked, hairpin: false, isolated: false, neighbourSuppression: false },
  };
  const { payload } = setBridgePort({ index: 3 }, flags);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  return { view, start: 0, end: payload.length, type: 16, flags: 0, sequence: 0, port: 0 };
}

const fail = (code: string) => () => {
  throw Object.assign(new Error(`refused (${code})`), { code });
};

describe('a host', () => {
  it('that has all lacks nothing, and is asked for its filters once', () => {
    const ways = hostWithout();
    const nftables = vi.spyOn(ways, 'nftables');
    expect(findLacks(WANTED, ways)).toEqual([]);
    expect(nftables).toHaveBeenCalledTimes(1);
  });

  it.each<[Need, Ways, RegExp]>([
    [
      'broadcast',
      hostWithout({ ways: { hearsEverywhere: () => false } }),
      /CAP_NET_BROADCAST.*overlayd\.service again/,
    ],
    ['ipv6', hostWithout({ ways: { hasIpv6: () => false } }), /lacks IPv6.*without ipv6\.disable=1/],
    ['vxlan', hostWithout({ kind: 'vxlan' }), /VXLAN.*modprobe -a vxlan.*Unknown device type/],
    ['bridge', hostWithout({ kind: 'b0' }), /bridges.*modprobe -a bridge/],
    ['veth', hostWithout({ kind: 'veth' }), /veth pairs.*modprobe -a veth/],
    ['libnftables', hostWithout({ ways: { hasLibnftables: () => false } }), /apt-get install libnftables1/],
    ['nftables', hostWithout({ ways: { nftables: fail('EPROTONOSUPPORT') } }), /modprobe -a nf_tables/],
    ['nftables-bridge', hostWithout({ text: 'table bridge' }), /CONFIG_NF_TABLES_BRIDGE/],
    ['limit', hostWithout({ text: 'limit rate' }), /multicast=true.*modprobe -a nft_limit/],
    ['fib', hostWithout({ text: 'fib saddr' }), /nft_fib_inet.*Could not process rule/],
    ['conntrack', hostWithout({ text: 'ct state' }), /nf_conntrack/],
    ['nat', hostWithout({ text: 'masquerade' }), /nft_chain_nat/],
    ['conntrack-netlink', hostWithout({ ways: { listConnections: fail('EINVAL') } }), /nf_conntrack_netlink/],
    ['namespaces', hostWithout({ ways: { inNewNamespace: fail('EINVAL') } }), /CONFIG_NET_NS/],
  ])('without %s says what to do, and that alone', (need, ways, words) => {
    const lacks = findLacks(WANTED, ways);
    expect(lacks.map((lack) => lack.need)).toEqual([need]);
    expect(describeLack(lacks[0]!)).toMatch(words);
  });

  it('whose kernel takes a port for locked and does not lock it lacks that', () => {
    const ways = hostWithout();
    const silent: Ways = {
      ...ways,
      rtnetlink(requests, onAnswer) {
        onAnswer(requests.length - 1, portThatIsLocked(false));
        return requests.map(() => ({ ok: true }));
      },
    };
    expect(findLacks(WANTED, silent).map(describeLack)).toEqual([expect.stringMatching(/locked ports.*Linux 5\.18/)]);
  });

  it('without IPv6 lacks nothing as long as nobody wants it', () => {
    expect(findLacks({ ipv6: false }, hostWithout({ ways: { hasIpv6: () => false } }))).toEqual([]);
  });

  it('that lets nothing be tried is not told to lack anything', () => {
    expect(() => findLacks(WANTED, hostWithout({ ways: { inNewNamespace: fail('EPERM') } }))).toThrow('EPERM');
  });
});
