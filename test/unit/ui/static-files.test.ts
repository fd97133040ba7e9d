import { expect, test } from 'vitest';
import { loadStaticFiles } from '../../../src/ui/static-files.ts';
import { ROOT } from '../../lab/host.ts';

/** Compressed: what a browser fetches of it, once. */
const BUDGET_BYTES = 150 * 1024;

test('the page is small, and loads nothing but its own files', async () => {
  const files = await loadStaticFiles(`${ROOT}/dist/lib/page`);
  const bytes = [...files.values()].reduce((sum, { body }) => sum + body.length, 0);
  expect(bytes).toBeLessThan(BUDGET_BYTES);
  expect([...files.keys()].sort()).toEqual(['/', '/favicon.svg', '/page.css', '/page.js']);
});

test('files that are not there are told with what to do', async () => {
  await expect(loadStaticFiles('/nowhere')).rejects.toThrow(/the page's files are not there .*install overlayd again/);
});
