import { expect, test } from 'vitest';
import { NetworkFilters } from '../../../../src/adapters/kernel/network-filters.ts';

const TABLE = '{"nftables":[{"table":{"family":"bridge","name":"overlayd","handle":1}}]}';

/** Namespaces with a generation each; counts what is listed. */
function kernel(names: readonly string[]) {
  const generations = new Map(names.map((name) => [name, 1]));
  const tables = new Map(names.map((name) => [name, TABLE]));
  const listed: string[] = [];
  const state = { perl: true, broken: '', most: 0 };
  let running = 0;
  const run = async () => {
    const lines = [...generations].map(([name, number]) => `${name} 4026:${number}\n`);
    return { code: state.perl ? 0 : 127, stdout: state.perl ? lines.join('') : '', stderr: '' };
  };
  const list = async (name: string) => {
    listed.push(name);
    state.most = Math.max(state.most, ++running);
    await Promise.resolve();
    running--;
    if (name === state.broken) throw new Error('not permitted');
    return tables.get(name) ?? '';
  };
  const filters = new NetworkFilters(run, list);
  const look = async () => {
    listed.length = 0;
    return filters.look(names, undefined);
  };
  const change = (name: string, text: string) => {
    tables.set(name, text);
    generations.set(name, generations.get(name)! + 1);
  };
  return { state, generations, tables, listed, look, change, forget: (name: string) => filters.forget(name) };
}

test('only what changed is listed again, whatever it was changed to', async () => {
  const { listed, look, change } = kernel(['ovl-1', 'ovl-2', 'ovl-3']);
  expect([...(await look()).values()].map((filter) => filter?.family)).toEqual(['bridge', 'bridge', 'bridge']);
  expect(listed).toHaveLength(3);
  await look();
  expect(listed).toEqual([]);
  change('ovl-2', '');
  expect((await look()).get('ovl-2')).toBe(undefined);
  expect(listed).toEqual(['ovl-2']);
  expect((await look()).has('ovl-2')).toBe(true);
  change('ovl-2', TABLE);
  change('ovl-2', '');
  expect((await look()).get('ovl-2')).toBe(undefined);
});

test('many are listed a few at a time', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `ovl-${index + 1}`);
  const { state, look } = kernel(names);
  expect((await look()).size).toBe(20);
  expect(state.most).toBeLessThanOrEqual(4);
});

test('of a namespace that went nothing is kept', async () => {
  const { generations, tables, look } = kernel(['ovl-1', 'ovl-2']);
  await look();
  generations.delete('ovl-2');
  tables.delete('ovl-2');
  expect((await look()).get('ovl-2')).toBe(undefined);
  generations.set('ovl-2', 1);
  expect((await look()).get('ovl-2')).toBe(undefined);
});

test('one that was made again is listed again, whatever number of changes it has', async () => {
  const { listed, tables, look, forget } = kernel(['ovl-1', 'ovl-2']);
  await look();
  tables.delete('ovl-2');
  forget('ovl-2');
  expect((await look()).get('ovl-2')).toBe(undefined);
  expect(listed).toEqual(['ovl-2']);
});

test('one that cannot be read counts as without a table, and does not keep the others from being read', async () => {
  const { state, look } = kernel(['ovl-1', 'ovl-2']);
  state.broken = 'ovl-1';
  const filters = await look();
  expect([filters.get('ovl-1'), filters.get('ovl-2')?.family]).toEqual([undefined, 'bridge']);
});

test('where generations cannot be asked for, a few are listed at a time, and all in their turn', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `ovl-${index + 1}`);
  const { state, listed, look } = kernel(names);
  state.perl = false;
  const seen = new Set<string>();
  for (let turn = 0; turn < 3; turn++) {
    const filters = await look();
    expect(listed).toHaveLength(8);
    for (const name of filters.keys()) seen.add(name);
  }
  expect(seen.size).toBe(20);
});
