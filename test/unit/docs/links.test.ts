import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
const pages = [...globSync('*.md', { cwd: ROOT }), ...globSync('docs/**/*.md', { cwd: ROOT })].sort();
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8');
/** Without what is shown as it is typed. */
const prose = (page: string) => textOf(page).replace(/^```.*?^```$/gms, '');

/** The anchors that forges give to a page's headings. */
function anchorsOf(page: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const headings = [...prose(page).matchAll(/^#+ +(.*?) *$/gm)].map(([, heading]) => {
    const words = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/ /g, '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
  return new Set(headings);
}

function isDead(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
  if (!existsSync(join(ROOT, file))) return true;
  return anchor !== undefined && (!statSync(join(ROOT, file)).isFile() || !anchorsOf(file).has(anchor));
}

test.each(pages)('every link of %s leads somewhere', (page) => {
  const targets = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);
  expect(targets.filter((target) => !/^[a-z]+:/.test(target) && isDead(page, target))).toEqual([]);
});

test('every npm script that a page names is there', () => {
  const named = pages.flatMap((page) => [...textOf(page).matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!));
  expect(named).toContain('demo');
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('a dead link is seen', () => {
  const dead = ['nowhere.md', 'testing.md#nothing', '../README.md#nothing', '#nothing', 'adr#x'];
  const alive = ['testing.md', 'testing.md#the-lab', '../README.md#with-docker', '#testing', 'adr'];
  expect([...dead, ...alive].filter((target) => isDead('docs/testing.md', target))).toEqual(dead);
});
