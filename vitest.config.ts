import { defineConfig } from 'vitest/config';

const suite = (name: string, options: Record<string, unknown> = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], ...options },
});

/** One project per kind of test: see docs/testing.md. The kernel suites run file by file, they share the machine. */
export default defineConfig({
  test: {
    projects: [
      suite('unit', { testTimeout: 60_000 }),
      suite('sim', { testTimeout: 120_000 }),
      suite('netns', { testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false }),
      suite('e2e', { testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false }),
    ],
  },
});
