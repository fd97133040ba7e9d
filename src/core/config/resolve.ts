/** One configuration out of four sources, flags before environment before file before defaults; all problems at once. */
import { suggestion } from './flags.ts';
import {
  CONFIG_VARIABLE,
  type Config,
  fileKeyOf,
  flagOf,
  type Option,
  type OptionKey,
  optionRows,
  variableOf,
} from './option.ts';

export interface ConfigSources {
  /** Text by flag (`--data-dir`). */
  readonly flags: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The file's parsed table and its path for messages; absent when there is none. */
  readonly file?: { readonly path: string; readonly values: Readonly<Record<string, unknown>> } | undefined;
}

export interface Resolved {
  /** Where a value was wrong, the default stands in: use it only when there are no problems. */
  readonly config: Config;
  readonly problems: readonly string[];
}

export function resolveConfig(sources: ConfigSources): Resolved {
  const problems: string[] = [...unknownVariables(sources.environment), ...unknownKeys(sources.file)];
  const config: Partial<Record<OptionKey, unknown>> = {};
  for (const [key, option] of optionRows()) {
    const resolved = resolveOption(option, sources);
    config[key] = resolved.value;
    problems.push(...resolved.problems);
  }
  return { config: config as Config, problems: [...problems, ...clashes(config as Config)] };
}

/** One option alone; the rest of the sources is not looked at. */
export function resolveOption<T>(
  option: Option<T>,
  sources: ConfigSources,
): { readonly value: T; readonly problems: readonly string[] } {
  const problems: string[] = [];
  let chosen: { readonly value: T } | undefined;
  for (const { where, text, problem } of mentions(option, sources)) {
    const parsed = problem === undefined ? option.kind.parse(text) : { problem };
    if ('problem' in parsed) problems.push(`${where}: ${quote(text)} ${parsed.problem}`);
    else chosen ??= parsed;
  }
  return { value: chosen ? chosen.value : option.fallback, problems };
}

interface Mention {
  readonly where: string;
  readonly text: string;
  readonly problem?: string;
}

/** Everywhere that the option is given, the strongest first. Weaker ones are checked too: they would surprise later. */
function mentions<T>({ name, kind, fallback }: Option<T>, { flags, environment, file }: ConfigSources): Mention[] {
  const found: Mention[] = [];
  const flag = flags.get(flagOf(name));
  if (flag !== undefined) found.push({ where: flagOf(name), text: flag });
  const variable = environment[variableOf(name)];
  if (variable !== undefined) found.push({ where: variableOf(name), text: variable });
  const key = fileKeyOf(name);
  if (file && Object.hasOwn(file.values, key)) {
    const value = file.values[key];
    const where = `${file.path}: ${key}`;
    if (typeof value === 'string') found.push({ where, text: value });
    else if (typeof value === 'number' && kind.numeric) found.push({ where, text: String(value) });
    else if (typeof value === 'number') {
      found.push({ where, text: String(value), problem: `must be a string, like "${kind.format(fallback)}"` });
    } else found.push({ where, text: describe(value), problem: `must be ${kind.numeric ? 'a number' : 'a string'}` });
  }
  return found;
}

function unknownVariables(environment: ConfigSources['environment']): string[] {
  const known = new Set([CONFIG_VARIABLE, ...optionRows().map(([, { name }]) => variableOf(name))]);
  return Object.keys(environment)
    .filter((name) => name.startsWith('OVERLAYD_') && !known.has(name))
    .map((name) => `unknown variable ${name} in the environment${suggestion(name, known)}`);
}

function unknownKeys(file: ConfigSources['file']): string[] {
  if (!file) return [];
  const known = new Set(optionRows().map(([, { name }]) => fileKeyOf(name)));
  return Object.keys(file.values)
    .filter((key) => !known.has(key))
    .map((key) => `${file.path}: unknown key ${key}${suggestion(key, known)}`);
}

function clashes(config: Config): string[] {
  if (config.joinPort !== config.gossipPort) return [];
  return [`join-port and gossip-port are both ${config.joinPort}, they cannot share one TCP port`];
}

function quote(text: string): string {
  return text.startsWith('<') ? text : `"${text}"`;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return '<array>';
  return typeof value === 'object' ? '<table>' : String(value);
}
