import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { requireCapabilities, requireOpenFiles } from '../../../../src/adapters/system/capabilities.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'capabilities-'));
  path = join(directory, 'status');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('names what an ordinary user lacks, and is content with root', async () => {
  writeFileSync(path, 'Name:\tnode\nCapEff:\t0000000000000000\n');
  await expect(requireCapabilities(path)).rejects.toThrow('lacks CAP_NET_ADMIN and CAP_SYS_ADMIN: run it as root');
  writeFileSync(path, 'Name:\tnode\nCapEff:\t000001ffffffffff\n');
  await expect(requireCapabilities(path)).resolves.toBeUndefined();
});

it.each([
  ['40                   40', 'may have 40 files open at once and needs 256'],
  ['40                   4096', undefined],
  ['1024                 unlimited', undefined],
])('open files, soft and hard limit: %s', async (limits, words) => {
  writeFileSync(
    path,
    `Limit                     Soft Limit           Hard Limit           Units\nMax open files            ${limits}                 files\n`,
  );
  const asked = requireOpenFiles(path);
  if (words === undefined) await expect(asked).resolves.toBeUndefined();
  else await expect(asked).rejects.toThrow(words);
});
