import { describe, expect, it } from 'vitest';
import { parseCidr } from '../../../src/core/cidr.ts';
import type { DnsClient } from '../../../src/names/ports.ts';
import { createResponder, type ResponderOptions } from '../../../src/names/responder.ts';
import { type FakeEndpoint, fakeView } from '../core/dns/fake-view.ts';
import { addressesIn, question, read } from '../core/dns/messages.ts';
import { buildZone } from '../core/dns/zone-of.ts';

function setUp(options: ResponderOptions = {}) {
  const endpoints: FakeEndpoint[] = [{ address: '10.0.1.2', name: 'api', nodeId: 'h1' }];
  const hidden = new Set<string>();
  const more: (PromiseWithResolvers<void> | 'unknown')[] = [];
  const view = fakeView([
    { id: 'w', name: 'web', cidr: '10.0.1.0/24', endpoints },
    { id: 'd', name: 'db', cidr: '10.0.2.0/24', internal: true, endpoints: [{ address: '10.0.2.2', name: 'pg' }] },
    { id: 'c', name: 'corp', cidr: '10.0.3.0/24', options: { dns: '192.0.2.53' }, endpoints: [] },
    { id: 'o', name: 'other', cidr: '10.0.4.0/24', options: { dns: '192.0.2.54:5353,192.0.2.53' }, endpoints: [] },
  ]);
  const onNetworks: Record<string, readonly string[]> = {};
  const asked: { query: Uint8Array; servers: readonly string[]; answer: (reply: Uint8Array | undefined) => void }[] =
    [];
  const askedEngines: [string, Uint8Array][] = [];
  const naming = new Set<string>();
  const responder = createResponder(
    {
      zone: (networkId) => buildZone({ view, hidden: () => hidden }, networkId, { ttlSeconds: 5 }),
      overlay: () => ['10.0.1.0/24', '10.0.2.0/24'].map((cidr) => parseCidr(cidr)!),
      untilMore: () => {
        const last = more.at(-1);
        return last === 'unknown' ? last : last?.promise;
      },
      networksOf: (networkId, address) => onNetworks[`${networkId} ${address}`] ?? [],
      forwarder: { ask: (query, servers) => new Promise((resolve) => asked.push({ query, servers, answer: resolve })) },
      isNaming: (networkId) => naming.has(networkId),
      askEngine: async (key, query) => {
        askedEngines.push([key, query]);
        return response('other');
      },
      random: { next: () => 0 },
    },
    options,
  );
  const client = (address: string, networkId = 'w'): DnsClient => ({ networkId, address, transport: 'udp' });
  const ask = (name: string, from = client('10.0.1.9'), id = 1) => responder.handler(question(name, 'A', { id }), from);
  const now = (name: string, from?: DnsClient) => {
    const reply = ask(name, from);
    if (!(reply instanceof Uint8Array)) throw new Error('not answered at once');
    return read(reply);
  };
  return { endpoints, more, hidden, onNetworks, asked, askedEngines, naming, responder, client, ask, now };
}

const response = (name: string) =>
  question(name, 'A', { type: 'response', answers: [{ name, type: 'A', ttl: 60, data: '192.0.2.7' }] });

describe('the responder', () => {
  it('counts answers by their code, and times those of others until they are there', async () => {
    let now = 0;
    const { ask, asked, client, responder } = setUp({ stopwatch: () => now });
    void ask('api');
    void ask('nope');
    void ask('api', client('10.0.1.9', 'unknown'));
    const pending = ask('www.example.com');
    now += 40;
    asked[0]!.answer(response('www.example.com'));
    await pending;
    const { own, upstream } = responder.answers;
    expect([own.rcodes[0], own.rcodes[3], upstream.rcodes[0]]).toEqual([1, 1, 1]);
    expect([own.seconds.sum, upstream.seconds.sum]).toEqual([0, 0.04]);
  });

  it('answers its own names in the same turn', () => {
    const { now, responder } = setUp();
    expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
    expect(now('nope').rcode).toBe('NXDOMAIN');
    expect(responder.stats()).toMatchObject({ answered: 2, forwarded: 0 });
  });

  it('drops questions from elsewhere and for networks that are not there', () => {
    const { ask, client, responder } = setUp();
    expect(ask('api', client('10.0.2.2'))).toBeUndefined();
    expect(ask('api', client('10.0.1.2', 'gone'))).toBeUndefined();
    expect(responder.stats().dropped).toBe(2);
  });

  it('lets a container ask any of its gateways for the names of all its networks', () => {
    const { now, ask, onNetworks, client } = setUp();
    const member = client('10.0.2.9', 'd');
    expect(now('api', member).rcode).toBe('NXDOMAIN');
    expect(now('a.example', member).rcode).toBe('REFUSED');
    onNetworks['d 10.0.2.9'] = ['w', 'd'];
    expect(addressesIn(now('api', member))).toEqual(['10.0.1.2']);
    expect(ask('a.example', member)).toBeInstanceOf(Promise);
  });
});

describe('inside of a container', () => {
  const inside = (engineKnows: boolean, networkId = 'w'): DnsClient => ({
    ...{ networkId, address: '10.0.1.9', transport: 'udp' },
    inside: { key: 'k', engineKnows },
  });

  it('answers what is ours, and asks its engine what may be known there', async () => {
    const { ask, asked, askedEngines, now } = setUp();
    expect(addressesIn(now('api', inside(true)))).toEqual(['10.0.1.2']);
    for (const name of ['nope', 'www.example', 'nope.own']) expect(ask(name, inside(true))).toBeInstanceOf(Promise);
    for (const name of ['nope.overlayd.internal', '7.1.0.10.in-addr.arpa'])
      expect(now(name, inside(true)).rcode).toBe('NXDOMAIN');
    expect(askedEngines.map(([key]) => key)).toEqual(['k', 'k', 'k']);
    expect(asked).toEqual([]);
  });

  it('answers as at the gateway where its engine knows no more than we do', () => {
    const { ask, asked, askedEngines, now } = setUp();
    expect(now('nope', inside(false)).rcode).toBe('NXDOMAIN');
    expect(ask('www.example', inside(false))).toBeInstanceOf(Promise);
    expect([asked.length, askedEngines.length]).toEqual([1, 0]);
  });

  it('asks the engine too while that knows containers of the network by names that nobody has told yet', async () => {
    const { ask, askedEngines, naming, now, client } = setUp();
    naming.add('w');
    expect(addressesIn(read((await ask('other', inside(false))) as Uint8Array))).toEqual(['192.0.2.7']);
    expect(now('other', client('10.0.1.9')).rcode).toBe('NXDOMAIN');
    naming.clear();
    expect(now('other', inside(false)).rcode).toBe('NXDOMAIN');
    expect(askedEngines).toHaveLength(1);
  });

  it('asks the engine for everything while the network is not known here', () => {
    const { ask, askedEngines } = setUp();
    expect(ask('api', inside(false, 'gone'))).toBeInstanceOf(Promise);
    expect(askedEngines).toHaveLength(1);
  });

  it('gives what one container’s engine says to no other', () => {
    const { ask, askedEngines } = setUp();
    void ask('www.example', inside(true));
    void ask('www.example', inside(true));
    void ask('www.example', { ...inside(true), inside: { key: 'l', engineKnows: true } });
    expect(askedEngines.map(([key]) => key)).toEqual(['k', 'l']);
  });
});

describe('the host itself', () => {
  it('forwards for whoever asks it, and tells nothing of ours', async () => {
    const { ask, asked, now, client, responder } = setUp();
    const container = client('172.17.0.2', '');
    for (const name of ['www.example', 'api', 'api.web']) expect(ask(name, container)).toBeInstanceOf(Promise);
    expect(asked).toHaveLength(3);
    expect(now('api.web.overlayd.internal', container).rcode).toBe('NXDOMAIN');
    expect(responder.stats()).toMatchObject({ answered: 1, forwarded: 3, dropped: 0 });
    for (const { answer } of asked) answer(undefined);
  });

  it('asks for itself what it asks for a network, and limits each client', () => {
    const { ask, asked, now, client } = setUp({ waitingPerClient: 1 });
    void ask('a.example');
    void ask('a.example', client('172.17.0.2', ''));
    expect(asked).toHaveLength(2);
    expect(now('b.example', client('172.17.0.2', '')).rcode).toBe('SERVFAIL');
    expect(ask('b.example', client('172.17.0.3', ''))).toBeInstanceOf(Promise);
  });
});

describe('questions for upstream servers', () => {
  it('that are identical are asked once, and everyone gets an own reply', async () => {
    const { ask, asked, client, responder } = setUp();
    const replies = [
      ask('a.example', client('10.0.1.8'), 11),
      ask('A.example', client('10.0.1.9'), 12),
      ask('b.example', client('10.0.1.9'), 13),
    ];
    expect(asked).toHaveLength(2);
    asked[0]!.answer(response('a.example'));
    asked[1]!.answer(undefined);
    const [one, two, three] = (await Promise.all(replies)).map(read);
    expect(one).toMatchObject({ id: 11, questions: [{ name: 'a.example' }], answers: [{ data: '192.0.2.7' }] });
    expect(two).toMatchObject({ id: 12, questions: [{ name: 'A.example' }], answers: [{ data: '192.0.2.7' }] });
    expect(three).toMatchObject({ id: 13, rcode: 'SERVFAIL' });
    expect(responder.stats()).toMatchObject({ forwarded: 3, merged: 1, failed: 1, waiting: 0 });
  });

  it('are asked again once the reply has come, and apart for other networks', async () => {
    const { ask, asked, client, onNetworks } = setUp();
    onNetworks['w 10.0.1.8'] = ['w', 'd'];
    const first = ask('a.example');
    void ask('a.example', client('10.0.1.8'));
    expect(asked).toHaveLength(2);
    asked[0]!.answer(response('a.example'));
    await first;
    void ask('a.example');
    expect(asked).toHaveLength(3);
  });

  it("go to the network's own servers, those of the asked one first, and are not merged across them", () => {
    const { ask, asked, client, onNetworks, now } = setUp();
    onNetworks['w 10.0.1.5'] = ['w', 'd'];
    onNetworks['w 10.0.1.6'] = ['w', 'o', 'c'];
    onNetworks['o 10.0.4.6'] = ['w', 'o', 'c'];
    onNetworks['d 10.0.2.6'] = ['d', 'c'];
    for (const from of [
      client('10.0.3.2', 'c'),
      client('10.0.1.5'),
      client('10.0.1.6'),
      client('10.0.4.6', 'o'),
      client('10.0.2.6', 'd'),
    ]) {
      void ask('a.example', from);
    }
    const [corp, other] = [['192.0.2.53'], ['192.0.2.54:5353', '192.0.2.53']];
    expect(asked.map(({ servers }) => servers)).toEqual([corp, [], corp, other, corp]);
    expect(now('a.example', client('10.0.2.7', 'd')).rcode).toBe('REFUSED');
  });

  it('beyond the limits fail at once, and only for whom it concerns', async () => {
    const { ask, asked, client, now, responder } = setUp({ waitingPerClient: 2, waitingTotal: 3 });
    const waiting = [ask('a.example'), ask('b.example')];
    expect(now('c.example').rcode).toBe('SERVFAIL');
    waiting.push(ask('a.example', client('10.0.1.8')));
    expect(now('a.example', client('10.0.1.7')).rcode).toBe('SERVFAIL');
    expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
    expect(responder.stats()).toMatchObject({ overloaded: 2, waiting: 3 });
    for (const { answer } of asked) answer(undefined);
    await Promise.all(waiting);
    expect(responder.stats().waiting).toBe(0);
    expect(ask('c.example')).toBeInstanceOf(Promise);
  });
});

describe('while more will be known soon', () => {
  it('says what it is sure of, and lets the rest wait until a name is known', async () => {
    const { now, ask, more, endpoints, responder } = setUp();
    more.push(Promise.withResolvers());
    expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
    expect(now('2.1.0.10.in-addr.arpa')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    const waiting = [ask('new'), ask('new.web.overlayd.internal')] as Promise<Uint8Array>[];
    expect(responder.stats()).toMatchObject({ answered: 2, waiting: 2 });
    const first = more[0] as PromiseWithResolvers<void>;
    more.push(Promise.withResolvers());
    first.resolve();
    endpoints.push({ address: '10.0.1.3', name: 'new', nodeId: 'h2' });
    const second = more.splice(0)[1] as PromiseWithResolvers<void>;
    second.resolve();
    const [name, qualified] = (await Promise.all(waiting)).map(read);
    expect(addressesIn(name!)).toEqual(['10.0.1.3']);
    expect(addressesIn(qualified!)).toEqual(['10.0.1.3']);
    expect(responder.stats()).toMatchObject({ waiting: 0, dropped: 0 });
  });

  it('says no when all is known', async () => {
    const { ask, more } = setUp();
    more.push(Promise.withResolvers());
    const waiting = ask('nope') as Promise<Uint8Array>;
    (more.splice(0)[0] as PromiseWithResolvers<void>).resolve();
    expect(read(await waiting).rcode).toBe('NXDOMAIN');
  });

  it('tells upstream servers nothing before', async () => {
    const { ask, more, asked } = setUp();
    more.push(Promise.withResolvers());
    const waiting = ask('db.example.com') as Promise<Uint8Array>;
    expect(asked).toEqual([]);
    (more.splice(0)[0] as PromiseWithResolvers<void>).resolve();
    await expect.poll(() => asked.length).toBe(1);
    asked[0]!.answer(response('db.example.com'));
    expect(addressesIn(read(await waiting))).toEqual(['192.0.2.7']);
  });

  it('says that it does not know when it has been long enough, and asks outside for what is not ours by its name', () => {
    const { now, ask, more, asked, client } = setUp();
    more.push('unknown');
    expect(addressesIn(now('api'))).toEqual(['10.0.1.2']);
    expect(now('nope').rcode).toBe('SERVFAIL');
    expect(now('nope.web.overlayd.internal').rcode).toBe('SERVFAIL');
    expect(now('9.1.0.10.in-addr.arpa').rcode).toBe('SERVFAIL');
    expect(now('db.example.com', client('10.0.2.9', 'd')).rcode).toBe('SERVFAIL');
    expect(asked).toEqual([]);
    expect(ask('db.example.com')).toBeInstanceOf(Promise);
    expect(asked).toHaveLength(1);
  });

  it('lets only so many wait', () => {
    const { ask, more, responder } = setUp({ waitingPerClient: 2 });
    more.push(Promise.withResolvers());
    expect([ask('a'), ask('b'), ask('c')].map((answer) => answer instanceof Promise)).toEqual([true, true, false]);
    expect(responder.stats()).toMatchObject({ waiting: 2, overloaded: 1 });
  });
});
