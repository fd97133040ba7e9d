/** `completion SHELL`: a script made from the commands themselves; names of networks are asked of the agent. */
import type { Command } from 'commander';
import { CONFIG_FLAG, flagOf, optionRows } from '../../core/config/option.ts';
import { UsageError } from '../exit.ts';
import type { Session } from '../session.ts';

/** Reads its own options, from the table. */
const AGENT = '/agent';

/** Commands that take names of what is there, and the command that lists these. */
const NAMED: readonly (readonly [paths: readonly string[], list: string, field?: string])[] = [
  [
    [
      '/network/inspect',
      '/network/rm',
      '/network/connect',
      '/network/disconnect',
      '/network/expose',
      '/network/unexpose',
      '/network/subnet/add',
      '/inspect',
      '/service/ls',
      '/service/rm',
      '/service/inspect',
      '/dns/add',
      '/dns/rm',
      '/dns/ls',
      '/ipam/release',
    ],
    'network',
  ],
  [['/node/inspect', '/node/rm', '/node/update', '/node/promote', '/node/demote'], 'node'],
  [['/endpoint/inspect'], 'endpoint'],
  [['/token/inspect', '/token/revoke'], 'token', 'ID'],
];

export const COMPLETIONS: Readonly<Record<string, (program: Command) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

export function addCompletionCommand(program: Command, session: Session): void {
  const shells = Object.keys(COMPLETIONS).join(', ');
  program
    .command('completion')
    .description('Print a script that completes commands in a shell')
    .argument('<shell>', shells, (shell: string) => {
      if (!Object.hasOwn(COMPLETIONS, shell)) throw new UsageError(`no completion for ${shell}, only for ${shells}`);
      return shell;
    })
    .addHelpText(
      'after',
      `
The package brings all of them.

Examples:
  source <(overlayd completion bash)
  source <(overlayd completion zsh)
  overlayd completion fish | source`,
    )
    .action((shell: string) => session.print(COMPLETIONS[shell]!(program)));
}

export function bashCompletion(program: Command): string {
  const commands = commandPaths(program);
  const cases = commands.map(
    ({ path, words }) => `    ${JSON.stringify(path)}) words=${JSON.stringify(words.join(' '))} ;;`,
  );
  const named = NAMED.map(
    ([paths, ...list]) => `    ${paths.join('|')})
      words="$words $(${listing(...list)})" ;;`,
  );
  return `_overlayd() {
  local path= word words= current=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $path/$word in
      ${pathsOf(commands).join('|')}) path=$path/$word ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
  case $path in
${named.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _overlayd overlayd`;
}

/** As a file `_overlayd` of zsh's, or sourced. Its `path` and `words` are zsh's own. */
export function zshCompletion(program: Command): string {
  const commands = commandPaths(program);
  const cases = commands.map(({ path, words }) => `    (${path || "''"}) names=(${words.join(' ')}) ;;`);
  const named = NAMED.map(([paths, ...list]) => `    (${paths.join('|')}) names+=(\${(f)"$(${listing(...list)})"}) ;;`);
  return `#compdef overlayd
_overlayd() {
  local place= word
  local -a names
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case $place/$word in
      (${pathsOf(commands).join('|')}) place=$place/$word ;;
    esac
  done
  case $place in
${cases.join('\n')}
  esac
  case $place in
${named.join('\n')}
  esac
  compadd -- $names || _files
}
if [[ $funcstack[1] == _overlayd ]]; then _overlayd "$@"; else compdef _overlayd overlayd; fi`;
}

export function fishCompletion(program: Command): string {
  const commands = commandPaths(program);
  const cases = commands.map(({ path, words }) => `    case ${path || "''"}\n      printf '%s\\n' ${words.join(' ')}`);
  const named = NAMED.map(([paths, ...list]) => `    case ${paths.join(' ')}\n      ${listing(...list)}`);
  return `function __overlayd_names
  set -l place ''
  for word in (commandline -opc)[2..-1]
    if contains -- $place/$word ${pathsOf(commands).join(' ')}
      set place $place/$word
    end
  end
  switch $place
${cases.join('\n')}
  end
  switch $place
${named.join('\n')}
  end
end
complete -c overlayd -f -a '(__overlayd_names)'
complete -c overlayd -F -n 'string match -q -- "--*" (commandline -opc)[-1]'`;
}

function listing(list: string, field = 'Name'): string {
  return `overlayd ${list} ls --format '{{.${field}}}' 2>/dev/null`;
}

function pathsOf(commands: readonly { readonly path: string }[]): readonly string[] {
  return commands.map(({ path }) => path).filter((path) => path !== '');
}

/** Every command by its path (`/network/create`, the root is empty) with the words that may follow. */
function commandPaths(command: Command, path = ''): { path: string; words: string[] }[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command).filter((sub) => sub.name() !== 'help');
  const options =
    path === AGENT
      ? [...optionRows().map(([, { name }]) => flagOf(name)), CONFIG_FLAG, '--help']
      : help.visibleOptions(command).map((option) => option.long ?? option.short ?? '');
  return [
    { path, words: [...commands.map((sub) => sub.name()), ...options] },
    ...commands.flatMap((sub) => commandPaths(sub, `${path}/${sub.name()}`)),
  ];
}
