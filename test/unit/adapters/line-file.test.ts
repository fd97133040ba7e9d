import { appendFile, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLineFile } from '../../../src/adapters/line-file.ts';

async function open() {
  const directory = await mkdtemp(join(tmpdir(), 'lines-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'made', 'events.jsonl');
  return { path, file: createLineFile(path) };
}

test('lines are appended, replaced and removed, for the owner alone', async () => {
  const { path, file } = await open();
  expect(await file.load()).toEqual([]);
  await file.append(['a', 'b']);
  await file.append(['c']);
  expect(await createLineFile(path).load()).toEqual(['a', 'b', 'c']);
  await file.replace(['c', 'd']);
  await file.append(['e']);
  expect(await file.load()).toEqual(['c', 'd', 'e']);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await file.remove();
  expect(await file.load()).toEqual([]);
});

test('a line that was cut off spoils no other one', async () => {
  const { path, file } = await open();
  await file.append(['a']);
  await appendFile(path, '{"half');
  const next = createLineFile(path);
  expect(await next.load()).toEqual(['a', '{"half']);
  await next.append(['b', 'c']);
  expect(await next.load()).toEqual(['a', '{"half', 'b', 'c']);
});

test('a line that an append left half, when it failed, spoils no other one', async () => {
  const { path, file } = await open();
  await file.append(['a']);
  await rename(path, `${path}.away`);
  await mkdir(path);
  await expect(file.append(['b'])).rejects.toThrow(/cannot be written/);
  await rm(path, { recursive: true });
  await rename(`${path}.away`, path);
  await appendFile(path, '{"half');
  await file.append(['b']);
  await file.append(['c']);
  expect(await readFile(path, 'utf8')).toBe('\na\n{"half\nb\nc\n');
});

test('of a file that grew without end the last part is read', async () => {
  const { path, file } = await open();
  await file.append(['first']);
  await appendFile(path, `${'x'.repeat(9 * 2 ** 20)}\nlast\n`);
  const lines = await file.load();
  expect([lines.at(-1), lines.includes('first')]).toEqual(['last', false]);
  expect((await readFile(path)).length).toBeGreaterThan(9 * 2 ** 20);
});
