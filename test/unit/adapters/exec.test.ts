import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createExec } from '../../../src/adapters/exec.ts';

const { run } = createExec();

describe('a command', () => {
  it('gives its exit code and both outputs as they are', async () => {
    expect(await run(['sh', '-c', 'echo ä; echo bad >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'ä\n',
      stderr: 'bad\n',
    });
  });

  it('reads its input to the end, and gives all of a large output', async () => {
    const lines = Array.from({ length: 20_000 }, (_, row) => `{"name":"ü→${row}"}\n`);
    const input = lines.join('');
    const { code, stdout } = await run(['cat'], { input });
    expect(code).toBe(0);
    expect(stdout === input).toBe(true);
  });

  it('keeps nothing open', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    await run(['true']);
    const before = open();
    for (const argv of [['no-such-program'], ['sh', '-c', 'echo half; kill -9 $$']])
      await expect(run(argv)).rejects.toThrow();
    for (let turn = 0; turn < 5; turn += 1) await run(['cat'], { input: 'x' });
    expect(open() - before).toBeLessThan(3);
  });

  it('may leave its input unread, and reads nothing where it is given nothing', async () => {
    expect(await run(['true'], { input: 'x'.repeat(1_000_000) })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await run(['cat'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('has a path and plain words in its environment, and nothing else of ours', async () => {
    const { stdout } = await run(['env']);
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['LC_ALL=C', `PATH=${process.env.PATH}`]);
  });

  it('is told to be missing', async () => {
    await expect(run(['no-such-program'])).rejects.toMatchObject({
      code: 'tool-missing',
      message: expect.stringContaining('"no-such-program" is not on this host'),
    });
  });

  it('fails when it cannot be started', async () => {
    for (const argv of [['/'], ['echo', 'x'.repeat(3_000_000)]])
      await expect(run(argv)).rejects.toMatchObject({ code: 'data-path-failed', retryable: true });
  });

  it('fails when somebody kills it', async () => {
    await expect(run(['sh', '-c', 'kill -9 $$'])).rejects.toMatchObject({
      code: 'data-path-failed',
      retryable: true,
      message: expect.stringContaining('SIGKILL'),
    });
  });

  it('ends with the signal', async () => {
    const quit = new AbortController();
    const ended = run(['sleep', '60'], { signal: quit.signal });
    quit.abort();
    await expect(ended).rejects.toMatchObject({ code: 'cancelled' });
    await expect(run(['true'], { signal: quit.signal })).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is one of many, each with its own outcome', async () => {
    const all = Array.from({ length: 60 }, (_, n) => run(['sh', '-c', `cat; exit ${n}`], { input: `${n}` }));
    expect(await Promise.all(all)).toEqual(all.map((_, n) => ({ code: n, stdout: `${n}`, stderr: '' })));
  });
});
