import { describe, expect, it } from 'vitest';
import { refuseEndpointOptions } from '../../../../src/core/docker/endpoint-options.ts';

const PREFIX = 'com.docker.network.endpoint';
const SYSCTLS = { [`${PREFIX}.sysctls`]: 'net.ipv4.conf.IFNAME.log_martians=1' };

describe('options of an endpoint', () => {
  it.each([
    [{}, '20.10.24'],
    [SYSCTLS, '27.0.1'],
    [SYSCTLS, '28.5.2+dfsg4'],
    [SYSCTLS, undefined],
  ])('%j with Docker %s is left to the engine', (options, version) => {
    expect(refuseEndpointOptions(options, version)).toBeUndefined();
  });

  it.each([
    [{ weight: '3' }, 'unknown --driver-opt "weight"'],
    [{ [`${PREFIX}.bogus`]: '1' }, `unknown --driver-opt "${PREFIX}.bogus"`],
    [{ [`${PREFIX}.ifname`]: 'lan0' }, 'names the interfaces'],
    [{ ...SYSCTLS, weight: '3' }, 'unknown --driver-opt "weight"'],
  ])('%j is refused', (options, words) => {
    expect(refuseEndpointOptions(options, '28.5.2')).toContain(words);
  });

  it('what an old engine drops is refused there', () => {
    expect(refuseEndpointOptions(SYSCTLS, '26.1.5+dfsg1')).toContain('Docker 26.1.5+dfsg1 does not set it');
  });
});
