import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordTable, type TableRecord } from '../../../../src/core/gossip/record-table.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';

const OPTIONS = { shared: ['networkId', 'nodeId'], subject: 'networkId' };

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 0, maxLength: length });
/** What a text may be taken for, and is not: its quotes and numbers anywhere, letters of any kind. */
const words = fc.constantFrom(
  '"',
  ':',
  ',',
  '{',
  '}',
  '\\',
  '\0',
  '"networkId":"',
  '","nodeId":"',
  '17',
  '007',
  'é',
  '→',
  '🙂',
);
const text = fc
  .array(fc.oneof(words, hex(20), fc.string({ maxLength: 5 })), { maxLength: 12 })
  .map((all) => all.join(''));
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value));
const record = fc
  .record({
    id: hex(64),
    networkId: hex(64),
    nodeId: fc.constantFrom('h1', 'h2', ''),
    name: fc.string(),
    more: fc.jsonValue(),
  })
  .map(({ id, networkId, nodeId, name, more }) =>
    encodeRecord({ ...endpointRecord({ networkId, nodeId, name }), id, more }),
  );
const value = fc.option(fc.oneof(text, json, record), { nil: undefined });
const key = fc.oneof(fc.constantFrom('a', 'b', '', '/', 'x/', 'x/y', 'y/x', 'x//y'), hex(9), text);
const change = fc.record({ key, value, revision: fc.integer({ min: 1, max: 2 ** 53 - 1 }), isDeleted: fc.boolean() });

function both(changes: readonly (TableRecord & { readonly isDeleted: boolean })[]) {
  const table = new RecordTable(OPTIONS);
  const map = new Map<string, TableRecord>();
  table.expect(changes.length % 7);
  for (const { key, value, revision, isDeleted } of changes) {
    if (isDeleted) {
      table.delete(key);
      map.delete(key);
      table.expect(map.size + 3);
      table.trim();
    } else {
      expect(table.set({ key, revision, value })).toBe(map.get(key)?.value);
      map.set(key, { key, revision, value });
    }
  }
  return { table, map };
}

const byKey = <T extends { readonly key: string }>(records: Iterable<T>) =>
  new Map([...records].map((each) => [each.key, each]));

describe('a table of records', () => {
  it('holds what a map holds, letter by letter', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const { table, map } = both(changes);
        expect(table.size).toBe(map.size);
        expect(table.tombstones).toBe([...map.values()].filter((entry) => entry.value === undefined).length);
        expect(byKey(table.since(0))).toEqual(map);
        for (const { key } of changes) {
          expect(table.get(key)).toEqual(map.get(key));
          expect(table.revisionOf(key)).toBe(map.get(key)?.revision);
        }
      }),
    );
  });

  it('finds what is new, in order, and what a group has', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.nat(), (changes, nth) => {
        const { table, map } = both(changes);
        const after = changes[nth % (changes.length + 1)]?.revision ?? 0;
        const newer = [...map.values()].filter(({ revision }) => revision > after);
        const found = [...table.since(after)];
        expect(byKey(found)).toEqual(byKey(newer));
        const revisions = newer.map(({ revision }) => revision);
        expect(found.map(({ revision }) => revision)).toEqual(revisions.sort((a, b) => a - b));
        const there = [...map.values()].filter((each) => each.value !== undefined);
        expect([...table.keys()].sort()).toEqual(there.map((each) => each.key).sort());
        const group = there.filter((each) => /^x\/[^/]*$/.test(each.key));
        expect([...table.below('x/')].map((each) => each.key).sort()).toEqual(group.map((each) => each.key).sort());
        expect(table.count('x/')).toBe(group.length);
        expect(table.countAll('x')).toBe(there.filter((each) => /^x.*\//.test(each.key)).length);
      }),
    );
  });

  it('gives what a text is as JSON, without the text', () => {
    const odd = fc.constantFrom(
      ...[
        '{"a":1,"a":2}',
        '{"a":"x","a":"y"}',
        '{"__proto__":"x"}',
        '{"a":-5,"b":1.5e3}',
        '[1,22,"3"]',
        '{ "a" : "b" }',
      ],
      ...['"12"', '12', '""', '{"":""}', '{"a":{"b":[{"c":"d","e":[]}]}}', '{"a":12345678901234567890}'],
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(json, record, odd), { maxLength: 20 }), (texts) => {
        const table = new RecordTable(OPTIONS);
        for (const [i, value] of texts.entries()) table.set({ key: `x/${i}`, revision: 1, value });
        const found = new Map([...table.below('x/')].map(({ key, parse }) => [key, parse()]));
        // The same order of fields too, so that it is written again as it was.
        for (const [i, value] of texts.entries()) {
          expect(found.get(`x/${i}`)).toEqual(JSON.parse(value));
          expect(JSON.stringify(found.get(`x/${i}`))).toBe(JSON.stringify(JSON.parse(value)));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('drops the older half of the tombstones up to a revision', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.nat(), (changes, nth) => {
        const { table, map } = both(changes);
        const upTo = changes[nth % (changes.length + 1)]?.revision ?? 0;
        const dead = [...map.values()].filter(({ revision, value }) => value === undefined && revision <= upTo);
        const dropped = Math.ceil(dead.length / 2);
        const highest = table.dropTombstones(upTo);
        expect(table.size).toBe(map.size - dropped);
        const left = byKey(table.since(0));
        for (const [key, each] of map) if (!dead.includes(each)) expect(left.get(key)).toEqual(each);
        for (const each of dead) if (!left.has(each.key)) expect(each.revision).toBeLessThanOrEqual(highest);
        for (const each of dead) if (left.has(each.key)) expect(each.revision).toBeGreaterThanOrEqual(highest);
      }),
    );
  });

  it('finds all that is about a subject, and never takes a record within a record for it', () => {
    const about = fc.constantFrom('n1', 'n2', 'n1"', '');
    const within = fc.record({ a: fc.constantFrom('b', 'c"'), networkId: about, nodeId: about });
    const entry = fc.record({
      id: hex(12).map((digits) => `e${digits}`),
      before: fc.option(within, { nil: undefined }),
      networkId: about,
      after: within,
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
        const table = new RecordTable(OPTIONS);
        for (const { id, before, networkId, after } of entries) {
          const value = JSON.stringify({ id, before, networkId, after });
          for (const kind of ['kind', 'other']) table.set({ key: `${kind}/h/${id}`, revision: 1, value });
        }
        const last = new Map(entries.map((each) => [`kind/h/${each.id}`, each]));
        for (const subject of ['n1', 'n2', 'n1"', '']) {
          const wanted = [...last].flatMap(([key, each]) => (each.networkId === subject ? [key] : []));
          const found = [...table.about(subject, 'kind/')];
          expect(found.map(({ key }) => key)).toEqual(expect.arrayContaining(wanted));
          expect(found.every(({ key }) => key.startsWith('kind/'))).toBe(true);
          // It may find more only where it cannot tell.
          for (const { key, parse } of found) {
            const { value } = table.get(key)!;
            expect(parse()).toEqual(JSON.parse(value!));
            expect(JSON.parse(value!).networkId === subject || value!.includes('\\')).toBe(true);
          }
        }
      }),
    );
  });

  it('takes a fifth of what its texts are long, and no more after everything was written many times', () => {
    const table = new RecordTable(OPTIONS);
    const digits = (i: number, length: number) => (i * 0x9e3779b1).toString(16).padEnd(length, 'a1b2').slice(0, length);
    let letters = 0;
    const write = (turn: number) => {
      letters = 0;
      for (let i = 0; i < 1_000; i++) {
        const [networkId, nodeId] = [digits(i % 10, 64), digits(i % 7, 32)];
        const ip = `10.0.${i >> 8}.${i & 255}`;
        const endpoint = endpointRecord({
          id: digits(i + 99, 64),
          networkId,
          nodeId,
          address: ip,
          name: `n${i}-${turn}`,
        });
        const texts = [
          [keys.endpoint(endpoint), encodeRecord(endpoint)],
          [keys.address(networkId, ip), encodeRecord({ endpointId: endpoint.id, nodeId })],
        ] as const;
        for (const [key, value] of texts) {
          table.set({ key, revision: turn + 1, value });
          letters += key.length + value.length;
        }
      }
    };
    write(0);
    expect(table.bytes).toBeLessThan(letters / 2.5);
    for (let turn = 1; turn < 20; turn++) write(turn);
    expect(table.size).toBe(2_000);
    expect(table.bytes).toBeLessThan(letters / 2);
    for (const key of table.keys()) table.delete(key);
    expect(table.size).toBe(0);
    write(0);
    expect(table.bytes).toBeLessThan(letters / 2);
  });
});
