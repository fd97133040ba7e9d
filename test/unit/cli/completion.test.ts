import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { bashCompletion, fishCompletion, zshCompletion } from '../../../src/cli/commands/completion.ts';
import { createProgram } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';

const program = createProgram({ columns: 80, terminal: {} } as Surroundings);

/** Lists one thing of each kind: of networks `web`, of nodes `host2`. */
const LISTING =
  'case $1 in network) echo web ;; node) echo host2 ;; endpoint) echo api ;; publish) echo 8080/tcp ;; esac';

/** What a shell offers for the last word of the line. */
const SHELLS: Readonly<Record<string, (line: string) => string[]>> = {
  bash(line) {
    const words = line.split(' ');
    return output('bash', [
      '-c',
      `overlayd() { ${LISTING}; }
${bashCompletion(program)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}) COMP_CWORD=${words.length - 1}
_overlayd
printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
  },
  // Of zsh's completion system, what the script uses: `compadd` offers what begins with the last word.
  zsh(line) {
    const words = line.split(' ');
    return output('zsh', [
      '-f',
      '-c',
      `overlayd() { ${LISTING}; }
compdef() { :; }
_files() { :; }
compadd() { while [[ $1 != -- ]] do shift; done; shift; local -a found; found=(\${(M)@:#$words[CURRENT]*}); (( $#found )) && print -l -- $found; }
words=(${words.map((word) => `'${word}'`).join(' ')}) CURRENT=${words.length}
${zshCompletion(program)}
_overlayd`,
    ]);
  },
  fish(line) {
    const script = `function overlayd
  switch $argv[1]
  case network; echo web
  case node; echo host2
  case endpoint; echo api
  case publish; echo 8080/tcp
  end
end
${fishCompletion(program)}
complete -C '${line}'`;
    const offers = output('fish', ['--no-config', '-c', script]).map((offer) => offer.split('\t')[0]!);
    // It offers what is similar as well.
    const fitting = offers.filter((offer) => offer.startsWith(line.split(' ').at(-1)!));
    return fitting.length > 0 ? fitting : [''];
  },
};

function output(shell: string, args: readonly string[]): string[] {
  const env = { ...process.env, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent', XDG_DATA_HOME: '/nonexistent' };
  return execFileSync(shell, args, { env, stdio: ['ignore', 'pipe', 'ignore'] })
    .toString()
    .trim()
    .split('\n');
}

describe.each(Object.keys(SHELLS))('in %s', (shell) => {
  it.each([
    ['overlayd net', ['network']],
    ['overlayd network con', ['connect']],
    ['overlayd network create --sub', ['--subnet']],
    ['overlayd token ', ['create', 'ls', 'inspect', 'revoke', '--help']],
    ['overlayd network connect w', ['web']],
    ['overlayd network unexpose w', ['web']],
    ['overlayd ipam re', ['repair', 'release']],
    ['overlayd ipam release w', ['web']],
    ['overlayd agent --data-', ['--data-dir', '--data-path-port']],
    ['overlayd network create --ipv', ['--ipv6', '--ipv4']],
    ['overlayd network create --ing', ['']],
    // Other names of commands, and what stands before a command.
    ['overlayd network delete w', ['web']],
    ['overlayd node remove --f', ['--force']],
    ['overlayd --run-dir /run/x node rm h', ['host2']],
    ['overlayd help network con', ['connect']],
    // What is there by name, of several kinds.
    ['overlayd inspect ho', ['host2']],
    ['overlayd inspect ap', ['api']],
    ['overlayd network disconnect web a', ['api']],
    ['overlayd publish rm 80', ['8080/tcp']],
    // Values of options.
    ['overlayd endpoint ls --network ', ['web']],
    ['overlayd doctor --peer h', ['host2']],
    ['overlayd inspect --type no', ['node']],
    ['overlayd node ls --format ', ['json']],
    ['overlayd network connect --name w', ['']],
    // What lists are filtered by.
    ['overlayd node ls --filter s', ['self=', 'state=']],
    ['overlayd node list -f s', ['self=', 'state=']],
    ['overlayd dns ls web --filter ', ['name=', 'network=', 'type=', 'value=']],
    ['overlayd network prune --filter l', ['label=', 'label!=']],
    ['overlayd events --filter n', ['node=', 'network=']],
    ['overlayd network rm -f w', ['web']],
  ])('%s is completed', (line, expected) => {
    expect(SHELLS[shell]!(line).toSorted()).toEqual(expected.toSorted());
  });
});
