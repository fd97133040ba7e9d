/** The agent's command line, read from the table: `--name value` or `--name=value`, the last one wins. */
import { nearest } from '../nearest.ts';
import { CONFIG_FLAG, flagOf, optionRows } from './option.ts';

export interface AgentFlags {
  /** Text by flag, `--config` included. */
  readonly values: ReadonlyMap<string, string>;
  readonly help: boolean;
  readonly problems: readonly string[];
}

export function parseAgentFlags(args: readonly string[]): AgentFlags {
  const known = new Set([CONFIG_FLAG, ...optionRows().map(([, { name }]) => flagOf(name))]);
  const values = new Map<string, string>();
  const problems: string[] = [];
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const equals = arg.indexOf('=');
    const flag = arg.startsWith('--') && equals > 0 ? arg.slice(0, equals) : arg;
    if (flag === '--help' || flag === '-h') help = true;
    else if (!flag.startsWith('-')) problems.push(`unexpected argument "${arg}": the agent takes options only`);
    else if (!known.has(flag)) problems.push(`unknown option ${flag}${suggestion(flag, [...known, '--help'])}`);
    else if (flag !== arg) values.set(flag, arg.slice(equals + 1));
    else if (args[i + 1] === undefined || args[i + 1]!.startsWith('--')) problems.push(`option ${flag} needs a value`);
    else values.set(flag, args[++i]!);
  }
  return { values, help, problems };
}

/** `; did you mean X?`, or nothing. */
export function suggestion(word: string, known: Iterable<string>): string {
  const name = nearest(word, known);
  return name === undefined ? '' : `; did you mean ${name}?`;
}
