import { describe, expect, it } from 'vitest';
import {
  checkEndpointOptions,
  interfaceSettings,
  refuseEndpointOptions,
  refuseGatewayPriority,
} from '../../../src/core/endpoint-options.ts';

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

describe('options of our own connect', () => {
  it('become settings of the interface, whatever it is called', () => {
    const options = {
      [`${PREFIX}.sysctls`]: 'net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=5',
    };
    checkEndpointOptions(options);
    expect(interfaceSettings(options, 'lan0.1')).toEqual([
      { key: 'net/ipv4/conf/lan0.1/log_martians', value: '1', required: true },
      { key: 'net/ipv4/neigh/lan0.1/ucast_solicit', value: '5', required: true },
    ]);
    expect(interfaceSettings(undefined, 'eth0')).toEqual([]);
  });

  it.each([
    [{ [`${PREFIX}.sysctl`]: 'x' }, 'unknown-option', `did you mean "${PREFIX}.sysctls"?`],
    [{ weight: '3' }, 'unknown-option', `Known options: ${PREFIX}.ifname, ${PREFIX}.sysctls`],
    [
      { [`${PREFIX}.sysctls`]: 'net.ipv4.ip_forward=1' },
      'invalid-argument',
      '"net.ipv4.ip_forward=1" is not a setting',
    ],
    [{ [`${PREFIX}.sysctls`]: '' }, 'invalid-argument', '"" is not a setting'],
    [{ [`${PREFIX}.sysctls`]: 'net.ipv4.conf.IFNAME.../../x=1' }, 'invalid-argument', 'is not a setting'],
  ])('%j are refused', (options, code, message) => {
    const refusal = expect.objectContaining({ code, message: expect.stringContaining(message) });
    expect(() => checkEndpointOptions(options)).toThrow(refusal);
  });
});

it('a priority of the way out is for an engine that knows it', () => {
  expect(refuseGatewayPriority('26.1.5')).toContain('Docker 26.1.5 chooses the way out by itself');
  expect(refuseGatewayPriority('28.5.2')).toBeUndefined();
  expect(refuseGatewayPriority(undefined)).toBeUndefined();
});
