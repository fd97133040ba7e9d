import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeOwnDirectory } from '../../../src/adapters/own-directory.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'own-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const OWN = [
  'identity.json',
  'state.json.tmp',
  'state.json.unreadable-7',
  'events.jsonl',
  'names.sock.lock',
  '.plugins.sock.9',
];

function made(name: string, files: readonly string[]): string {
  const directory = join(root, name);
  mkdirSync(join(directory, 'etcd', 'member'), { recursive: true });
  mkdirSync(join(directory, 'etcd.aside'));
  mkdirSync(join(directory, 'wireguard'));
  for (const file of files) writeFileSync(join(directory, file), '');
  return directory;
}

it('removes one of its own name with all that is in it', async () => {
  const directory = made('overlayd', [...OWN, 'note.txt']);
  await removeOwnDirectory(directory);
  expect(existsSync(directory)).toBe(false);
  await removeOwnDirectory(directory);
});

it('removes from another one what is its own, and it when nothing else is there', async () => {
  const directory = made('data', [...OWN, 'etcd-backup', 'identity.jpg']);
  await removeOwnDirectory(directory);
  expect(readdirSync(directory).sort()).toEqual(['etcd-backup', 'identity.jpg']);
  const own = made('run', OWN);
  await removeOwnDirectory(own);
  expect(existsSync(own)).toBe(false);
});
