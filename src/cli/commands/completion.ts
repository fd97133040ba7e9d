/** `completion SHELL`: a script made from the commands themselves; names of what is there are asked of the agent. */
import type { Command, Option } from 'commander';
import { CONFIG_FLAG, flagOf, optionRows } from '../../core/config/option.ts';
import { UsageError } from '../exit.ts';
import { FilterOption } from '../filter.ts';
import type { Session } from '../session.ts';

/** Reads its own options, from the table. */
const AGENT = '/agent';
/** What follows are commands, as if it were not there. */
const HELP = '/help';

/** What lists what is there. */
const LISTS = {
  network: "network ls --format '{{.Name}}'",
  node: "node ls --format '{{.Name}}'",
  endpoint: "endpoint ls --format '{{.Name}}'",
  token: "token ls --format '{{.ID}}'",
  port: 'publish ls -q',
} as const;

type List = keyof typeof LISTS;

/** Commands that take names of what is there. */
const NAMED: readonly (readonly [paths: readonly string[], ...lists: readonly List[]])[] = [
  [
    [
      '/network/inspect',
      '/network/rm',
      '/network/connect',
      '/network/expose',
      '/network/unexpose',
      '/network/subnet/add',
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
  [['/network/disconnect'], 'network', 'endpoint'],
  [['/inspect'], 'network', 'endpoint', 'node'],
  [['/node/inspect', '/node/rm', '/node/update', '/node/promote', '/node/demote'], 'node'],
  [['/endpoint/inspect'], 'endpoint'],
  [['/token/inspect', '/token/revoke'], 'token'],
  [['/publish/rm'], 'port'],
];

/** The same of options. */
const NAMED_BY: Readonly<Record<string, List>> = { '--network': 'network', '--node': 'node', '--peer': 'node' };

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
  const { commands, plain, words, aliases, filtered } = partsOf(program);
  const filters = filtered.map(([path, beginnings]) => `    "${path}") words="${beginnings.join(' ')}" ;;`);
  const values = [
    ...Object.entries(NAMED_BY).map(([flag, list]) => `    ${flag}) words="$(${asked(list)})" ;;`),
    ...words.map(([flag, all]) => `    ${flag}) words="${all.join(' ')}" ;;`),
    `    ${plain.join('|')}) ;;`,
  ];
  const cases = commands.map(({ path, words }) => `    ${JSON.stringify(path)}) words="${words.join(' ')}" ;;`);
  const named = NAMED.map(([paths, ...lists]) => {
    return `    ${paths.join('|')}) words="$words ${lists.map((list) => `$(${asked(list)})`).join(' ')}" ;;`;
  });
  return `__overlayd_path() {
  local word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $path/$word in
      ${pathsOf(commands).join('|')}) path=$path/$word ;;
${aliases.map(([alias, path]) => `      ${alias}) path=${path} ;;`).join('\n')}
    esac
  done
}
__overlayd_filters() {
  local path=
  __overlayd_path
  case "$before $path" in
${filters.join('\n')}
  esac
  [ -z "$words" ] || compopt -o nospace 2>/dev/null || :
}
__overlayd_words() {
  local path=
  __overlayd_path
  case $path in
${cases.join('\n')}
  esac
  case $path in
${named.join('\n')}
  esac
}
_overlayd() {
  local words= current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  if [ "$current" = = ]; then current=
  elif [ "$before" = = ]; then before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  case $before in
${values.join('\n')}
    --filter|-f)
      __overlayd_filters
      [ -n "$words" ] || __overlayd_words ;;
    *) __overlayd_words ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _overlayd overlayd`;
}

/** As a file `_overlayd` of zsh's, or sourced. Its `path` and `words` are zsh's own. */
export function zshCompletion(program: Command): string {
  const { commands, plain, words, aliases, filtered } = partsOf(program);
  const filters = filtered.map(
    ([path, beginnings]) => `    ("${path}") compadd -S '' -- ${beginnings.join(' ')}; return ;;`,
  );
  const values = [
    ...Object.entries(NAMED_BY).map(([flag, list]) => `    (${flag}) names=(\${(f)"$(${asked(list)})"}) ;;`),
    ...words.map(([flag, all]) => `    (${flag}) names=(${all.join(' ')}) ;;`),
    `    (${plain.join('|')}) ;;`,
  ];
  const cases = commands.map(({ path, words }) => `      (${path || "''"}) names=(${words.join(' ')}) ;;`);
  const named = NAMED.map(([paths, ...lists]) => {
    return `      (${paths.join('|')}) names+=(${lists.map((list) => `\${(f)"$(${asked(list)})"}`).join(' ')}) ;;`;
  });
  return `#compdef overlayd
_overlayd() {
  local place= word
  local -a names
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case $place/$word in
      (${pathsOf(commands).join('|')}) place=$place/$word ;;
${aliases.map(([alias, path]) => `      (${alias}) place=${path} ;;`).join('\n')}
    esac
  done
  case "$words[CURRENT-1] $place" in
${filters.join('\n')}
  esac
  case $words[CURRENT-1] in
${values.join('\n')}
    (*)
      case $place in
${cases.join('\n')}
      esac
      case $place in
${named.join('\n')}
      esac ;;
  esac
  compadd -- $names || _files
}
if [[ $funcstack[1] == _overlayd ]]; then _overlayd "$@"; else compdef _overlayd overlayd; fi`;
}

export function fishCompletion(program: Command): string {
  const { commands, plain, words, aliases, filtered } = partsOf(program);
  const filters = filtered.map(
    ([path, beginnings]) => `    case '${path}'\n      printf '%s\\n' ${beginnings.join(' ')}\n      return`,
  );
  const values = [
    ...Object.entries(NAMED_BY).map(([flag, list]) => `    case ${flag}\n      ${asked(list)}\n      return`),
    ...words.map(([flag, all]) => `    case ${flag}\n      printf '%s\\n' ${all.join(' ')}\n      return`),
    `    case ${plain.join(' ')}\n      return`,
  ];
  const cases = commands.map(({ path, words }) => `    case ${path || "''"}\n      printf '%s\\n' ${words.join(' ')}`);
  const named = NAMED.map(([paths, ...lists]) => `    case ${paths.join(' ')}\n      ${lists.map(asked).join('; ')}`);
  return `function __overlayd_names
  set -l place ''
  set -l before (commandline -opc)
  switch $before[-1]
${values.join('\n')}
  end
  for word in $before[2..-1]
    switch $place/$word
    case ${pathsOf(commands).join(' ')}
      set place $place/$word
${aliases.map(([alias, path]) => `    case ${alias}\n      set place ${path}`).join('\n')}
    end
  end
  switch "$before[-1] $place"
${filters.join('\n')}
  end
  switch $place
${cases.join('\n')}
  end
  switch $place
${named.join('\n')}
  end
end
complete -c overlayd -f -a '(__overlayd_names)'
complete -c overlayd -F -n 'contains -- (commandline -opc)[-1] ${plain.join(' ')}'`;
}

function asked(list: List): string {
  return `overlayd ${LISTS[list]} 2>/dev/null`;
}

function pathsOf(commands: readonly { readonly path: string }[]): readonly string[] {
  return commands.map(({ path }) => path).filter((path) => path !== '' && path !== HELP);
}

interface CommandPath {
  readonly path: string;
  /** That may follow. */
  readonly words: readonly string[];
  readonly aliases: readonly string[];
  readonly options: readonly Option[];
}

/** What all scripts are made of. */
function partsOf(program: Command) {
  const commands = commandPaths(program);
  const options = commands.flatMap(({ options }) => options).filter(({ long }) => long !== undefined);
  const choices = options.flatMap(({ argChoices, long }) => (argChoices ? [[long!, argChoices] as const] : []));
  const words = new Map<string, readonly string[]>([...choices, ['--format', ['json']]]);
  const switches = new Set(options.flatMap(({ long, required }) => (required ? [] : [long!])));
  const taking = new Set(options.flatMap(({ long, required }) => (required ? [long!] : [])));
  return {
    commands,
    words: [...words],
    /** What values of `--filter` begin with: by how it is written, and by whose it is. */
    filtered: commands.flatMap(({ path, options }) =>
      options.flatMap((option) =>
        option instanceof FilterOption
          ? [option.long, option.short].flatMap((flag) =>
              flag ? [[`${flag} ${path}`, option.beginnings] as const] : [],
            )
          : [],
      ),
    ),
    /** Of which nobody knows the values: files, at most. */
    plain: [...taking].filter(
      (flag) => flag !== '--filter' && !switches.has(flag) && !words.has(flag) && !Object.hasOwn(NAMED_BY, flag),
    ),
    aliases: commands.flatMap(({ aliases, path }) => aliases.map((alias) => [alias, path] as const)),
  };
}

/** Every command by its path (`/network/create`, the root is empty). */
function commandPaths(command: Command, path = ''): CommandPath[] {
  const help = command.createHelp();
  const commands = help.visibleCommands(command);
  const options = help.visibleOptions(command);
  const flags =
    path === AGENT
      ? [...optionRows().map(([, { name }]) => flagOf(name)), CONFIG_FLAG, '--help']
      : options.map((option) => option.long ?? option.short ?? '');
  const parent = path.slice(0, path.lastIndexOf('/'));
  return [
    {
      ...{ path, options, words: [...commands.map((sub) => sub.name()), ...flags] },
      aliases: path === '' ? [] : command.aliases().map((alias) => `${parent}/${alias}`),
    },
    ...commands.flatMap((sub) => commandPaths(sub, `${path}/${sub.name()}`)),
  ];
}
