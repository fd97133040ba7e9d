import { encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeReply, encodeQuestion } from '../../../../src/core/dns/reply.ts';
import { decodeQuery } from '../../../../src/core/dns/wire.ts';

const reply = (parts: Partial<Packet>) =>
  new Uint8Array(encode({ type: 'response', id: 7, questions: [{ type: 'A', name: 'api.web' }], ...parts } as Packet));

describe('a question', () => {
  it('is one that the responder reads', () => {
    expect(decodeQuery(encodeQuestion(7, 'API.web', 'SRV')!)).toMatchObject({
      kind: 'query',
      name: 'api.web',
      type: 33,
    });
  });

  it('is none for a name that cannot be', () => {
    expect(encodeQuestion(7, 'a..b', 'A')).toBeUndefined();
    expect(encodeQuestion(7, `${'x'.repeat(64)}.b`, 'A')).toBeUndefined();
  });
});

describe('a reply', () => {
  it('is its code, and its records as zone files have them', () => {
    const answers = [
      { type: 'A', name: 'api.web', ttl: 5, data: '10.0.0.2' },
      { type: 'AAAA', name: 'api.web', ttl: 70_000, data: 'fd00::2' },
      { type: 'CNAME', name: 'www.web', data: 'api.web' },
      { type: 'PTR', name: '2.0.0.10.in-addr.arpa', data: 'api.web' },
      { type: 'SRV', name: '_http._tcp.api.web', data: { priority: 1, weight: 2, port: 80, target: 'api.web' } },
      { type: 'TXT', name: 'api.web', data: ['a "b"', 'c'] },
    ] as Packet['answers'];
    const decoded = decodeReply(reply({ answers: answers! }))!;
    expect(decoded).toMatchObject({ id: 7, code: 'NOERROR', isCut: false });
    expect(decoded.answers.map(({ type, value }) => [type, value])).toEqual([
      ['A', '10.0.0.2'],
      ['AAAA', 'fd00::2'],
      ['CNAME', 'api.web'],
      ['PTR', 'api.web'],
      ['SRV', '1 2 80 api.web'],
      ['TXT', '"a \\"b\\"" "c"'],
    ]);
    expect(decoded.answers.slice(0, 2).map(({ ttlSeconds }) => ttlSeconds)).toEqual([5, 70_000]);
  });

  it('follows names that point back, and never round', () => {
    const bytes = reply({ answers: [{ type: 'CNAME', name: 'x', data: 'y' }] });
    // The answer's name: a pointer to the question's.
    const pointing = new Uint8Array([...bytes.slice(0, 25), 0xc0, 12, ...bytes.slice(28)]);
    expect(decodeReply(pointing)?.answers).toHaveLength(1);
    const round = new Uint8Array([...bytes.slice(0, 25), 0xc0, 25, ...bytes.slice(28)]);
    expect(decodeReply(round)).toBeUndefined();
  });

  it('has no names that are longer than names are', () => {
    const question = (labels: number) => new Uint8Array([...new Array(labels).fill([1, 0x61]).flat(), 0, 0, 1, 0, 1]);
    const asked = (labels: number) =>
      decodeReply(new Uint8Array([0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question(labels)]));
    expect(asked(127)).toMatchObject({ id: 7, answers: [] });
    expect(asked(128)).toBeUndefined();
  });

  it('is refused without an exception when it is no reply', () => {
    expect(decodeReply(new Uint8Array(3))).toBeUndefined();
    expect(decodeReply(encodeQuestion(7, 'api', 'A')!)).toBeUndefined();
    const whole = reply({ answers: [{ type: 'A', name: 'api.web', ttl: 5, data: '10.0.0.2' }] });
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const broken = whole.slice();
        broken[at] = byte;
        decodeReply(broken);
        decodeReply(whole.slice(0, at));
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeReply(bytes)));
  });
});
