import { expect, it } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { memoryFiles, run } from './fake-agent.ts';

it('connect guesses that a namespace is meant, where there is one of that name', async () => {
  const files = memoryFiles(new Map([['/run/netns/c1', '']]));
  const connect = () => {
    throw new OverlaydError('engine-unavailable', 'the Docker Engine cannot be reached');
  };
  const options = { answers: { connect }, surroundings: { files } };
  const { code, error } = await run('network connect web c1', options);
  expect([code, error]).toEqual([1, 'overlayd: the Docker Engine cannot be reached. Did you mean netns:c1?\n']);
  expect((await run('network connect web c2', options)).error).toBe('overlayd: the Docker Engine cannot be reached\n');
});
