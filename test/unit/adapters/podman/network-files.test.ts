import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createNetworkFiles } from '../../../../src/adapters/podman/network-files.ts';
import { offeredNetwork } from '../../../../src/core/podman/network-file.ts';
import type { PodmanNetworkFiles } from '../../../../src/ports/podman.ts';
import { networkRecord } from '../../../fixtures/records.ts';

let root: string;
let folder: string;
let files: PodmanNetworkFiles;
const web = offeredNetwork(networkRecord({ name: 'web' }));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'overlayd-podman-'));
  folder = join(root, 'networks');
  files = createNetworkFiles({ folder, plugin: join(root, 'plugin') });
});
afterEach(() => rmSync(root, { recursive: true }));

it('is of no concern where Podman has no plugin of ours', async () => {
  expect(await files.stamp()).toBeUndefined();
  writeFileSync(join(root, 'plugin'), '');
  expect(await files.stamp()).toBeUndefined();
  chmodSync(join(root, 'plugin'), 0o755);
  expect(await files.stamp()).toBe('');
});

it('adds a network whole, and nothing in the place of what is there', async () => {
  expect(await files.add(web)).toBe(true);
  expect(await files.list()).toEqual([web]);
  expect(await files.add({ ...web, id: 'a'.repeat(64) })).toBe(false);
  expect(readdirSync(folder)).toEqual(['web.json']);
  expect(JSON.parse(readFileSync(join(folder, 'web.json'), 'utf8'))).toEqual(web);
});

it('changes and removes only the network that it means', async () => {
  await files.add(web);
  const other = { ...web, id: 'a'.repeat(64), internal: true };
  await files.change(other);
  await files.remove(other);
  expect(await files.list()).toEqual([web]);
  await files.change({ ...web, internal: true });
  expect(await files.list()).toEqual([{ ...web, internal: true }]);
  await files.remove(web);
  expect(await files.list()).toEqual([]);
});

it('passes over what Podman would not read either, and has another stamp for what came', async () => {
  await files.add(web);
  writeFileSync(join(root, 'plugin'), '', { mode: 0o755 });
  const before = await files.stamp();
  writeFileSync(join(folder, 'half.json'), '{"name": "ha');
  writeFileSync(join(folder, 'other.json'), JSON.stringify(web));
  expect(await files.list()).toEqual([web]);
  expect([await files.has('web'), await files.has('half'), await files.has('none')]).toEqual([true, true, false]);
  expect(await files.stamp()).not.toBe(before);
});
