import { expect, it } from 'vitest';
import { run } from './fake-agent.ts';

it('expose asks for what was typed, one address of each family, and prints those that it got', async () => {
  const { out, asked } = await run(
    'network expose --address FD00:20::5 --address 10.20.0.5 --name gate --alias files --alias nfs web',
  );
  expect(asked).toEqual([
    ['expose', { network: 'web', name: 'gate', aliases: ['files', 'nfs'], ip: '10.20.0.5', ip6: 'fd00:20::5' }],
  ]);
  expect(out).toBe('10.0.0.2\nfd00:0:0:1::2\n');
});

it('says how the host finds names, unless its resolver was told', async () => {
  const { error } = await run('network expose web');
  expect(error).toContain('server=/web.overlayd.internal/10.0.0.1');
  const told = { nameServers: ['10.0.0.1'], domain: 'web.overlayd.internal', namesAsked: true };
  const quiet = await run('network expose --format json web', { answers: { expose: () => told } });
  expect(quiet.error).toBe('');
  expect(JSON.parse(quiet.out)).toMatchObject({ NameServers: ['10.0.0.1'], Domain: told.domain, NamesAsked: true });
});

it('refuses two addresses of one family, and what is none', async () => {
  const two = await run('network expose --address 10.0.0.5 --address 10.0.0.6 web');
  expect([two.code, two.error]).toEqual([2, expect.stringContaining('both of IPv4; give one of each family')]);
  const none = await run('network expose --address web web');
  expect([none.code, none.error]).toEqual([2, expect.stringContaining('Write an IP address')]);
});

it('unexpose asks for that', async () => {
  expect((await run('network unexpose web')).asked).toEqual([['unexpose', { ref: 'web' }]]);
});
