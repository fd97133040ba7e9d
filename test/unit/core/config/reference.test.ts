import path from 'node:path';
import { expect, it } from 'vitest';
import { optionRows } from '../../../../src/core/config/option.ts';
import { renderAgentHelp, renderExampleFile, renderReference } from '../../../../src/core/config/reference.ts';

const ROOT = path.resolve(import.meta.dirname, '../../../..');

// `vitest run --project unit -u test/unit/core/config` writes both files anew.
it('docs/configuration.md is what the table says', async () => {
  await expect(renderReference()).toMatchFileSnapshot(path.join(ROOT, 'docs/configuration.md'));
});

it('the example file is what the table says', async () => {
  await expect(renderExampleFile()).toMatchFileSnapshot(path.join(ROOT, 'deploy/overlayd.toml.example'));
});

it('help names every option with its default, within the width of a terminal', () => {
  const help = renderAgentHelp();
  for (const [, { name, kind, fallback }] of optionRows()) {
    expect(help).toMatch(new RegExp(`^  --${name} <${kind.name}> `, 'm'));
    expect(help.replace(/\s+/g, ' ')).toContain(`default: ${kind.format(fallback)})`);
  }
  expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110);
});
