import { describe, expect, it } from 'vitest';
import {
  createWaiting,
  encodeUpstreamQuery,
  fitReply,
  formatQuestionKey,
  judgeReply,
  planTries,
} from '../../../../src/core/dns/forward.ts';
import { decodeQuery, type Query } from '../../../../src/core/dns/wire.ts';
import { edns, question, read } from './messages.ts';

const query = (...args: Parameters<typeof question>): Query => {
  const decoded = decodeQuery(question(...args));
  if (decoded?.kind !== 'query') throw new Error('not a question');
  return decoded;
};
const response = (name: string, count = 1, id = 0x1234) =>
  question(name, 'A', {
    type: 'response',
    id,
    answers: Array.from({ length: count }, (_, i) => ({ name, type: 'A', ttl: 60, data: `192.0.2.${i & 255}` })),
  });

describe('the question sent on', () => {
  it('is the client’s without the rest of its message', () => {
    const [opt] = edns(4096).additionals!;
    const tsig = { type: 'TXT', name: 'secret.example', data: 'x' } as const;
    const sent = decodeQuery(encodeUpstreamQuery(query('a.Example', 'A', { additionals: [opt!, tsig] })));
    expect(sent).toMatchObject({ name: 'a.example', edns: { udpBytes: 1232, version: 0, dnssecOk: false } });
    expect(encodeUpstreamQuery(query('a.example')).length).toBe(12 + 11 + 4);
  });

  it('is merged only with one that the same reply serves', () => {
    const errand = (networkIds: readonly string[], ...upstreams: readonly string[]) => ({ networkIds, upstreams });
    const both = errand(['n1', 'n2']);
    const key = formatQuestionKey(query('a.example'), both);
    expect(formatQuestionKey(query('A.EXAMPLE', 'A', { id: 9 }), errand(['n2', 'n1']))).toBe(key);
    for (const other of [
      formatQuestionKey(query('b.example'), both),
      formatQuestionKey(query('a.example', 'AAAA'), both),
      formatQuestionKey(query('a.example', 'A', edns(1232)), both),
      formatQuestionKey(query('a.example', 'A', { flags: 0 }), both),
      formatQuestionKey(query('a.example'), errand(['n1'])),
      formatQuestionKey(query('a.example'), errand(['n1', 'n2'], '192.0.2.53')),
    ]) {
      expect(other).not.toBe(key);
    }
  });
});

describe('a reply', () => {
  const mine = question('a.example');
  it('is believed only when it answers this question', () => {
    expect(judgeReply(mine, response('a.example'))).toBe('answer');
    expect(judgeReply(mine, response('A.Example'))).toBe('answer');
    expect(judgeReply(mine, response('a.example', 1, 0x1235))).toBe('foreign');
    expect(judgeReply(mine, response('b.example'))).toBe('foreign');
    expect(judgeReply(mine, question('a.example', 'AAAA', { type: 'response' }))).toBe('foreign');
    expect(judgeReply(mine, mine)).toBe('foreign');
    expect(judgeReply(mine, response('a.example').slice(0, 20))).toBe('foreign');
  });

  it.each([
    [3, 'answer'],
    [1, 'answer'],
    [2, 'unwilling'],
    [4, 'unwilling'],
    [5, 'unwilling'],
  ])('with code %i is taken as %s', (code, verdict) => {
    const reply = response('a.example', 0);
    reply[3] = code;
    expect(judgeReply(mine, reply)).toBe(verdict);
  });

  it('that is cut asks for TCP', () => {
    const reply = response('a.example');
    reply[2]! |= 2;
    expect(judgeReply(mine, reply)).toBe('truncated');
  });

  it('reaches each client with its own id and case', () => {
    const reply = read(fitReply(query('A.exAMPle', 'A', { id: 77 }), response('a.example'), 'udp'));
    expect(reply).toMatchObject({ id: 77, questions: [{ name: 'A.exAMPle' }], answers: [{ data: '192.0.2.0' }] });
  });

  it('too big for the client becomes a bare TC, and goes whole by TCP', () => {
    const big = response('a.example', 100);
    expect(read(fitReply(query('a.example'), big, 'udp'))).toMatchObject({
      flag_tc: true,
      flag_aa: false,
      answers: [],
    });
    expect(read(fitReply(query('a.example'), big, 'tcp')).answers).toHaveLength(100);
  });

  it('that never came is SERVFAIL', () => {
    expect(read(fitReply(query('a.example'), undefined, 'udp'))).toMatchObject({ rcode: 'SERVFAIL', flag_aa: false });
  });
});

describe('the order of servers', () => {
  const options = { budgetMs: 2800, tryMs: 900 };
  it('asks each once, then round again within the budget', () => {
    expect(planTries(['a'], undefined, options).map(({ afterMs }) => afterMs)).toEqual([0, 900, 1800]);
    expect(planTries(['a', 'b'], undefined, options).map(({ server }) => server)).toEqual(['a', 'b', 'a']);
    expect(planTries(['a', 'b', 'c', 'd'], undefined, options)).toHaveLength(4);
    expect(planTries([], undefined, options)).toEqual([]);
  });

  it('begins with the one that answered last, if it is still listed', () => {
    expect(planTries(['a', 'b'], 'b', options)[0]?.server).toBe('b');
    expect(planTries(['a', 'b'], 'gone', options)[0]?.server).toBe('a');
  });
});

describe('those who wait', () => {
  it('are bounded each and together', () => {
    const waiting = createWaiting({ perClient: 2, total: 3 });
    expect(['a', 'a', 'a', 'b', 'b'].map((client) => waiting.enter(client))).toEqual([true, true, false, true, false]);
    waiting.leave('a');
    expect(waiting.enter('b')).toBe(true);
    for (const client of ['a', 'b', 'b', 'nobody']) waiting.leave(client);
    expect(waiting.size).toBe(0);
  });
});
