import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import type { ResponderStats } from '../../../src/names/responder.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import type { HarnessConfig } from './harness.ts';
import { NamespaceLab, type Program } from './lab.ts';

/**
 * host ── upstream (192.0.2.53), and networks of the host: `web` with its container `member` that is on `db`
 * too, and `db`, which is internal, with `inner`, that is on nothing else; and `corp` of both families, with `branch` and
 * a name server of its own (2001:db8::53, port 5353).
 */
const lab = new NamespaceLab('dns');
let responder: Program;
let upstream: Program;
let directory: string;

const many = Array.from({ length: 400 }, (_, i) => ({
  address: `10.77.${1 + (i >> 8)}.${i & 255}`,
  name: `c${i}`,
  aliases: ['all'],
}));

async function addWeb(): Promise<void> {
  await lab.add('web');
  await lab.cable('web', 'port', '10.77.0.1/16', 'member', 'eth0', '10.77.0.2/16');
  for (let host = 10; host < 20; host++) await lab.ip('member', `addr add 10.77.0.${host}/16 dev eth0`);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dns-'));
  await lab.add('host', 'upstream', 'member', 'db', 'inner');
  await lab.cable('host', 'up0', '192.0.2.1/24', 'upstream', 'eth0', '192.0.2.53/24');
  await lab.cable('db', 'port', '10.78.0.1/24', 'inner', 'eth0', '10.78.0.3/24');
  await addWeb();
  await lab.add('corp', 'branch');
  await lab.cable('corp', 'port', '10.79.0.1/24', 'branch', 'eth0', '10.79.0.2/24');
  for (const [where, address] of [
    ['host', '2001:db8::1/64 dev up0'],
    ['upstream', '2001:db8::53/64 dev eth0'],
    ['corp', 'fd00:79::1/64 dev port'],
    ['branch', 'fd00:79::2/64 dev eth0'],
  ] as const) {
    await lab.ip(where, `addr add ${address} nodad`);
  }
  const rules = `table inet seen {
    counter questions {}
    chain in { type filter hook prerouting priority 0; meta l4proto { tcp, udp } th dport 53 counter name questions; }
    chain gate { type filter hook prerouting priority 1; }
  }`;
  await writeFile(join(directory, 'rules'), rules);
  await lab.run('upstream', 'nft', '-f', join(directory, 'rules'));
  upstream = await lab.start('upstream', 'upstream.ts', '192.0.2.53');
  await lab.start('upstream', 'upstream.ts', '2001:db8::53', '5353', '203.0.113.');
  const config: HarnessConfig = {
    networks: [
      {
        id: 'w',
        name: 'web',
        cidr: '10.77.0.0/16',
        namespacePath: lab.path('web'),
        gateways: ['10.77.0.1'],
        endpoints: [{ address: '10.77.0.2', name: 'member' }, ...many],
      },
      {
        id: 'd',
        name: 'db',
        cidr: '10.78.0.0/24',
        internal: true,
        namespacePath: lab.path('db'),
        gateways: ['10.78.0.1'],
        endpoints: [{ address: '10.78.0.3', name: 'inner' }],
      },
      {
        id: 'c',
        name: 'corp',
        cidr: '10.79.0.0/24',
        cidr6: 'fd00:79::/64',
        options: { dns: '[2001:db8::53]:5353' },
        namespacePath: lab.path('corp'),
        gateways: ['10.79.0.1', 'fd00:79::1'],
        endpoints: [
          { address: '10.79.0.2', name: 'branch' },
          { address: 'fd00:79::2', name: 'branch' },
          { address: 'fd00:79::9', name: 'six' },
        ],
      },
    ],
    onNetworks: { 'c fd00:79::2': ['c', 'd'], 'w 10.77.0.2': ['w', 'd'], 'd 10.78.0.3': ['d'] },
    upstreams: ['192.0.2.53'],
    host: '192.0.2.1',
  };
  responder = await lab.start('host', 'harness.ts', JSON.stringify(config));
});

afterAll(async () => {
  await lab.close();
  await rm(directory, { recursive: true });
});

const GATEWAYS = { member: '10.77.0.1', inner: '10.78.0.1', branch: 'fd00:79::1' } as const;

/** What dig prints for a question from a container: its code, its flags, the data of its answers. */
async function dig(from: keyof typeof GATEWAYS, ...words: readonly string[]) {
  const gateway = GATEWAYS[from];
  const flags = ['+tries=1', '+time=30', '+noall', '+comments', '+answer'];
  const text = await lab.run(from, 'dig', `@${gateway}`, ...flags, ...words);
  const answers = text.split('\n').filter((line) => line !== '' && !line.startsWith(';'));
  return {
    code: /status: (\w+)/.exec(text)?.[1],
    truncated: /flags: [^;]*\btc\b/.test(text),
    data: answers.map((line) => line.split(/\s+/).slice(4).join(' ')),
  };
}

async function questionsSeenUpstream(): Promise<number> {
  const text = await lab.run('upstream', 'nft', 'list', 'counter', 'inet', 'seen', 'questions');
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

const stats = async () => JSON.parse(await responder.ask('stats')) as ResponderStats;

describe('a container asks its gateway', () => {
  it('by UDP and TCP, with and without EDNS', async () => {
    for (const how of [['+notcp'], ['+tcp'], ['+bufsize=4096'], ['+noedns'], ['+nocookie', '+dnssec']]) {
      expect(await dig('member', ...how, 'c7')).toEqual({ code: 'NOERROR', truncated: false, data: ['10.77.1.7'] });
    }
    expect((await dig('member', 'c7', 'AAAA')).data).toEqual([]);
    expect((await dig('member', 'nope')).code).toBe('NXDOMAIN');
  });

  it('for the name of an address', async () => {
    expect((await dig('member', '-x', '10.77.1.7')).data).toEqual(['c7.web.']);
    expect((await dig('member', '-x', '10.77.9.9')).code).toBe('NXDOMAIN');
  });

  it('for names of its other network', async () => {
    expect((await dig('member', 'inner.db')).data).toEqual(['10.78.0.3']);
    expect((await dig('inner', 'member')).code).toBe('NXDOMAIN');
  });

  it('for a name with four hundred addresses', async () => {
    const cut = await dig('member', '+ignore', '+notcp', 'all');
    expect(cut).toMatchObject({ truncated: true });
    expect(cut.data).toHaveLength(75);
    expect((await dig('member', '+ignore', '+notcp', '+noedns', 'all')).data).toHaveLength(30);
    const whole = await dig('member', 'all');
    expect(whole.truncated).toBe(false);
    expect(new Set(whole.data).size).toBe(400);
  });

  it('as the C library does', async () => {
    const file = join(directory, 'resolv.conf');
    await writeFile(file, 'nameserver 10.77.0.1\n');
    const script = `mount --bind ${file} /etc/resolv.conf && getent ahostsv4 all`;
    const found = await lab.run('member', 'unshare', '-m', 'sh', '-c', script);
    expect(new Set(found.split('\n').flatMap((line) => line.split(' ')[0] || [])).size).toBe(400);
  });
});

describe('a gateway of IPv6', () => {
  it.each(['+notcp', '+tcp'])('answers with what the asked type has, and knows the container (%s)', async (how) => {
    expect((await dig('branch', how, 'six', 'AAAA')).data).toEqual(['fd00:79::9']);
    expect(await dig('branch', how, 'six', 'A')).toMatchObject({ code: 'NOERROR', data: [] });
    expect((await dig('branch', how, 'branch', 'A')).data).toEqual(['10.79.0.2']);
    expect((await dig('branch', how, '-x', 'fd00:79::9')).data).toEqual(['six.corp.']);
    expect((await dig('branch', how, '-x', 'fd00:79::8')).code).toBe('NXDOMAIN');
    // Known by its address of IPv6, it is on that network as well.
    expect((await dig('branch', how, 'inner.db')).data).toEqual(['10.78.0.3']);
  });

  it('is as good as one of IPv4, which it leaves to it', async () => {
    const flags = ['+tries=1', '+short'];
    expect((await lab.run('branch', 'dig', '@10.79.0.1', ...flags, 'six', 'AAAA')).trim()).toBe('fd00:79::9');
    const listening = await lab.run('corp', 'ss', '-Hlnu', 'sport = :53');
    expect(listening).toContain('[fd00:79::1]:53');
    expect(listening).not.toContain('*:53');
  });
});

describe('a network with a name server of its own', () => {
  it("asks that one and not the host's", async () => {
    const before = await questionsSeenUpstream();
    for (const how of ['+notcp', '+tcp']) {
      expect((await dig('branch', how, 'www.example')).data).toEqual(['203.0.113.7']);
    }
    expect(await questionsSeenUpstream()).toBe(before);
    expect((await dig('member', 'www.example')).data).toEqual(['198.51.100.7']);
  });
});

describe('names that are not ours', () => {
  it('come from the upstream server, big ones too', async () => {
    expect((await dig('member', 'www.example')).data).toEqual(['198.51.100.7']);
    expect((await dig('member', 'big.example')).data).toHaveLength(120);
    expect((await dig('member', '+noedns', '+ignore', '+notcp', 'big.example')).truncated).toBe(true);
  });

  it('never leave an internal network', async () => {
    const before = await questionsSeenUpstream();
    for (const how of ['+notcp', '+tcp']) {
      expect((await dig('inner', how, 'secret.example')).code).toBe('REFUSED');
      expect((await dig('inner', how, '-x', '8.8.8.8')).code).toBe('REFUSED');
      expect((await dig('inner', how, 'secret')).code).toBe('NXDOMAIN');
    }
    expect((await dig('inner', 'inner')).data).toEqual(['10.78.0.3']);
    expect(await questionsSeenUpstream()).toBe(before);
  });

  it('and names that are ours never leave any network', async () => {
    const before = await questionsSeenUpstream();
    for (const question of [['c7', 'MX'], ['c7.web', 'AAAA'], ['gone'], ['gone.web'], ['_http._tcp.c7', 'SRV']]) {
      await dig('member', ...question);
    }
    await dig('member', '-x', '10.77.9.9');
    expect(await questionsSeenUpstream()).toBe(before);
  });

  it('get SERVFAIL when the upstream server is dead, while ours are answered', async () => {
    await lab.run('upstream', 'nft', 'add', 'rule', 'inet', 'seen', 'gate', 'drop');
    const [foreign, own] = await Promise.all([dig('member', 'www.example'), dig('member', 'c7')]);
    expect(foreign.code).toBe('SERVFAIL');
    expect(own.data).toEqual(['10.77.1.7']);
    await lab.run('upstream', 'nft', 'flush', 'chain', 'inet', 'seen', 'gate');
    expect((await dig('member', 'www.example')).data).toEqual(['198.51.100.7']);
    await upstream.stop();
    expect((await dig('member', 'www.example')).code).toBe('SERVFAIL');
    upstream = await lab.start('upstream', 'upstream.ts', '192.0.2.53');
  });
});

describe('the host itself', () => {
  it('forwards for whoever asks it, in its own namespace', async () => {
    const ask = (...words: readonly string[]) => lab.run('upstream', 'dig', '@192.0.2.1', '+tries=1', ...words);
    for (const how of ['+notcp', '+tcp']) {
      expect((await ask(how, '+short', 'www.example')).trim()).toBe('198.51.100.7');
      expect(await ask(how, 'c7.web.overlayd.internal')).toContain('status: NXDOMAIN');
    }
  });
});

describe('the sockets', () => {
  it('answer UDP while a thousand TCP connections say nothing', async () => {
    const sources = Array.from({ length: 10 }, (_, i) => `10.77.0.${10 + i}`);
    const stall = await lab.start('member', 'stall.ts', '10.77.0.1', '1000', ...sources);
    for (let i = 0; i < 20; i++) expect((await dig('member', '+notcp', `c${i}`)).data).toHaveLength(1);
    await stall.stop();
    await expect.poll(async () => (await dig('member', '+tcp', 'c7').catch(() => undefined))?.data).toHaveLength(1);
  });

  it('ignore whoever is not on the network', async () => {
    await lab.ip('member', 'addr add 203.0.113.9/32 dev lo');
    await lab.ip('web', 'route add 203.0.113.9/32 via 10.77.0.2');
    const before = (await stats()).dropped;
    await expect(dig('member', '-b', '203.0.113.9', '+time=1', 'c7')).rejects.toThrow();
    expect((await stats()).dropped).toBeGreaterThan(before);
  });

  it('are bound anew in a namespace made again', async () => {
    await lab.remove('web');
    await lab.ip('member', 'link del eth0').catch(() => undefined);
    await addWeb();
    await stats();
    expect((await dig('member', 'c7')).data).toEqual(['10.77.1.7']);
    expect((await dig('member', '+tcp', 'c7')).data).toEqual(['10.77.1.7']);
  });

  it('are refused with the cause when the address or the namespace is not there', async () => {
    const silent = () => undefined;
    const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent, child: () => logger };
    const listeners = new SocketListeners({ handler: silent, logger });
    const ensure = (namespacePath: string) =>
      listeners.ensure({ networkId: 'x', namespacePath, addresses: ['10.99.0.1'] });
    const refusal = { code: 'data-path-failed', retryable: true };
    await expect(ensure(lab.path('upstream'))).rejects.toMatchObject({
      ...refusal,
      message: expect.stringContaining('EADDRNOTAVAIL'),
    });
    await expect(ensure(lab.path('nowhere'))).rejects.toMatchObject(refusal);
    await listeners.close('x');
  });
});
