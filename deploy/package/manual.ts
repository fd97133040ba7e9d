/** Manual pages, made of what the commands say of themselves: one for the program, one for each of its commands. */
import type { Command } from 'commander';
import { createProgram } from '../../src/cli/program.ts';
import type { Surroundings } from '../../src/cli/session.ts';

/** So wide that commander breaks no line. */
const WIDE = 10_000;

/** Page (`overlayd-network.1`) to text. */
export function manualPages(version: string): ReadonlyMap<string, string> {
  let written = '';
  const surroundings = {
    columns: WIDE,
    terminal: {},
    writeOut: (text: string) => {
      written += text;
    },
  } as Surroundings;
  const program = createProgram(surroundings);
  /** What a command's help has below its options. */
  const afterword = (command: Command) => {
    written = '';
    command.outputHelp();
    return written.slice(command.helpInformation().length).trim();
  };
  const render = (command: Command, name: string) => page(command, { name, version, afterword });
  return new Map([
    ['overlayd.1', render(program, 'overlayd')],
    ...visible(program).map((command): [string, string] => {
      const name = `overlayd-${command.name()}`;
      return [`${name}.1`, render(command, name)];
    }),
  ]);
}

interface Page {
  readonly name: string;
  readonly version: string;
  readonly afterword: (command: Command) => string;
}

function page(command: Command, { name, version, afterword }: Page): string {
  const isRoot = name === 'overlayd';
  const parts = [
    `.TH ${name.toUpperCase()} 1 "" "overlayd ${version}" "User Commands"`,
    '.SH NAME',
    `${quoted(name)} \\- ${quoted(firstLower(command.description()))}`,
    ...section(command, { afterword, heading: 'SH' }),
  ];
  // Of the program only their names: each has its page.
  if (isRoot) {
    const all = visible(command).map((each) => item(`overlayd-${each.name()}(1)`, each.description()));
    return text([...parts, '.SH COMMANDS', ...all]);
  }
  for (const sub of visible(command)) {
    parts.push(`.SH OVERLAYD ${command.name().toUpperCase()} ${sub.name().toUpperCase()}`, quoted(sub.description()));
    parts.push(...section(sub, { afterword, heading: 'SS' }));
  }
  return text([...parts, '.SH SEE ALSO', '.BR overlayd (1)']);
}

function section(
  command: Command,
  { afterword, heading }: Pick<Page, 'afterword'> & { readonly heading: 'SH' | 'SS' },
): readonly string[] {
  const help = command.createHelp();
  // One that reads its own options says all in its help.
  if (command.name() === 'agent') {
    return [`.${heading} DESCRIPTION`, '.nf', quoted(command.helpInformation().trimEnd()), '.fi'];
  }
  const options = help.visibleOptions(command);
  const after = afterword(command);
  return [
    `.${heading} SYNOPSIS`,
    `.B ${quoted(help.commandUsage(command))}`,
    ...(options.length > 0 ? [`.${heading} OPTIONS`] : []),
    ...options.map((option) => item(option.flags, help.optionDescription(option))),
    ...(after === '' ? [] : [`.${heading} NOTES`, ...after.split(/\n{2,}/).flatMap(paragraph)]),
  ];
}

function visible(command: Command): readonly Command[] {
  const help = command.createHelp();
  return help.visibleCommands(command).filter((each) => each.name() !== 'help') as Command[];
}

/** Prose is filled as wide as the page is; examples and tables stay as they are. */
function paragraph(block: string): readonly string[] {
  const isProse = !/^\s|\S {2,}\S/m.test(block);
  return isProse ? ['.PP', quoted(block)] : ['.PP', '.nf', quoted(block), '.fi'];
}

function item(what: string, meaning: string): string {
  return `.TP\n.B ${quoted(what)}\n${quoted(meaning)}`;
}

/** For roff: a line that begins with a dot or a quote would be a request; dashes are to be copied. */
function quoted(words: string): string {
  return words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(['.])/gm, '\\&$1');
}

function firstLower(words: string): string {
  return words.charAt(0).toLowerCase() + words.slice(1);
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
