/** Which names that go are told. */
import { mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { watchNames } from '../../../../src/adapters/kernel/name-watch.ts';
import { until } from '../../../lab/until.ts';

let root: string;
let names: { close(): void };
let gone: string[];
const file = (name: string) => join(root, 'run/netns', name);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'overlayd-names-'));
  gone = [];
});
afterEach(() => {
  names.close();
  rmSync(root, { recursive: true });
});

test("networks' alone, and none that is there again", async () => {
  mkdirSync(join(root, 'run/netns'), { recursive: true });
  for (const name of ['c1', 'ovl-4096', 'ovl-4097']) writeFileSync(file(name), '');
  names = watchNames(root, (name) => gone.push(name));
  writeFileSync(file('ovl-4098'), '');
  for (const name of ['c1', 'ovl-4096', 'ovl-4097']) unlinkSync(file(name));
  writeFileSync(file('ovl-4096'), '');
  await until('a name to be told', () => gone.length > 0);
  expect(gone).toEqual(['ovl-4097']);
});

test('where no namespace has had a name yet, too', async () => {
  names = watchNames(root, (name) => gone.push(name));
  writeFileSync(file('ovl-4096'), '');
  unlinkSync(file('ovl-4096'));
  await until('the name to be told', () => gone.includes('ovl-4096'));
});
