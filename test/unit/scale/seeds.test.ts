import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { historiesOf } from '../../scale/histories.ts';

const SCALE = join(import.meta.dirname, '../../scale/scale.ts');

test.each([
  ['1000', undefined],
  ['1001', 201],
  ['10000', 2_000],
  ['many', undefined],
])('%s seeds are those of so many histories of each of five kinds: %s', (seeds, each) => {
  expect(historiesOf(seeds, 1_000)).toBe(each);
});

test.each(['0', 'many', ''])('"%s" is no number of seeds', (text) => {
  const { status, stderr } = spawnSync(process.execPath, [SCALE, `--seeds=${text}`], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('is not a number from 1 to 1000');
});
