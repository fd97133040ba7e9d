import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { requireCapabilities } from '../../../../src/adapters/system/capabilities.ts';

const directory = mkdtempSync(join(tmpdir(), 'capabilities-'));
const path = join(directory, 'status');
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('names what an ordinary user lacks, and is content with root', async () => {
  writeFileSync(path, 'Name:\tnode\nCapEff:\t0000000000000000\n');
  await expect(requireCapabilities(path)).rejects.toThrow('lacks CAP_NET_ADMIN and CAP_SYS_ADMIN: run it as root');
  writeFileSync(path, 'Name:\tnode\nCapEff:\t000001ffffffffff\n');
  await expect(requireCapabilities(path)).resolves.toBeUndefined();
});
