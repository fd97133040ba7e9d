import type { Command } from 'commander';
import { expect, it } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';
import { wrapLines } from '../../../src/cli/wrap.ts';
import { run } from './fake-agent.ts';

const COLUMNS = 80;

/** `network create`, for each of them. */
function commands(of: Command, path: readonly string[] = []): string[] {
  const own = of.commands.flatMap((each) => commands(each, [...path, each.name()]));
  return path.length === 0 ? own : [path.join(' '), ...own];
}

it.each([
  '',
  ...commands(createProgram({ columns: COLUMNS, terminal: {} } as Surroundings)).filter((each) => each !== 'agent'),
])('the help of "%s" fits into a terminal', async (command) => {
  const { out } = await run(`${command} --help`.trim(), { surroundings: { columns: COLUMNS } });
  expect(out).not.toBe('');
  expect(out.split('\n').filter((line) => line.length > COLUMNS)).toEqual([]);
});

it('breaks examples so that they can be copied, and prose where it stands', () => {
  const example = '  host1# overlayd network create --subnet 10.20.0.0/24 --gateway 10.20.0.254 office';
  expect(wrapLines(`Some words of a sentence.\n${example}`, 40)).toBe(
    [
      'Some words of a sentence.',
      '  host1# overlayd network create \\',
      '      --subnet 10.20.0.0/24 --gateway \\',
      '      10.20.0.254 office',
    ].join('\n'),
  );
  expect(wrapLines('  --name <name>   the name that resolves to it (default: none)', 34)).toBe(
    ['  --name <name>', '      the name that resolves to it', '      (default: none)'].join('\n'),
  );
  expect(wrapLines('  one two three', 9)).toBe('  one two\n  three');
});
