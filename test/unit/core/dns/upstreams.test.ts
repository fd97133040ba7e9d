import { describe, expect, it } from 'vitest';
import { parseUpstreams, refuseUselessUpstreams } from '../../../../src/core/dns/upstreams.ts';

describe('name servers of a network', () => {
  it.each([
    ['192.0.2.53', ['192.0.2.53']],
    ['192.0.2.53:5353, 192.0.2.54:53', ['192.0.2.53:5353', '192.0.2.54']],
    ['2001:DB8:0::53', ['2001:db8::53']],
    ['[2001:db8::53]', ['2001:db8::53']],
    ['[2001:db8::53]:5353,127.0.0.1', ['[2001:db8::53]:5353', '127.0.0.1']],
  ])('%s', (list, servers) => {
    expect(parseUpstreams(list)).toEqual(servers);
    expect(parseUpstreams(servers.join())).toEqual(servers);
  });

  it.each([
    ...['', ',', '192.0.2.53,', 'dns.example', '192.0.2.53:', '192.0.2.53:0', '192.0.2.53:65536', '192.0.2.53#53'],
    ...['2001:db8::53:99999', '[192.0.2.53]:53', '[2001:db8::53', 'fe80::1%eth0', '192.0.2.053'],
    ...['192.0.2.1,192.0.2.1:53', '192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4'],
  ])('not %j', (list) => {
    expect(parseUpstreams(list)).toBeUndefined();
  });

  it.each([
    ['0.0.0.0', 'stands for no host'],
    ['::', 'stands for no host'],
    ['224.0.0.251', 'stands for many hosts'],
    ['255.255.255.255:5353', 'stands for many hosts'],
    ['ff02::fb', 'stands for many hosts'],
    ['fe80::1', 'means another host on every link'],
    ['169.254.53.53', 'is where overlayd itself answers'],
    ['::ffff:192.0.2.53', 'write 192.0.2.53'],
  ])('%s is useless', (server, words) => {
    expect(() => refuseUselessUpstreams(['192.0.2.53', server], 'dns')).toThrow(words);
  });

  it('of a cloud and of each host itself are fine', () => {
    refuseUselessUpstreams(['169.254.169.253', '127.0.0.53', '::1', 'fd00::53'], 'dns');
  });
});
