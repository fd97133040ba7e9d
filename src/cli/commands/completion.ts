/** `completion bash`: a script made from the commands themselves; names of networks are asked of the agent. */
import type { Command } from 'commander';
import { CONFIG_FLAG, flagOf, optionRows } from '../../core/config/option.ts';
import { UsageError } from '../exit.ts';
import type { Session } from '../session.ts';

/** Reads its own options, from the table. */
const AGENT = '/agent';

export function addCompletionCommand(program: Command, session: Session): void {
  program
    .command('completion')
    .description('Print a script that completes commands in a shell')
    .argument('<shell>', 'bash', (shell: string) => {
      if (shell !== 'bash') throw new UsageError(`no completion for ${shell}, only for bash`);
      return shell;
    })
    .addHelpText(
      'after',
      '\nExamples:\n  source <(overlayd completion bash)\n  overlayd completion bash > /etc/bash_completion.d/overlayd',
    )
    .action(() => session.print(bashCompletion(program)));
}

export function bashCompletion(program: Command): string {
  const cases = commandPaths(program).map(
    ({ path, words }) => `    ${JSON.stringify(path)}) words=${JSON.stringify(words.join(' '))} ;;`,
  );
  return `_overlayd() {
  local path= word words= current=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $path/$word in
      ${commandPaths(program)
        .map(({ path }) => path)
        .filter((path) => path !== '')
        .join('|')}) path=$path/$word ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
  case $path in
    /network/inspect|/network/rm|/network/connect|/network/disconnect|/dns/add|/dns/rm|/dns/ls|/ipam/release)
      words="$words $(overlayd network ls --format '{{.Name}}' 2>/dev/null)" ;;
    /node/inspect|/node/rm)
      words="$words $(overlayd node ls --format '{{.Name}}' 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _overlayd overlayd`;
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
