import { expect, it } from 'vitest';
import type { JobName, LookAnswer, Tell } from '../../../../src/adapters/kernel/jobs.ts';
import { createKernel } from '../../../../src/adapters/kernel/kernel.ts';

const NOTHING = { host: false, networks: [], containers: [], ports: [] };

it('has connections listed once, after the first look, and hears nothing of it', async () => {
  const asked: JobName[] = [];
  const thread = {
    async ask<K extends JobName>(job: K): Promise<Tell<K>> {
      asked.push(job);
      if (job === 'listFlows') throw new Error('no connection tracking');
      const answer: LookAnswer = { host: undefined, networks: [], insides: [], ids: [] };
      return answer as Tell<K>;
    },
  };
  const kernel = createKernel({ thread, isAlive: async () => true });
  await kernel.observe(NOTHING);
  await kernel.observe(NOTHING);
  expect(asked).toEqual(['look', 'listFlows', 'look']);
});
