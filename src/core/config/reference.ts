/** The table in words: `overlayd agent --help`, `docs/configuration.md` and the example file. */
import {
  CONFIG_FLAG,
  CONFIG_VARIABLE,
  DEFAULT_CONFIG_FILE,
  fileKeyOf,
  flagOf,
  type Option,
  optionRows,
  variableOf,
} from './option.ts';

const HELP_WIDTH = 110;

export function renderAgentHelp(): string {
  const rows = [
    [`${CONFIG_FLAG} <path>`, `The configuration file. (default: ${DEFAULT_CONFIG_FILE}, if it exists)`] as const,
    ...optionRows().map(
      ([, option]) =>
        [
          `${flagOf(option.name)} <${option.kind.name}>`,
          `${option.description} (${option.kind.name === 'choice' ? `${option.kind.allowed}; ` : ''}default: ${defaultText(option)})`,
        ] as const,
    ),
    ['-h, --help', 'This text.'] as const,
  ];
  const width = Math.max(...rows.map(([flags]) => flags.length));
  const lines = rows.map(([flags, text]) => {
    const [first = '', ...rest] = wrap(text, HELP_WIDTH - width - 4);
    return [`  ${flags.padEnd(width)}  ${first}`, ...rest.map((line) => `${' '.repeat(width + 4)}${line}`)].join('\n');
  });
  return `Usage: overlayd agent [options]

Runs the agent of this host in the foreground. Until it is told \`overlayd init\` or \`overlayd join\` it waits.

Options:
${lines.join('\n')}

Each option is also a variable (--data-dir is ${variableOf('data-dir')}) and a key of the file (data_dir).
Flags count before the environment, the environment before the file, the file before the defaults.

Examples:
  overlayd agent
  overlayd agent --log-level debug --log-format json
`;
}

export function renderReference(): string {
  const rows = optionRows().map(([, option]) => {
    const { name, kind, description } = option;
    return [
      ...[flagOf(name), variableOf(name), fileKeyOf(name)].map((text) => `\`${text}\``),
      `${kind.name}: ${kind.allowed}`,
      `\`${defaultText(option)}\``,
      description,
    ];
  });
  return `# Configuration of the agent

This page is made from the table in \`src/core/config/option.ts\`.

Flags of \`overlayd agent\` count before the environment, the environment before the file, the file before the
defaults. The agent reads them once, when it starts; it refuses to start when anything is wrong or unknown, and
lists every problem at once.

The file is \`${DEFAULT_CONFIG_FILE}\`, which need not exist, or what \`${CONFIG_FLAG}\` or \`${CONFIG_VARIABLE}\` names, which must. It is
[TOML](https://toml.io): ports are numbers, everything else is a string. Durations are written like \`500ms\`, \`30s\`,
\`1h30m\` or \`7d\`.

The other commands need \`run-dir\` only, to find the agent's socket, and take it from the same places.

${renderMarkdownTable(['flag', 'variable', 'key in the file', 'value', 'default', 'meaning'], rows)}
`;
}

export function renderExampleFile(): string {
  const entries = optionRows().map(([, option]) => {
    const text = defaultText(option);
    const value = option.kind.numeric ? text : `"${text}"`;
    return `${wrap(option.description, 98)
      .map((line) => `# ${line}`)
      .join('\n')}\n# (${option.kind.allowed})\n#${fileKeyOf(option.name)} = ${value}\n`;
  });
  return `# Configuration of the overlayd agent: ${DEFAULT_CONFIG_FILE}
# Every option with its default. Flags and OVERLAYD_* variables count before this file.

${entries.join('\n')}`;
}

function renderMarkdownTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]!.length)));
  const lines = [headings, widths.map((width) => '-'.repeat(width)), ...rows];
  return lines.map((cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`).join('\n');
}

function defaultText({ kind, fallback }: Option<unknown>): string {
  return kind.format(fallback);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
