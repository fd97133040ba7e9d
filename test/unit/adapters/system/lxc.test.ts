import { expect, it } from 'vitest';
import { lxcInitOf } from '../../../../src/adapters/system/lxc.ts';

const answers =
  (code: number, stdout: string, stderr = '') =>
  async () => ({ code, stdout, stderr });

it('is the process that LXC names', async () => {
  const asked: (readonly string[])[] = [];
  const run = async (argv: readonly string[]) => {
    asked.push(argv);
    return { code: 0, stdout: '4711\n', stderr: '' };
  };
  expect(await lxcInitOf(run, 'db')).toBe(4711);
  expect(asked).toEqual([['lxc-info', '--name', 'db', '--no-humanize', '--pid']]);
});

it('says what to do where it does not run, and where there is none', async () => {
  await expect(lxcInitOf(answers(0, ''), 'db')).rejects.toThrow(/does not run; `lxc-start db`/);
  await expect(lxcInitOf(answers(1, '', "db doesn't exist\n"), 'db')).rejects.toMatchObject({
    code: 'namespace-not-found',
    message: expect.stringContaining('lxc-ls'),
  });
});
