import { describe, expect, it } from 'vitest';
import {
  checkOptions,
  differingOption,
  networkSettings,
  OPTION_SPELLINGS,
  type Options,
  REFUSED_OPTIONS,
  withEncryption,
} from '../../../src/core/network-options.ts';

const check = (options: Options, internal = false) => checkOptions(options, { internal });
const settings = (options: Options) => networkSettings({ options });

describe('an option', () => {
  it.each<[Options, object]>([
    [{}, { betweenContainers: true, masquerade: true, interfacePrefix: 'eth', vni: undefined }],
    [{}, { gatewayModes: { 4: 'nat', 6: 'nat' } }],
    [{ mtu: '1400' }, { innerMtu: 1400, underlayMtu: undefined }],
    [{ 'com.docker.network.driver.mtu': '1450' }, { underlayMtu: 1450, innerMtu: undefined }],
    [{ vxlanid_list: '4100' }, { vni: 4100 }],
    [{ 'com.docker.network.driver.overlay.vxlanid_list': '4100' }, { vni: 4100 }],
    [{ enable_icc: 'false' }, { betweenContainers: false }],
    [{ 'com.docker.network.bridge.enable_icc': 'F' }, { betweenContainers: false }],
    [{ enable_icc: 'TRUE' }, { betweenContainers: true }],
    [{ enable_ip_masquerade: '0' }, { masquerade: false, gatewayModes: { 4: 'nat', 6: 'nat' } }],
    [{ 'com.docker.network.bridge.gateway_mode_ipv4': 'routed' }, { gatewayModes: { 4: 'routed', 6: 'nat' } }],
    [{ 'com.docker.network.bridge.gateway_mode_ipv6': 'routed' }, { gatewayModes: { 4: 'nat', 6: 'routed' } }],
    [{ gateway_mode_ipv6: 'nat' }, { gatewayModes: { 4: 'nat', 6: 'nat' } }],
    [{ container_iface_prefix: 'lan' }, { interfacePrefix: 'lan' }],
    [{ 'com.docker.network.container_iface_prefix': 'lan' }, { interfacePrefix: 'lan' }],
    [{}, { upstreams: [], multicastRate: undefined }],
    [{ multicast: 'false' }, { multicastRate: undefined }],
    [{ multicast: 'true' }, { multicastRate: 100 }],
    [{ multicast: '1', multicast_rate: '5000' }, { multicastRate: 5000 }],
    [{ multicast: 'true', enable_icc: 'true' }, { multicastRate: 100 }],
    [{}, { encrypted: false }],
    [{ encrypted: '' }, { encrypted: true }],
    [{ encrypted: 'true' }, { encrypted: true }],
    [{ encrypted: '0' }, { encrypted: false }],
    [{ dns: '192.0.2.53, [2001:DB8::53]:5353' }, { upstreams: ['192.0.2.53', '[2001:db8::53]:5353'] }],
  ])('%j means %j', (options, meaning) => {
    check(options);
    expect(settings(options)).toMatchObject(meaning);
  });

  it.each<[Options, string, string]>([
    [{ mtv: '1400' }, 'unknown-option', 'unknown option "mtv"; did you mean "mtu"?'],
    [{ enable_ic: 'false' }, 'unknown-option', 'did you mean "enable_icc"?'],
    [{ 'com.docker.network.bridge.enable_ic': '1' }, 'unknown-option', '"com.docker.network.bridge.enable_icc"?'],
    [{ frobnicate: '1' }, 'unknown-option', 'unknown option "frobnicate". Known options: mtu,'],
    [{ internal: '' }, 'unknown-option', 'it is a flag; write --internal'],
    [{ encrypted: 'yes' }, 'invalid-argument', 'option encrypted: "yes" is not true or false'],
    [{ encrypt: '' }, 'unknown-option', 'did you mean "encrypted"?'],
    [{ 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' }, 'unknown-option', 'docker_gwbridge'],
    [{ host_binding_ipv4: '127.0.0.1' }, 'unknown-option', 'docker run -p 192.0.2.1:8080:80'],
    [{ enable_icc: '' }, 'invalid-argument', 'option enable_icc: "" is not true or false'],
    [{ enable_icc: 'off' }, 'invalid-argument', '"off" is not true or false'],
    [{ gateway_mode_ipv4: 'nat-unprotected' }, 'invalid-argument', 'is not nat, routed or isolated'],
    [{ gateway_mode_ipv4: 'isolated' }, 'invalid-argument', 'only be used for an internal network; add --internal'],
    [{ gateway_mode_ipv6: 'bridged' }, 'invalid-argument', 'is not nat, routed or isolated'],
    [{ gateway_mode_ipv6: 'isolated' }, 'invalid-argument', 'option gateway_mode_ipv6: gateway mode'],
    [{ ipv6: 'true' }, 'unknown-option', 'it is a flag; write --ipv6'],
    [{ 'com.docker.network.enable_ipv6': 'true' }, 'unknown-option', 'write --ipv6'],
    [{ 'com.docker.network.enable_ipv4': 'false' }, 'unknown-option', 'write --ipv4=false'],
    [
      { 'com.docker.network.host_ipv6': '2001:db8::1' },
      'unknown-option',
      '-o gateway_mode_ipv6=routed leaves it alone',
    ],
    [{ container_iface_prefix: 'a/b' }, 'invalid-argument', 'is not 1 to 12 letters'],
    [{ container_iface_prefix: 'thirteenchars' }, 'invalid-argument', 'is not 1 to 12 letters'],
    [{ enable_icc: '1', 'com.docker.network.bridge.enable_icc': '1' }, 'invalid-argument', 'are the same'],
    [{ gateway_mode_ipv4: 'routed', enable_ip_masquerade: 'true' }, 'invalid-argument', 'contradict each other'],
    [{ gateway_mode_ipv6: 'routed', enable_ip_masquerade: 'true' }, 'invalid-argument', 'contradict each other'],
    [{ mtu: '1400', 'com.docker.network.driver.mtu': '1450' }, 'invalid-argument', 'the same thing twice'],
    [{ vxlanid_list: '16777216' }, 'invalid-argument', 'is not a whole number from 1 to 16777215'],
    [{ dns: 'ns.example' }, 'invalid-argument', 'option dns: "ns.example" is not a list of 1 to 3 different addresses'],
    [{ dns: '0.0.0.0' }, 'invalid-argument', 'option dns: 0.0.0.0 stands for no host'],
    [{ multicast: 'yes' }, 'invalid-argument', 'option multicast: "yes" is not true or false'],
    [{ multicast: 'true', multicast_rate: '0' }, 'invalid-argument', 'is not a whole number from 1 to 50000'],
    [{ multicast_rate: '500' }, 'invalid-argument', 'limits what -o multicast=true sends; add that'],
    [{ multicast: 'true', enable_icc: '0' }, 'invalid-argument', 'options multicast and enable_icc contradict'],
    [{ multicas: 'true' }, 'unknown-option', 'did you mean "multicast"?'],
    [{ constructor: 'x' }, 'unknown-option', 'unknown option "constructor"'],
  ])('%j is refused', (options, code, message) => {
    const refusal = expect.objectContaining({ code, message: expect.stringContaining(message) });
    expect(() => check(options)).toThrow(refusal);
  });

  it('isolated is for an internal network', () => {
    check({ gateway_mode_ipv4: 'isolated' }, true);
    check({ gateway_mode_ipv4: 'isolated', gateway_mode_ipv6: 'isolated' }, true);
    check({ gateway_mode_ipv4: 'routed', enable_ip_masquerade: 'false' });
  });

  it('name servers are for a network that asks outside', () => {
    expect(() => check({ dns: '192.0.2.53' }, true)).toThrow('nothing that an internal network asks leaves it');
  });

  it('that a record has and nobody could have given means what none means', () => {
    expect(settings({ mtu: 'large', enable_icc: 'maybe', gateway_mode_ipv4: 'new' })).toEqual(settings({}));
    expect(settings({ multicast: 'true', enable_icc: 'false' })).toEqual(settings({ enable_icc: 'false' }));
  });

  it('of encryption that nobody could have given means encryption', () => {
    expect(settings({ encrypted: 'by a newer release' }).encrypted).toBe(true);
  });

  it('of encryption is what the cluster says, where it says so', () => {
    expect(withEncryption({ mtu: '1400' }, undefined)).toEqual({ mtu: '1400' });
    expect(withEncryption({ mtu: '1400' }, 'default')).toEqual({ mtu: '1400', encrypted: 'true' });
    expect(withEncryption({ encrypted: 'false' }, 'default')).toEqual({ encrypted: 'false' });
    expect(withEncryption({}, 'required')).toEqual({ encrypted: 'true' });
    expect(withEncryption({ encrypted: '' }, 'required')).toEqual({ encrypted: '' });
    const refusal = expect.objectContaining({
      code: 'invalid-argument',
      message: expect.stringContaining('this cluster was made with --encrypt=required'),
    });
    expect(() => withEncryption({ encrypted: 'false' }, 'required')).toThrow(refusal);
  });

  it('is the same by whatever name and value', () => {
    const short = { enable_icc: 'false' };
    expect(differingOption({ 'com.docker.network.bridge.enable_icc': '0' }, short)).toBeUndefined();
    expect(differingOption({ enable_icc: 'true' }, {})).toBeUndefined();
    expect(differingOption({}, short)).toBeUndefined();
    expect(differingOption({ enable_icc: 'true' }, short)).toBe('enable_icc');
    expect(differingOption({ mtu: '1400' }, {})).toBe('mtu');
    expect(differingOption({ new: '1' }, {})).toBe('new');
    expect(differingOption({ new: '1' }, { new: '1' })).toBeUndefined();
  });

  it('has no spelling of another, nor of one that is refused', () => {
    const spellings = OPTION_SPELLINGS.flat();
    expect(new Set(spellings).size).toBe(spellings.length);
    expect(spellings.filter((each) => REFUSED_OPTIONS.includes(each))).toEqual([]);
  });
});
