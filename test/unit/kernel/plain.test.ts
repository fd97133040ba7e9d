/** What stands for vitest where a processor is emulated says what vitest would say. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { expect as plain } from '../../kernel/plain-expect.ts';

const PLAIN = new URL('../../kernel/plain-vitest.ts', import.meta.url).href;
type Matchers = Record<string, (wanted?: unknown) => unknown>;
type Expect = (value: unknown) => Matchers;
type ExpectNot = (value: unknown) => { readonly not: Matchers };

function holds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

const boom = () => {
  throw new RangeError('too far');
};
const patterned = (from: typeof expect | typeof plain) => [
  from.any(Number),
  from.anything(),
  from.arrayContaining([1]),
  from.objectContaining({ a: from.stringMatching(/^b/) }),
  from.stringContaining('verla'),
];
const OBJECTS = [
  { a: 'b', c: 3 },
  { a: 'b', c: undefined },
  { a: 'b' },
  { a: { b: [1, { c: 2 }] } },
  { a: { b: [1] } },
];
const LISTS = [[1, 2], [2, 1], [1], [], [{ a: 'b' }], ['overlay']];
const SETS = [new Set([1]), new Set([2]), new Map([[1, 2]])];
const VALUES = [7, 'overlay', undefined, null, ...LISTS, ...OBJECTS, ...SETS];
const NUMBERS = [-1, 0, 7, 8];
/** What each is asked about, of every value. */
const CASES: Readonly<Record<string, readonly [values: readonly unknown[], wanted: readonly unknown[]]>> = {
  toBe: [VALUES, VALUES],
  toEqual: [VALUES, VALUES],
  toMatchObject: [[...OBJECTS, ...LISTS], OBJECTS],
  toMatch: [
    ['overlay', 'under'],
    [/lay$/, 'over'],
  ],
  toContain: [
    [...LISTS, 'overlay'],
    ['over', 'overlay'],
  ],
  toContainEqual: [LISTS, [1, 3, { a: 'b' }, 'overlay', 'over']],
  toHaveLength: [
    [...LISTS, 'overlay', 7],
    [0, 1, 2, 7],
  ],
  toHaveProperty: [OBJECTS, ['a', 'c', 'd']],
  ...Object.fromEntries(['Greater', 'Less'].map((which) => [`toBe${which}Than`, [[...NUMBERS, '9'], NUMBERS]])),
  ...Object.fromEntries(['Greater', 'Less'].map((which) => [`toBe${which}ThanOrEqual`, [NUMBERS, NUMBERS]])),
};

it.each(Object.entries(CASES))('%s holds where vitest says so, and does not where it does not', (name, cases) => {
  const [values, wants] = cases;
  for (const value of values) {
    for (const wanted of wants) {
      const says = (from: unknown) => holds(() => (from as Expect)(value)[name]!(wanted));
      const refuses = (from: unknown) => holds(() => (from as ExpectNot)(value).not[name]!(wanted));
      expect([value, wanted, says(plain), refuses(plain)]).toEqual([value, wanted, says(expect), refuses(expect)]);
    }
  }
});

it('patterns are like what vitest takes for like them', () => {
  for (const value of VALUES) {
    const ours = patterned(plain).map((pattern) => holds(() => plain([value]).toEqual([pattern])));
    expect(ours).toEqual(patterned(expect).map((pattern) => holds(() => expect([value]).toEqual([pattern]))));
  }
});

it('errors are told apart, also those of promises; what is refused to be is not', async () => {
  plain(boom).toThrow(/too/);
  plain(boom).toThrow(RangeError);
  plain(boom).not.toThrow('near');
  expect(holds(() => plain(boom).toThrow('near'))).toBe(false);
  expect(holds(() => plain(() => undefined).toThrow())).toBe(false);
  await plain(Promise.reject(new Error('gone'))).rejects.toThrow('gone');
  await expect(plain(Promise.resolve(1)).rejects.toThrow()).rejects.toThrow('was to be refused');
  let at = 0;
  await plain.poll(() => ++at).toBe(3);
  expect(at).toBe(3);
});

it('runs hooks and tests in their order, goes on after what failed, and counts', () => {
  const program = `
    import { afterAll, afterEach, beforeAll, beforeEach, describe, it, runAll } from ${JSON.stringify(PLAIN)};
    const say = (what) => () => console.log('-', what);
    beforeAll(say('first'));
    afterAll(say('last'));
    beforeEach(say('outer'));
    afterEach(({ task }) => console.log('-', task.result.state));
    it.each([['a', 1], ['b', 2]])('of %s', (name, number) => console.log('-', name, number));
    describe.each([{ key: 'k' }])('with $key', ({ key }) => {
      beforeEach(say('inner'));
      it('fails', () => { throw new Error('as it should: ' + key); });
      it('goes on', say('on'));
    });
    describe('cannot begin', () => {
      beforeAll(() => { throw new Error('no'); });
      it('is not tried', say('never'));
    });
    await runAll();
  `;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const said = stdout.split('\n').filter((line) => line.startsWith('- '));
  const [one, two] = ['a 1', 'b 2'].map((what) => ['- outer', `- ${what}`, '- pass']);
  const inner = [...['- outer', '- inner', '- fail'], ...['- outer', '- inner', '- on', '- pass']];
  expect(said).toEqual(['- first', ...one!, ...two!, ...inner, '- last']);
  expect(stdout).toMatch(/✓ of a .*✓ of b .*with k\n.*× fails .*as it should: k.*✓ goes on/s);
  expect(stdout).toMatch(/3 passed, 2 failed\n$/);
  expect(status).toBe(1);
});
