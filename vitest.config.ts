import { defineConfig } from 'vitest/config';

const suite = (name: string, options: Record<string, unknown> = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], expect: { poll: { timeout: 120_000 } }, ...options },
});

/**
 * One project per kind of test: see docs/testing.md. Files of `unit` leave nothing behind that another would find changed, so a
 * worker loads what they share once. Those of `netns` and `e2e` share the machine, and no more: each has namespaces of its
 * own. They wait for most of their time, so that more of them run at once than there are processors. `room` fills what there
 * is room in, and has the machine for itself. Limits are there to end what hangs, on a machine with ten times the work it has
 * processors too.
 */
export default defineConfig({
  test: {
    projects: [
      suite('unit', { isolate: false, testTimeout: 180_000, hookTimeout: 180_000 }),
      suite('sim', { testTimeout: 600_000, hookTimeout: 180_000 }),
      suite('page', { testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false }),
      suite('netns', { testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 2 }),
      suite('e2e', { testTimeout: 600_000, hookTimeout: 600_000, maxWorkers: 2 }),
      suite('room', { testTimeout: 600_000, hookTimeout: 600_000, fileParallelism: false }),
      suite('tools', { testTimeout: 600_000, hookTimeout: 600_000, fileParallelism: false }),
    ],
  },
});
