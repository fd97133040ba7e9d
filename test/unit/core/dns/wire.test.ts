import dnsPacket, { type RecordType } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitReply, judgeReply } from '../../../../src/core/dns/forward.ts';
import { resolve } from '../../../../src/core/dns/resolve.ts';
import { decodeQuery, encodeName, RCODE, replyLimit } from '../../../../src/core/dns/wire.ts';
import { fakeView } from './fake-view.ts';
import { edns, question, read } from './messages.ts';
import { buildZone } from './zone-of.ts';

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,63}$/);
const name = fc
  .array(label, { minLength: 1, maxLength: 12 })
  .map((labels) => labels.join('.'))
  .filter((text) => text.length <= 253);
const type = fc.constantFrom<RecordType>('A', 'AAAA', 'TXT', 'MX', 'SRV', 'PTR', 'NS', 'SOA');

const network = {
  id: 'n1',
  name: 'web',
  cidr: '10.0.1.0/24',
  endpoints: [{ address: '10.0.1.2', name: 'api', aliases: ['backend'] }],
};
const zone = buildZone({ view: fakeView([network]), hidden: () => new Set() }, 'n1', { ttlSeconds: 5 })!;
const asker = { address: '10.0.1.9', transport: 'udp' as const, zones: [zone] as [typeof zone] };
const answer = (message: Uint8Array) => resolve(message, asker, () => 0);

/** A good question with bytes changed, cut off or added. */
const mangled = fc
  .record({
    good: fc.tuple(name, type, fc.boolean()),
    changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
    cut: fc.option(fc.nat(80)),
    tail: fc.uint8Array({ maxLength: 20 }),
  })
  .map(({ good: [text, kind, withEdns], changes, cut, tail }) => {
    const bytes = [...question(text, kind, withEdns ? edns(1232) : {})];
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return Uint8Array.from([...bytes.slice(0, cut ?? bytes.length), ...tail]);
  });

describe('decoding questions', () => {
  it('reads what another codec wrote', () => {
    fc.assert(
      fc.property(name, type, fc.option(fc.integer({ min: 1, max: 65_535 })), (text, kind, udpBytes) => {
        const query = decodeQuery(question(text, kind, udpBytes === null ? {} : edns(udpBytes)));
        expect(query).toMatchObject({ kind: 'query', name: text.toLowerCase(), class: 1 });
        expect(query?.kind === 'query' && query.edns?.udpBytes).toBe(udpBytes ?? undefined);
      }),
    );
  });

  it('survives any bytes, and where it sees a question the other codec sees the same', () => {
    const hostile = fc.oneof(mangled, fc.uint8Array({ maxLength: 600 }));
    fc.assert(
      fc.property(hostile, (message) => {
        const query = decodeQuery(message);
        if (query?.kind !== 'query') return;
        // the other codec also reads inside the records behind the question, which nobody here looks into
        const alone = Buffer.from(message.slice(0, query.questionEnd));
        alone.writeUInt16BE(0, 10);
        const [seen] = dnsPacket.decode(alone).questions ?? [];
        if (!query.name.includes('\\')) expect(query.name).toBe(seen?.name.toLowerCase().replace(/^\.$/, ''));
      }),
      { numRuns: 5000 },
    );
  });

  it('gives every reply to hostile bytes in a form that a client can read, with its id', () => {
    fc.assert(
      fc.property(mangled, (message) => {
        const reply = answer(message);
        if (!(reply instanceof Uint8Array)) return;
        expect(read(reply).id).toBe((message[0]! << 8) | message[1]!);
        expect(reply.length).toBeLessThanOrEqual(1232);
      }),
      { numRuns: 5000 },
    );
  });

  const header = (...counts: number[]) => [0x12, 0x34, 1, 0, ...counts.flatMap((count) => [0, count])];
  it.each([
    ['a pointer to itself', [...header(1, 0, 0, 0), 0xc0, 12, 0, 1, 0, 1]],
    ['a pointer into the header', [...header(1, 0, 0, 0), 0xc0, 0, 0, 1, 0, 1]],
    ['a label type that never was', [...header(1, 0, 0, 0), 0x41, 1, 0, 0, 1, 0, 1]],
    ['a label that runs out of the message', [...header(1, 0, 0, 0), 63, 97]],
    ['a question without its type', [...header(1, 0, 0, 0), 1, 97, 0, 0, 1]],
    ['a name of more than 255 bytes', [...header(1, 0, 0, 0), ...Array(200).fill([1, 97]).flat(), 0, 0, 1, 0, 1]],
    ['no question', header(0, 0, 0, 0)],
    ['two questions', [...header(2, 0, 0, 0), 1, 97, 0, 0, 1, 0, 1, 1, 97, 0, 0, 1, 0, 1]],
    ['an answer', [...header(1, 1, 0, 0), 1, 97, 0, 0, 1, 0, 1]],
    ['fewer additional records than announced', [...header(1, 0, 0, 1), 1, 97, 0, 0, 1, 0, 1]],
    [
      'an additional record longer than the message',
      [...header(1, 0, 0, 1), 0, 0, 1, 0, 1, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 9],
    ],
    ['bytes behind the end', [...header(1, 0, 0, 0), 1, 97, 0, 0, 1, 0, 1, 0]],
    ['OPT asked for', [...header(1, 0, 0, 0), 1, 97, 0, 0, 41, 0, 1]],
  ])('refuses %s', (_what, bytes) => {
    expect(decodeQuery(Uint8Array.from(bytes))).toEqual({ kind: 'malformed', rcode: RCODE.FORMERR });
  });

  it('refuses two OPT records', () => {
    const [opt] = edns(1232).additionals!;
    const message = question('api', 'A', { additionals: [opt!, opt!] });
    expect(decodeQuery(message)).toEqual({ kind: 'malformed', rcode: RCODE.FORMERR });
  });

  it('drops what is too short for a header, and replies', () => {
    expect(decodeQuery(new Uint8Array(11))).toBeUndefined();
    expect(decodeQuery(question('api', 'A', { type: 'response' }))).toBeUndefined();
  });

  it('tells a dot in a label from a dot between labels', () => {
    const message = Uint8Array.from([...header(1, 0, 0, 0), 3, 97, 46, 98, 0, 0, 1, 0, 1]);
    expect(decodeQuery(message)).toMatchObject({ name: 'a\\046b' });
  });
});

/** Not in the package's type definitions. */
const codec = dnsPacket as unknown as { readonly name: { decode(bytes: Buffer): string } };

describe('encoding', () => {
  it('writes names as another codec does, or not at all', () => {
    fc.assert(
      fc.property(fc.oneof(name, fc.string({ maxLength: 300 })), (text) => {
        const bytes = encodeName(text);
        if (bytes !== undefined) expect(codec.name.decode(Buffer.from(bytes))).toBe(text);
      }),
    );
    for (const text of ['', '.', 'a..b', '.a', 'a.', 'x'.repeat(64), 'bücher', 'a b']) {
      expect(encodeName(text)).toBeUndefined();
    }
  });

  it('keeps to 512 bytes without EDNS, to 1,232 with', () => {
    const limit = (message: Uint8Array) => {
      const query = decodeQuery(message);
      return query?.kind === 'query' ? replyLimit(query, 'udp') : undefined;
    };
    expect(limit(question('api'))).toBe(512);
    expect(limit(question('api', 'A', edns(100)))).toBe(512);
    expect(limit(question('api', 'A', edns(1000)))).toBe(1000);
    expect(limit(question('api', 'A', edns(65_535)))).toBe(1232);
  });
});

describe('what an upstream server sent', () => {
  it('is judged and fitted without trusting a byte of it', () => {
    const mine = question('a.example');
    const query = decodeQuery(mine)!;
    fc.assert(
      fc.property(fc.oneof(mangled, fc.uint8Array({ maxLength: 2000 })), (reply) => {
        const verdict = judgeReply(mine, reply);
        expect(['answer', 'truncated', 'unwilling', 'foreign']).toContain(verdict);
        if (verdict !== 'foreign' && query.kind === 'query') {
          expect(fitReply(query, reply, 'udp').length).toBeLessThanOrEqual(512);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
