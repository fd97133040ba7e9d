import { describe, expect, it } from 'vitest';
import type { EngineContainer } from '../../../../src/core/engine/engine.ts';
import { isGivenUp } from '../../../../src/core/engine/given-up.ts';

const attached = { network: 'web', networkId: 'n1', endpointId: '', addresses: [], aliases: [] };
const container = (overrides: Partial<EngineContainer>): EngineContainer => ({
  ...{ id: 'c1', name: 'api', hostname: '', pid: 0, restarts: true, ran: true, networks: [attached], ports: [] },
  failure: 'failed to create endpoint api on network web: remote: etcd does not answer (store-unavailable)',
  ...overrides,
});
const ours = (id: string) => id === 'n1';

describe('what an engine gave up on because of us', () => {
  it.each([
    'failed to create endpoint api on network web: NetworkDriver.CreateEndpoint: x was not done within 12 s (cancelled)',
    'remote: this host is not a member of a cluster; make one with … (not-joined)',
    'legacy plugin: plugin not found',
    'plugin "overlayd" not found',
    'remote: the overlayd agent does not start: journalctl -u overlayd says why (agent-not-running)',
    'error while looking up IPAM driver: Post "http://%2Frun%2Fdocker%2Fplugins%2Foverlayd.sock/…": connection refused',
  ])('is told by its words: %s', (failure) => {
    expect(isGivenUp(container({ failure }), ours)).toBe(true);
  });

  it.each<[string, Partial<EngineContainer>]>([
    ['runs', { pid: 7 }],
    ['has not run yet', { ran: false }],
    ['is not to be restarted', { restarts: false }],
    ['did not fail', { failure: '' }],
    ['failed by itself', { failure: 'exec: "nope": executable file not found in $PATH' }],
    [
      'was refused for good',
      { failure: 'remote: address already in use: 10.0.0.9 belongs to x on h2 (address-in-use)' },
    ],
    [
      'has no plugin for its volumes',
      { failure: 'error looking up volume plugin nas: legacy plugin: plugin not found' },
    ],
    ['is on none of our networks', { networks: [{ ...attached, networkId: 'other' }] }],
  ])('is not what %s', (_, overrides) => {
    expect(isGivenUp(container(overrides), ours)).toBe(false);
  });
});
