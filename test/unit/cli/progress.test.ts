import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { withProgress } from '../../../src/cli/progress.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function start(terminal: boolean) {
  const written: string[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  let report: (message: string) => void = () => {};
  const output = { writeError: (text: string) => written.push(text), terminal: { error: terminal }, columns: 20 };
  const done = withProgress(output, 'waiting', (onProgress) => {
    report = onProgress;
    return promise;
  });
  return { written, resolve, done, report: (message: string) => report(message) };
}

it('says nothing about what takes less than two seconds', async () => {
  const { written, resolve, done, report } = start(false);
  report('starting etcd');
  await vi.advanceTimersByTimeAsync(1_999);
  resolve('done');
  expect(await done).toBe('done');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(written).toEqual([]);
});

it('writes plain lines where there is no terminal, each once', async () => {
  const { written, resolve, done, report } = start(false);
  await vi.advanceTimersByTimeAsync(2_000);
  report('starting etcd');
  report('starting etcd');
  report('writing records');
  resolve('');
  await done;
  expect(written).toEqual(['waiting\n', 'starting etcd\n', 'writing records\n']);
});

it('updates one line on a terminal, no longer than it is wide, and removes it', async () => {
  const { written, resolve, done, report } = start(true);
  await vi.advanceTimersByTimeAsync(2_000);
  report('a message that is longer than the line');
  resolve('');
  await done;
  expect(written).toEqual(['\r\x1b[Kwaiting', '\r\x1b[Ka message that is l', '\r\x1b[K']);
});

it('removes the line when the request fails, too', async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  const written: string[] = [];
  const output = { writeError: (text: string) => written.push(text), terminal: { error: true }, columns: 80 };
  const done = withProgress(output, 'waiting', () => promise);
  await vi.advanceTimersByTimeAsync(2_000);
  reject(new Error('refused'));
  await expect(done).rejects.toThrow('refused');
  expect(written.at(-1)).toBe('\r\x1b[K');
});
