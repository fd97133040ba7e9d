import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PREFIX } from '../../../src/core/records.ts';
import { type BackupRecord, formatBackup, parseBackup } from '../../../src/core/store-backup.ts';

const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const header = {
  ...{ clusterId: 'c1', level: 4, epoch: '3-00000000000000e3', revision: 512 },
  ...{ takenAt: 1_700_000_000_000, takenBy: 'h1', version: '0.1.0' },
};
const record = (key: string, value: unknown): BackupRecord => ({
  key: `${PREFIX}${key}`,
  value: typeof value === 'string' ? value : JSON.stringify(value),
});
const RECORDS = [
  record('cluster', { id: 'c1', from: { another: ['version'] } }),
  record('network-names/web', 'n1'),
  record('vnis/4096', 'n1'),
  record('networks/n1', { id: 'n1', name: 'web' }),
];
const text = formatBackup(header, RECORDS, digest);
const lines = text.trimEnd().split('\n');
const altered = (change: (lines: string[]) => void) => {
  const copy = [...lines];
  change(copy);
  return `${copy.join('\n')}\n`;
};

test('a backup is text: a record a line, values as they are read', () => {
  expect(lines).toEqual([
    '{"what":"overlayd store backup","format":1,"clusterId":"c1","level":4,"epoch":"3-00000000000000e3","revision":512,"takenAt":1700000000000,"takenBy":"h1","version":"0.1.0"}',
    '{"key":"cluster","value":{"id":"c1","from":{"another":["version"]}}}',
    '{"key":"network-names/web","text":"n1"}',
    '{"key":"networks/n1","value":{"id":"n1","name":"web"}}',
    '{"key":"vnis/4096","text":"n1"}',
    expect.stringMatching(/^\{"records":4,"sha256":"[0-9a-f]{64}"\}$/),
  ]);
});

test('what was written is read, whatever it is', () => {
  const values = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('{"2":1,"1":2}', '{"__proto__":{}}', '{"a":1e3}'),
  );
  const records = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), values), { selector: ([key]) => key });
  fc.assert(
    fc.property(records, (all) => {
      const written = all.map(([key, value]) => record(`networks/${key}`, value));
      const read = parseBackup(formatBackup(header, written, digest), digest);
      expect(read.header).toEqual(header);
      expect(read.records).toEqual(new Map(written.map(({ key, value }) => [key, value])));
    }),
  );
});

test('what hangs on a lease, and what is about the store itself, is left out', () => {
  const rests = { releasedAt: 1, by: 'h1', clean: true };
  const all = [
    ...[record('live/h1', { nodeId: 'h1' }), record('store/keepers', { nodeIds: ['h1'] }), record('store/gate', {})],
    ...[record('network-acks/n1/h1', '1'), record('quarantine/n1/10.0.0.2', rests)],
    record('quarantine/n1/10.0.0.3', { ...rests, keptFor: { name: 'api', endpointId: 'e1' } }),
    ...[{ key: '/elsewhere', value: '{}' }, record('of-a-newer-version/x', { y: 1 })],
  ];
  const { records } = parseBackup(formatBackup(header, all, digest), digest);
  expect([...records.keys()]).toEqual([`${PREFIX}of-a-newer-version/x`, `${PREFIX}quarantine/n1/10.0.0.3`]);
});

test.each([
  ['nothing', '', 'line 1 does not say'],
  ['something else', '{"what":"else"}\n', 'line 1 does not say'],
  ['a binary', '\u0000\u0001', 'line 1 does not say'],
  ['a newer format', altered((all) => (all[0] = all[0]!.replace('"format":1', '"format":9'))), 'its format is 9'],
  ['a header with less', altered((all) => (all[0] = all[0]!.replace('"level":4,', ''))), 'line 1 lacks'],
  ['the half of it', text.slice(0, text.length / 2), 'it was cut short'],
  ['its first line', `${lines[0]}\n`, 'it was cut short'],
  ['a line that is cut', altered((all) => (all[3] = all[3]!.slice(0, 20))), 'line 4 is not a record'],
  ['a line that is none', altered((all) => (all[2] = '{"key":"a"}')), 'line 3 is not a record'],
  ['a line twice', altered((all) => all.splice(3, 0, all[2]!)), 'line 4: /overlayd/v2/network-names/web is there'],
  ['a line less', altered((all) => all.splice(3, 1)), 'line 5 speaks of 4 records, and there are 3'],
  ['another value', altered((all) => (all[3] = all[3]!.replace('"web"', '"wob"'))), 'is not what was written'],
  ['another header', altered((all) => (all[0] = all[0]!.replace('"c1"', '"c2"'))), 'is not what was written'],
])('%s is refused, and the line is named', (_, damaged, why) => {
  expect(() => parseBackup(damaged, digest)).toThrow(why);
  expect(() => parseBackup(damaged, digest)).toThrow(expect.objectContaining({ code: 'backup-unusable' }));
});
