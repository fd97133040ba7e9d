import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, loadForCommand } from '../../../src/adapters/config-file.ts';
import { parseAgentFlags } from '../../../src/core/config/flags.ts';
import { renderExampleFile } from '../../../src/core/config/reference.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'overlayd-config-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
}

const load = (args: string[], environment: Record<string, string> = {}) =>
  loadConfig(parseAgentFlags(args), environment);

describe('the agent’s configuration', () => {
  it('comes from the file that is named, by flag before variable', async () => {
    const a = write('a.toml', 'data_dir = "/srv/a"\njoin_port = 2400\n');
    const b = write('b.toml', 'data_dir = "/srv/b"\n');
    expect(await load(['--config', a], { OVERLAYD_CONFIG: b })).toMatchObject({ dataDir: '/srv/a', joinPort: 2400 });
    expect(await load([], { OVERLAYD_CONFIG: b })).toMatchObject({ dataDir: '/srv/b', joinPort: 2377 });
  });

  it('may be the example file as it is, and with every line of it in force', async () => {
    const example = renderExampleFile();
    const defaults = await load(['--config', write('empty.toml', '')]);
    expect(await load(['--config', write('example.toml', example)])).toEqual(defaults);
    const inForce = example.replace(/^#(\w+ = )/gm, '$1');
    expect(inForce).not.toBe(example);
    expect(await load(['--config', write('all.toml', inForce)])).toEqual(defaults);
  });

  it('is refused with every problem of flags, environment and file', async () => {
    const file = write('bad.toml', 'datadir = "/x"\njoin_port = "x"\n');
    await expect(
      load(['--config', file, '--bogus', '--lease-ttl=1s'], { OVERLAYD_RUN_DIR: 'run' }),
    ).rejects.toMatchObject({
      code: 'config-invalid',
      message: `the configuration has 5 problems:
  unknown option --bogus
  ${file}: unknown key datadir; did you mean data_dir?
  OVERLAYD_RUN_DIR: "run" is not an absolute path, like /var/lib/overlayd
  ${file}: join_port: "x" is not a port, a whole number from 1 to 65535
  --lease-ttl: "1s" is out of range: 2s to 5m`,
    });
  });

  it('that is no TOML is refused with the place', async () => {
    const file = write('broken.toml', 'data_dir = "/x"\njoin_port = \n');
    await expect(load(['--config', file])).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining(`${file}:2:`),
    });
  });

  it('that is named must exist', async () => {
    await expect(load(['--config', '/nowhere/o.toml'])).rejects.toMatchObject({
      message: 'there is no configuration file /nowhere/o.toml',
    });
  });
});

describe('what the commands need', () => {
  const load = (flags: Record<string, string>, environment: Record<string, string> = {}) =>
    loadForCommand(new Map(Object.entries(flags)), environment);

  it('is taken from the same places', async () => {
    const file = write('run.toml', 'run_dir = "/run/other"\ntraces = "http://192.0.2.7:4318"\n');
    const found = { runDir: '/run/other', traces: 'http://192.0.2.7:4318' };
    expect(await load({ '--config': file })).toEqual(found);
    expect(await load({ '--config': file }, { OVERLAYD_RUN_DIR: '/run/env' })).toEqual({
      ...found,
      runDir: '/run/env',
    });
    expect((await load({ '--run-dir': '/run/flag' }, { OVERLAYD_RUN_DIR: '/run/env' })).runDir).toBe('/run/flag');
    expect((await load({ '--config': file }, { OVERLAYD_TRACES: 'off' })).traces).toBeUndefined();
  });

  it('does not depend on the rest of the configuration', async () => {
    const file = write('rest.toml', 'run_dir = "/run/other"\njoin_port = 0\nbogus = 1\ntraces = "nowhere"\n');
    expect(await load({ '--config': file }, { OVERLAYD_BOGUS: '1' })).toEqual({
      runDir: '/run/other',
      traces: undefined,
    });
  });

  it('must be an absolute path, of the run directory', async () => {
    await expect(load({ '--run-dir': 'run' })).rejects.toThrow('--run-dir: "run" is not an absolute path');
  });
});
