/** Which families `network create` asks for, and how those of a network are shown. */
import { describe, expect, it } from 'vitest';
import { network, run } from './fake-agent.ts';

describe('a network', () => {
  it.each<[line: string, ipv4: boolean | undefined, ipv6: boolean]>([
    ['network create --ipv6 web', undefined, true],
    ['network create --ipv6=false --ipv4 web', true, false],
    ['network create --ipv4=false --ipv6=true web', false, true],
    ['network create --ipv6 --subnet fd00:1::/64 --gateway fd00:1::9 web', undefined, true],
  ])('%s says ipv4: %s, ipv6: %s', async (line, ipv4, ipv6) => {
    const { asked } = await run(line);
    expect(asked).toMatchObject([['createNetwork', { ...(ipv4 === undefined ? {} : { ipv4 }), ipv6 }]]);
    expect('ipv4' in (asked[0]![1] as object)).toBe(ipv4 !== undefined);
  });

  it.each<[subnets: readonly string[], ipv4: boolean, ipv6: boolean]>([
    [['10.0.0.0/24', 'fd00:1::/64'], true, true],
    [['fd00:1::/64'], false, true],
  ])('with the subnets %j is shown with IPv4: %s, IPv6: %s', async (cidrs, ipv4, ipv6) => {
    const subnets = cidrs.map((cidr) => ({ ...network.subnets[0]!, cidr }));
    const shown = { ...network, subnets };
    const answers = { getNetwork: () => shown, listNetworks: () => ({ networks: [shown] }) };
    const inspected = JSON.parse((await run('network inspect web', { answers })).out);
    expect(inspected).toMatchObject([{ EnableIPv4: ipv4, EnableIPv6: ipv6 }]);
    const listed = JSON.parse((await run('network ls --format json', { answers })).out);
    expect(listed).toMatchObject([{ IPv4: ipv4, IPv6: ipv6 }]);
  });
});
