import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createForwarder, type ForwarderOptions } from '../../../../src/adapters/dns/forwarder.ts';
import { addressesIn, question, read } from '../../core/dns/messages.ts';
import { type Behaviour, startUpstream, type Upstream } from './upstream.ts';

const open: Upstream[] = [];
afterEach(() => {
  for (const upstream of open.splice(0)) upstream.close();
});

/** Servers 127.0.0.2, 127.0.0.3, … on one port, and a forwarder that knows them in this order. */
async function setUp(behaviours: readonly Behaviour[], options: ForwarderOptions = {}) {
  const upstreams: Upstream[] = [];
  for (const behaviour of behaviours) {
    const upstream = await startUpstream(`127.0.0.${upstreams.length + 2}`, behaviour, upstreams[0]?.port);
    upstreams.push(upstream);
    open.push(upstream);
  }
  const port = upstreams[0]!.port;
  const servers = upstreams.map(({ address }) => address);
  const { ask } = createForwarder({ servers: () => servers }, { port, ...options });
  return { upstreams, ask: () => ask(question('a.example', 'A', { id: 0 })) };
}

function reply(query: Buffer, data: string, change: (bytes: Buffer) => void = () => undefined): Buffer {
  const { id, questions } = dnsPacket.decode(query);
  const answer = dnsPacket.encode({
    type: 'response',
    id: id ?? 0,
    questions: questions ?? [],
    answers: [{ name: 'a.example', type: 'A', ttl: 60, data }],
  });
  change(answer);
  return answer;
}

const good = (data: string): Behaviour => ({ udp: (query) => [reply(query, data)] });
const silent: Behaviour = { udp: () => [] };
const failing: Behaviour = { udp: (query) => [reply(query, '192.0.2.9', (bytes) => bytes.writeUInt16BE(0x8182, 2))] };
const wrongId = (bytes: Buffer) => bytes.writeUInt16BE(bytes.readUInt16BE(0) ^ 1, 0);
const truncated = (bytes: Buffer) => bytes.writeUInt16BE(0x8380, 2);
/** Far above what a working path takes: a test that needs it hangs instead of passing late. */
const patient = { budgetMs: 600_000, tryMs: 300_000 };

describe('the forwarder', () => {
  it('gives the answer of the first server, with an id of its own each time', async () => {
    const ids = new Set<number>();
    const noting: Behaviour = { udp: (query) => [ids.add(query.readUInt16BE(0)) && reply(query, '192.0.2.1')] };
    const { ask, upstreams } = await setUp([noting, good('192.0.2.2')], patient);
    for (let i = 0; i < 8; i++) expect(addressesIn(read(await ask()))).toEqual(['192.0.2.1']);
    expect(ids.size).toBeGreaterThan(1);
    expect(upstreams[1]!.udp).toBe(0);
  });

  it('asks the next server when one is silent, and begins with the one that answered', async () => {
    const { ask, upstreams } = await setUp([silent, good('192.0.2.2')], { budgetMs: 60_000, tryMs: 20 });
    expect(addressesIn(read(await ask()))).toEqual(['192.0.2.2']);
    const before = upstreams[0]!.udp;
    expect(addressesIn(read(await ask()))).toEqual(['192.0.2.2']);
    expect(upstreams[0]!.udp).toBe(before);
  });

  it('asks the next server at once when one fails', async () => {
    const { ask } = await setUp([failing, good('192.0.2.2')], patient);
    expect(addressesIn(read(await ask()))).toEqual(['192.0.2.2']);
  });

  it('fails at once when all do', async () => {
    const { ask } = await setUp([failing, failing], patient);
    expect(read(await ask()).rcode).toBe('SERVFAIL');
    // nothing listens on UDP at the second: the kernel says so
    const closed = await setUp([{ tcp: (query) => reply(query, '192.0.2.1') }], patient);
    expect(await closed.ask()).toBeUndefined();
    const none = createForwarder({ servers: () => [] }, patient);
    expect(await none.ask(question('a.example'))).toBeUndefined();
  });

  it('gives up when the budget ends', async () => {
    const { ask, upstreams } = await setUp([silent], { budgetMs: 100, tryMs: 30 });
    expect(await ask()).toBeUndefined();
    expect(upstreams[0]!.udp).toBeGreaterThan(0);
  });

  it('fetches a cut answer by TCP', async () => {
    const behaviour: Behaviour = {
      udp: (query) => [reply(query, '192.0.2.1', truncated)],
      tcp: (query) => reply(query, '192.0.2.2'),
    };
    const { ask } = await setUp([behaviour], patient);
    expect(addressesIn(read(await ask()))).toEqual(['192.0.2.2']);
  });

  it('hands a cut answer on when there is no TCP', async () => {
    const { ask } = await setUp([{ udp: (query) => [reply(query, '192.0.2.1', truncated)] }], patient);
    expect(read(await ask()).flag_tc).toBe(true);
  });

  it('turns to TCP when the first thing that comes is not the answer', async () => {
    const guessed: Behaviour = {
      udp: (query) => [reply(query, '203.0.113.6', wrongId), reply(query, '203.0.113.6')],
      tcp: (query) => reply(query, '192.0.2.1'),
    };
    const { ask, upstreams } = await setUp([guessed], patient);
    expect(addressesIn(read(await ask()))).toEqual(['192.0.2.1']);
    expect(upstreams[0]!.tcp).toBe(1);
  });

  it('believes no wrong answer by TCP either', async () => {
    const wrong: Behaviour = {
      udp: (query) => [reply(query, '203.0.113.6', wrongId)],
      tcp: (query) => reply(query, '203.0.113.6', wrongId),
    };
    const { ask } = await setUp([wrong], patient);
    expect(await ask()).toBeUndefined();
  });
});
