/** `help COMMAND…`: the help of a command, however deep. */
import type { Command } from 'commander';
import { commandOf } from '../suggestion.ts';

export function addHelpCommand(program: Command): void {
  program
    .command('help')
    .description('Print how to use a command')
    .argument('[command...]', 'like `network create`')
    .addHelpText('after', '\nExamples:\n  overlayd help network create\n  overlayd help events')
    .action((words: readonly string[]) => commandOf(program, words).outputHelp());
}
