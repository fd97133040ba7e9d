import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { bashCompletion } from '../../../src/cli/commands/completion.ts';
import { createProgram } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';

const script = bashCompletion(createProgram({ columns: 80, terminal: {} } as Surroundings));

/** What bash offers for the last word of the line, with one network called `web`. */
function complete(line: string): string[] {
  const words = line.split(' ');
  const output = execFileSync('bash', [
    '-c',
    `overlayd() { echo web; }
${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}) COMP_CWORD=${words.length - 1}
_overlayd
printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
  return output.toString().trim().split('\n');
}

it.each([
  ['overlayd net', ['network']],
  ['overlayd network con', ['connect']],
  ['overlayd network create --sub', ['--subnet']],
  ['overlayd token ', ['create', 'ls', 'inspect', 'revoke', '--help']],
  ['overlayd network connect w', ['web']],
  ['overlayd ipam re', ['repair', 'release']],
  ['overlayd ipam release w', ['web']],
  ['overlayd agent --data-', ['--data-dir', '--data-path-port']],
  ['overlayd network create --ipv', ['--ipv6', '--ipv4']],
  ['overlayd network create --ing', ['']],
])('%s is completed', (line, expected) => {
  expect(complete(line)).toEqual(expected);
});
