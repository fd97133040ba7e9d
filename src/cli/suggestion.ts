/** A command that there is not: refused before commander prints the help of the one above it, with what was meant. */
import type { Command } from 'commander';
import { nearest } from '../core/nearest.ts';
import { UsageError } from './exit.ts';

/** What other tools call it, by where it is typed and what; `''` is anywhere. What is typed may begin with a word that we have not. */
const MEANT: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  '': {
    ...meaning(['inspect'], 'show', 'info', 'describe', 'get'),
    ...meaning(['ls'], 'ps', 'all'),
    ...meaning(['rm'], 'del', 'destroy', 'unlink', 'delete', 'remove'),
    ...meaning(['create'], 'new', 'add', 'make', 'mk'),
    ...meaning(['update'], 'set', 'edit', 'modify', 'rename', 'label'),
  },
  overlayd: {
    ...meaning(['status'], 'info', 'system', 'state', 'health', 'peers', 'top'),
    ...meaning(['events'], 'logs', 'log', 'history', 'watch'),
    ...meaning(['doctor'], 'check', 'diagnose', 'diagnostics', 'ping', 'test', 'debug'),
    ...meaning(['network connect'], 'attach', 'plug', 'add'),
    ...meaning(['network disconnect'], 'detach', 'unplug'),
    ...meaning(['network create'], 'create', 'new'),
    ...meaning(['network rm'], 'rm', 'del', 'delete', 'remove'),
    ...meaning(['network ls', 'endpoint ls', 'node ls'], 'ls', 'list'),
    ...meaning(['ps'], 'containers', 'container'),
    ...meaning(['network prune'], 'prune'),
    ...meaning(['publish'], 'port', 'ports', 'expose'),
    ...meaning(['init', 'join'], 'swarm', 'cluster', 'up'),
    ...meaning(['node promote'], 'promote'),
    ...meaning(['node demote'], 'demote'),
    ...meaning(['token create', 'join'], 'join-token'),
    ...meaning(['store backup'], 'backup', 'export', 'save', 'dump'),
    ...meaning(['store restore'], 'restore', 'import', 'load'),
    ...meaning(['agent'], 'daemon', 'run', 'serve'),
  },
  'overlayd swarm': {
    ...meaning(['init'], 'init'),
    ...meaning(['join'], 'join'),
    ...meaning(['leave'], 'leave'),
    ...meaning(['token create'], 'join-token'),
    ...meaning(['ca rotate'], 'ca'),
  },
  'overlayd container': {
    ...meaning(['ps'], 'ls', 'list', 'ps'),
    ...meaning(['inspect'], 'inspect'),
    ...meaning(['network prune'], 'prune'),
  },
  'overlayd system': {
    ...meaning(['status'], 'info', 'df'),
    ...meaning(['events'], 'events'),
    ...meaning(['network prune'], 'prune'),
  },
  'overlayd node': meaning(['token create', 'join'], 'add', 'create', 'new', 'invite', 'join'),
};

/** Of the service manager. */
const SERVICE_VERBS = ['start', 'stop', 'restart', 'reload', 'enable', 'disable'];
const MOST_SHOWN = 4;

function meaning(commands: readonly string[], ...words: readonly string[]): Record<string, readonly string[]> {
  return Object.fromEntries(words.map((word) => [word, commands]));
}

function meantAt(place: string, word: string): readonly string[] {
  const meanings = MEANT[place] ?? {};
  return Object.hasOwn(meanings, word) ? meanings[word]! : [];
}

/** Throws {@link UsageError} when `args` name a command that there is not. What else is wrong with them is commander's to say. */
export function refuseUnknownCommand(program: Command, args: readonly string[]): void {
  let command = program;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === '--') return;
    if (arg.startsWith('-')) {
      if (arg === '-h' || arg === '--help') continue;
      const option = command.options.find(({ long, short }) => [long, short].includes(arg.split('=', 1)[0]));
      if (!option) return;
      if (option.required && !arg.includes('=')) at++;
      continue;
    }
    const next = childOf(command, arg);
    if (!next && command.commands.length > 0 && !hasDefault(command))
      throw unknownCommand(program, command, arg, args[at + 1]);
    if (!next) return;
    command = next;
  }
}

/** The command that the words name, from the program on. Throws {@link UsageError}. */
export function commandOf(program: Command, words: readonly string[]): Command {
  return words.reduce((command, word) => {
    const next = childOf(command, word);
    if (!next) throw unknownCommand(program, command, word);
    return next;
  }, program);
}

function childOf(command: Command, word: string): Command | undefined {
  return command.commands.find((each) => each.name() === word || each.aliases().includes(word));
}

/** Whether something else than a command may follow: commander knows it, and tells nobody. */
function hasDefault(command: Command): boolean {
  return (command as Command & { readonly _defaultCommandName: string | null })._defaultCommandName !== null;
}

/** `further`: what was typed behind it. */
function unknownCommand(program: Command, command: Command, word: string, further = ''): UsageError {
  const path = pathOf(command);
  const meantWithIt = meantAt(`${path} ${word}`, further);
  const meant = meantWithIt.length > 0 ? meantWithIt : meantBy(program, command, word);
  if (word === 'help' && command !== program) {
    const words = [...path.split(' ').slice(1), further].filter((each) => each !== '' && !each.startsWith('-'));
    return new UsageError(`unknown command 'help'\n(Did you mean overlayd help ${words.join(' ')}?)`);
  }
  const hint =
    meant.length === 0 ? '' : `\n(Did you mean ${meant.length > 1 ? `one of ${meant.join(', ')}` : meant[0]}?)`;
  const service =
    command === program && SERVICE_VERBS.includes(word)
      ? `\n(The agent is a service: systemctl ${word} overlayd)`
      : hint;
  return new UsageError(`unknown command '${word}'${service}\nSee '${path} --help'.`);
}

/** As they are typed after what was right. */
function meantBy(program: Command, command: Command, word: string): readonly string[] {
  const known = command.commands.map((each) => each.name());
  const here = meantAt(pathOf(command), word);
  if (here.length > 0) return here;
  const anywhere = meantAt('', word).filter((name) => known.includes(name));
  if (anywhere.length > 0) return anywhere;
  const close = nearest(
    word,
    command.commands.flatMap((each) => [each.name(), ...each.aliases()]),
  );
  if (close !== undefined) return [childOf(command, close)!.name()];
  const begun = word.length < 2 ? [] : known.filter((name) => name.startsWith(word));
  if (begun.length > 0) return begun.slice(0, MOST_SHOWN);
  if (command !== program) return [];
  // The second word without the first.
  const below = program.commands.filter((each) => childOf(each, word));
  return below.slice(0, MOST_SHOWN).map((each) => `${each.name()} ${childOf(each, word)!.name()}`);
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}
