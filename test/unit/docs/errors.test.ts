import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ERROR_CODES } from '../../../src/core/errors.ts';
import { FINDINGS } from '../../../src/core/finding.ts';

const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const [ofErrors = '', ofFindings = ''] = text.split('\n## Findings\n');
const codesIn = (part: string) => [...part.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code);

it('documents every error code, and no other', () => {
  expect(codesIn(ofErrors).toSorted()).toEqual([...ERROR_CODES].toSorted());
});

it('documents every code of a finding, and no other, with what mends it', () => {
  expect(codesIn(ofFindings).toSorted()).toEqual(Object.keys(FINDINGS).toSorted());
  for (const [code, mend] of Object.entries(FINDINGS)) expect(ofFindings, code).toContain(`| ${mend} |`);
});
