import { expect, it } from 'vitest';
import { areOthers, engineKnowsMore } from '../../../../src/agent/engine/other-names.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import type { EngineContainer } from '../../../../src/core/engine/engine.ts';

const on = (...endpointIds: readonly string[]) =>
  ({ networks: endpointIds.map((endpointId) => ({ endpointId })) }) as unknown as EngineContainer;
const byEngine = (endpointId: string) =>
  endpointId.startsWith('ours')
    ? ({ engine: endpointId === 'ours-with-servers' ? { otherServers: true } : {} } as LocalEndpoint)
    : undefined;

it.each([
  ['on our networks alone', on('ours1', 'ours2'), false],
  ['on one of its engine’s', on('ours1', 'bridge'), true],
  ['with links', { ...on('ours1'), linked: true }, true],
  ['with servers of its own', { ...on('ours1'), nameServers: ['192.0.2.1', '169.254.53.53'] }, true],
  ['with servers that its engine told when it was connected', on('ours1', 'ours-with-servers'), true],
  ['that is told to ask us first', { ...on('ours1'), nameServers: ['169.254.53.53', '192.0.2.1'] }, false],
])('a container %s', (_, container, more) => {
  expect(engineKnowsMore(container, byEngine)).toBe(more);
});

it('no servers are the host’s, not others', () => {
  expect(areOthers([])).toBe(false);
});
