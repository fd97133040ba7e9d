import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import dnsPacket from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { createForwarder, type ForwarderOptions } from '../../../../src/adapters/dns/forwarder.ts';
import { addressesIn, question, read } from '../../core/dns/messages.ts';
import { type Behaviour, startUpstream, type Upstream } from './upstream.ts';

const run = promisify(execFile);
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
  return { upstreams, ask: (name = 'a.example') => ask(question(name, 'A', { id: 0 }), []) };
}

function reply(query: Buffer, data: string, change: (bytes: Buffer) => void = () => undefined): Buffer {
  const { id, questions } = dnsPacket.decode(query);
  const answer = dnsPacket.encode({
    type: 'response',
    id: id ?? 0,
    questions: questions ?? [],
    answers: [{ name: questions?.[0]?.name ?? '', type: 'A', ttl: 60, data }],
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
    // One that is late once counts as silent too, and is not what is asked first the next time.
    for (let asked: number | undefined; asked !== upstreams[0]!.udp; ) {
      asked = upstreams[0]!.udp;
      expect(addressesIn(read(await ask()))).toEqual(['192.0.2.2']);
    }
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
    expect(await none.ask(question('a.example'), [])).toBeUndefined();
  });

  it("asks the servers that are given instead of the host's, at their ports, and never itself", async () => {
    const { upstreams } = await setUp([good('192.0.2.2'), silent], patient);
    const [mine, silentOne] = upstreams as [Upstream, Upstream];
    const six = await startUpstream('::1', good('192.0.2.6'));
    open.push(six);
    const isOwn = (address: string) => address === silentOne.address;
    const forwarder = createForwarder({ servers: () => [silentOne.address], isOwn }, patient);
    const ask = async (...servers: readonly string[]) =>
      addressesIn(read(await forwarder.ask(question('a.example', 'A', { id: 0 }), servers)));
    expect(await ask(`${silentOne.address}:${silentOne.port}`, `${mine.address}:${mine.port}`)).toEqual(['192.0.2.2']);
    expect(await ask(`[::1]:${six.port}`)).toEqual(['192.0.2.6']);
    expect(silentOne.udp).toBe(0);
    expect(await forwarder.ask(question('a.example'), [])).toBeUndefined();
  });

  it('gives up when the budget ends', async () => {
    const { ask, upstreams } = await setUp([silent], { budgetMs: 100, tryMs: 30 });
    expect(await ask()).toBeUndefined();
    await expect.poll(() => upstreams[0]!.udp).toBeGreaterThan(0);
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

describe('the sockets to upstream servers', () => {
  /** Answers, and notes from which port it was asked with which id. */
  function noted() {
    const seen: { port: number; id: number }[] = [];
    const behaviour: Behaviour = {
      udp: (query, port) => {
        seen.push({ port, id: query.readUInt16BE(0) });
        return [reply(query, '192.0.2.1')];
      },
    };
    return { seen, behaviour, ports: () => seen.map(({ port }) => port) };
  }
  const one = { sockets: 1, questionsPerSocket: 100_000, socketLifeMs: 600_000 };

  it('serve so many questions and no more', async () => {
    const { behaviour, ports } = noted();
    const { ask } = await setUp([behaviour], { ...patient, sockets: { ...one, questionsPerSocket: 4 } });
    for (let i = 0; i < 16; i++) await ask();
    const runs = [0, 4, 8, 12].map((start) => new Set(ports().slice(start, start + 4)));
    expect(runs.map(({ size }) => size)).toEqual([1, 1, 1, 1]);
    expect(new Set(ports()).size).toBeGreaterThan(1);
  });

  it('serve so long and no longer', async () => {
    const { behaviour, ports } = noted();
    const { ask } = await setUp([behaviour], { ...patient, sockets: { ...one, socketLifeMs: 20 } });
    while (new Set(ports()).size < 2) await ask();
  });

  it('are taken by chance', async () => {
    const { behaviour, ports } = noted();
    const { ask } = await setUp([behaviour], { ...patient, sockets: { ...one, sockets: 4 } });
    while (new Set(ports()).size < 4) await ask();
    const changes = ports().filter((port, i) => port !== ports()[i - 1]);
    while (changes.length < 8) {
      await ask();
      if (ports().at(-1) !== changes.at(-1)) changes.push(ports().at(-1)!);
    }
    expect(new Set(ports()).size).toBe(4);
  });

  it('have no id twice', async () => {
    const { behaviour, seen } = noted();
    const { ask } = await setUp([behaviour], { ...patient, sockets: one });
    for (let i = 0; i < 2_000; i++) await ask();
    expect(new Set(seen.map(({ port }) => port)).size).toBe(1);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(2_000);
  });

  it('give each of many that wait its own answer', async () => {
    const waiting: Buffer[] = [];
    const inReverse: Behaviour = {
      udp: (query) => {
        waiting.unshift(query);
        const address = (name: string) => `192.0.2.${name.slice(1, name.indexOf('.'))}`;
        return waiting.length < 20
          ? []
          : waiting.map((each) => reply(each, address(dnsPacket.decode(each).questions![0]!.name)));
      },
    };
    const { ask } = await setUp([inReverse], { ...patient, sockets: one });
    const names = Array.from({ length: 20 }, (_, i) => `n${i}.example`);
    const answers = await Promise.all(names.map((name) => ask(name)));
    expect(answers.map((answer) => addressesIn(read(answer)))).toEqual(names.map((_, i) => [`192.0.2.${i}`]));
  });

  it('are given up, with all that wait, for an answer to what was never asked', async () => {
    const queries: Buffer[] = [];
    const ports: number[] = [];
    const stray = (query: Buffer) => reply(query, '203.0.113.6', (bytes) => bytes.writeUInt16BE(unused(queries), 0));
    const guessed: Behaviour = {
      udp: (query, port) => {
        ports.push(port);
        queries.push(query);
        if (queries.length === 2) return [stray(query), ...queries.map((each) => reply(each, '203.0.113.6'))];
        return queries.length > 2 ? [reply(query, '192.0.2.1')] : [];
      },
      tcp: (query) => reply(query, '192.0.2.2'),
    };
    const { ask, upstreams } = await setUp([guessed], { ...patient, sockets: one });
    const answers = await Promise.all([ask('a.example'), ask('b.example')]);
    expect(answers.map((answer) => addressesIn(read(answer)))).toEqual([['192.0.2.2'], ['192.0.2.2']]);
    expect(upstreams[0]!.tcp).toBe(2);
    expect(addressesIn(read(await ask('c.example')))).toEqual(['192.0.2.1']);
    expect(ports[1]).toBe(ports[0]);
    expect(ports[2]).not.toBe(ports[0]);
  });

  it("do not take one question's answer for another's", async () => {
    const queries: Buffer[] = [];
    const crossed: Behaviour = {
      udp: (query) => {
        queries.push(query);
        const [first, second] = queries;
        if (first === undefined || second === undefined) return [];
        return [reply(first, '203.0.113.6', (bytes) => bytes.set(second.subarray(0, 2)))];
      },
      tcp: (query) => reply(query, '192.0.2.2'),
    };
    const { ask } = await setUp([crossed], { ...patient, sockets: one });
    const answers = await Promise.all([ask('a.example'), ask('b.example')]);
    expect(answers.map((answer) => addressesIn(read(answer)))).toEqual([['192.0.2.2'], ['192.0.2.2']]);
  });

  it('ignore an answer that comes once more', async () => {
    let former: Buffer | undefined;
    const again: Behaviour = {
      udp: (query) => {
        const answers = [...(former ? [former] : []), reply(query, '192.0.2.1')];
        former = answers.at(-1);
        return answers;
      },
      tcp: (query) => reply(query, '192.0.2.2'),
    };
    const { ask, upstreams } = await setUp([again], { ...patient, sockets: one });
    for (const name of ['a.example', 'b.example', 'c.example']) {
      expect(addressesIn(read(await ask(name)))).toEqual(['192.0.2.1']);
    }
    expect(upstreams[0]!.tcp).toBe(0);
  });

  it('are not asked again when one stayed silent', async () => {
    const ports: number[] = [];
    const notingSilence: Behaviour = { udp: (_, port) => (ports.push(port) > 0 ? [] : []) };
    const { ask } = await setUp([notingSilence], { budgetMs: 50, tryMs: 25, sockets: one });
    while (new Set(ports).size < 2) expect(await ask()).toBeUndefined();
  });
});

/** An id that none of these has. */
function unused(queries: readonly Buffer[]): number {
  const ids = queries.map((query) => query.readUInt16BE(0));
  return [0, 1, 2].find((id) => !ids.includes(id))!;
}

it('asks again by a socket of its own after one that could not be opened', async () => {
  const program = fileURLToPath(new URL('without-descriptors.ts', import.meta.url));
  const { stdout } = await run('sh', ['-c', 'ulimit -n 64 && exec "$0" "$1"', process.execPath, program]);
  expect(JSON.parse(stdout)).toEqual(['nothing', 'answer']);
});
