/** Help as wide as the terminal: commander wraps what it makes itself, and leaves the text that is added behind it. */

/** An example, which is to be copied: `  overlayd …`, `  host1# overlayd …`. */
const EXAMPLE = /^ +(\S+# )?overlayd /;

/** An option, an argument or a command, and what is told of it. */
const TERM = /^( +\S.*?)( {2,})(\S.*)$/;
const LEAST_TOLD = 24;
const BELOW_TERM = '      ';

/** Lines that are longer are broken at spaces, examples with a backslash. */
export function wrapLines(text: string, columns: number): string {
  return text
    .split('\n')
    .flatMap((line) => wrapLine(line, columns))
    .join('\n');
}

function wrapLine(line: string, columns: number): readonly string[] {
  if (line.length <= columns) return [line];
  const [, term, gap = '', told = ''] = TERM.exec(line) ?? [];
  // Beside its term there is hardly room for it.
  if (term !== undefined && columns - term.length - gap.length < LEAST_TOLD) {
    return [...wrapLine(term, columns), ...wrapLine(`${BELOW_TERM}${told}`, columns)];
  }
  const indent = /^ */.exec(line)![0];
  const isExample = EXAMPLE.test(line);
  const [further, end] = isExample ? [`${indent}    `, ' \\'] : [indent, ''];
  const lines: string[] = [];
  let now = indent;
  for (const word of line.trim().split(' ')) {
    const isFirst = now.trim() === '';
    if (!isFirst && now.length + 1 + word.length + end.length > columns) {
      lines.push(now + end);
      now = further + word;
    } else now += isFirst ? word : ` ${word}`;
  }
  return [...lines, now];
}
