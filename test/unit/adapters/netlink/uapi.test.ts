/** The kernel's numbers: each stands in one place, and somebody reads it. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../../../..');
const UAPI = 'src/adapters/netlink/uapi/';
/** All values that a field may have, of which few are looked for. */
const WHOLE = /^(NUD|RTN|NFT_MSG)_/;

const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const numbers = globSync(`${UAPI}*.ts`, { cwd: ROOT }).flatMap((file) =>
  [...read(file).matchAll(/^export const (\w+) = (.*);$/gm)].map(([, name, value]) => ({ file, name, value })),
);

it('are read by somebody, but for whole lists of values', () => {
  const readers = globSync(['src/adapters/**/*.ts', 'test/{unit,netns}/**/*.ts'], { cwd: ROOT })
    .filter((file) => !file.startsWith(UAPI))
    .map(read);
  const words = new Set([...readers, ...numbers.map(({ value }) => value!)].flatMap((text) => text.match(/\w+/g)));
  expect(numbers.length).toBeGreaterThan(200);
  expect(numbers.filter(({ name }) => !words.has(name!) && !WHOLE.test(name!)).map(({ name }) => name)).toEqual([]);
});

it('have one place', () => {
  const names = numbers.map(({ name }) => name);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
  const elsewhere = globSync('src/adapters/**/*.ts', { cwd: ROOT })
    .filter((file) => !file.startsWith(UAPI))
    .flatMap((file) => [...read(file).matchAll(/^(?:export )?const (\w+) = /gm)].map(([, name]) => name))
    .filter((name) => names.includes(name));
  expect(elsewhere).toEqual([]);
});
