/** The configuration file (TOML 1.0), and the whole configuration out of it, the environment and flags. */
import { readFileSync } from 'node:fs';
import { CONFIG_FLAG, CONFIG_VARIABLE, type Config, DEFAULT_CONFIG_FILE, OPTIONS } from '../core/config/option.ts';
import { type ConfigSources, resolveConfig, resolveOption } from '../core/config/resolve.ts';
import { OverlaydError } from '../core/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the file holds; undefined when there is none. Throws `config-invalid` naming file, line and column. */
async function readConfigFile(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new OverlaydError('config-invalid', `cannot read the configuration: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // Most hosts have no file, and the commands start quicker without the parser.
  const { parse, TomlError } = await import('smol-toml');
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0]?.replace('Invalid TOML document: ', '');
    throw new OverlaydError('config-invalid', `${path}:${error.line}:${error.column} is not valid TOML: ${reason}`, {
      cause: error,
    });
  }
}

/**
 * The agent's configuration. Throws `config-invalid` with every problem, one a line. `flags` is text by flag, as
 * `parseAgentFlags` gives it with its `problems`.
 */
export async function loadConfig(
  flags: { readonly values: ReadonlyMap<string, string>; readonly problems: readonly string[] },
  environment: Environment,
): Promise<Config> {
  const { config, problems } = resolveConfig(await readSources(flags.values, environment));
  const all = [...flags.problems, ...problems];
  if (all.length === 0) return config;
  const count = all.length === 1 ? 'a problem' : `${all.length} problems`;
  throw new OverlaydError('config-invalid', `the configuration has ${count}:\n${all.map((p) => `  ${p}`).join('\n')}`);
}

export interface CommandSettings {
  /** Where the agent is found. */
  readonly runDir: string;
  /** URL of the collector that spans go to; undefined: none. */
  readonly traces: string | undefined;
}

/**
 * What the commands need of the configuration. Nothing else in it, and no default file that only root may read, keeps them from
 * working, nor does a collector that is written wrong.
 */
export async function loadForCommand(
  flags: ReadonlyMap<string, string>,
  environment: Environment,
): Promise<CommandSettings> {
  const named = flags.has(CONFIG_FLAG) || environment[CONFIG_VARIABLE] !== undefined;
  const sources = await readSources(flags, environment).catch((error: unknown) => {
    if (named) throw error;
    return { flags, environment };
  });
  const { value: runDir, problems } = resolveOption(OPTIONS.runDir, sources);
  if (problems.length > 0) throw new OverlaydError('config-invalid', problems.join('; '));
  return { runDir, traces: resolveOption(OPTIONS.traces, sources).value };
}

async function readSources(flags: ReadonlyMap<string, string>, environment: Environment): Promise<ConfigSources> {
  const named = flags.get(CONFIG_FLAG) ?? environment[CONFIG_VARIABLE];
  const path = named ?? DEFAULT_CONFIG_FILE;
  const values = await readConfigFile(path);
  if (values === undefined && named !== undefined) {
    throw new OverlaydError('config-invalid', `there is no configuration file ${path}`);
  }
  return { flags, environment, file: values && { path, values } };
}
