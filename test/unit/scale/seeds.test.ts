import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const SCALE = join(import.meta.dirname, '../../scale/scale.ts');

test('who asks for ten thousand seeds is told the command that runs as many histories', () => {
  const { status, stderr } = spawnSync(process.execPath, [SCALE, '--seeds', '10000'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toMatch(/^sim: --seeds: .* `npm run sim -- --histories 10000`\n/);
});

test.each(['0', 'many', ''])('"%s" is no number of seeds', (text) => {
  const { status, stderr } = spawnSync(process.execPath, [SCALE, `--seeds=${text}`], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('is not a number from 1 to 1000');
});
