import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OPTION_SPELLINGS, REFUSED_OPTIONS } from '../../../src/core/network-options.ts';
import { run } from '../cli/fake-agent.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/networks.md'), 'utf8');
const isNamed = (option: string) => page.includes(`\`${option}\``);

test('docs/networks.md has every option under all of its names', () => {
  expect(OPTION_SPELLINGS.flat().filter((each) => !isNamed(each))).toEqual([]);
});

test('and what to do instead of those of Docker that are refused', () => {
  const bridge = (option: string) => isNamed(option) || isNamed(`com.docker.network.bridge.${option}`);
  expect(REFUSED_OPTIONS.filter((each) => !bridge(each))).toEqual([]);
});

test('the help of `network create` has each by its shortest name', async () => {
  const { out } = await run('network create --help');
  expect(OPTION_SPELLINGS.filter(([shortest]) => !out.includes(shortest))).toEqual([]);
});
