import { describe, expect, it } from 'vitest';
import { NETWORK_ID, run } from './fake-agent.ts';

describe('service', () => {
  it('create asks for what was typed and prints the addresses', async () => {
    const { out, asked } = await run('service create --network web --alias api --ip 10.20.0.100');
    expect(asked).toEqual([['createService', { network: 'web', alias: 'api', ip: '10.20.0.100', ip6: '' }]]);
    expect(out).toBe('10.20.0.100\nfd00:20::100\n');
    const { code, error } = await run('service create --network web');
    expect(code).toBe(2);
    expect(error).toContain("'--alias <alias>'");
  });

  it('rm names what is gone', async () => {
    const { out, asked } = await run('service rm web api');
    expect([out, asked]).toEqual(['api.web\n', [['removeService', { network: 'web', alias: 'api' }]]]);
  });

  it('ls is a table that counts containers once, or JSON; inspect says why one is sent nothing', async () => {
    const { out, asked } = await run('service ls web');
    expect(asked).toEqual([['listServices', { network: 'web' }]]);
    expect(out).toBe(
      'NETWORK   ALIAS   ADDRESS                     CONTAINERS\nweb       api     10.20.0.100, fd00:20::100   1 of 2\n',
    );
    const [listed] = JSON.parse((await run('service ls --format json')).out);
    const { out: inspected, asked: of } = await run('service inspect web api');
    expect(of).toEqual([['getService', { network: 'web', alias: 'api' }]]);
    expect(JSON.parse(inspected)).toEqual([listed]);
    expect(listed).toMatchObject({ Network: 'web', NetworkID: NETWORK_ID, Alias: 'api' });
    expect(listed.Backends[2]).toEqual({
      ...{ Endpoint: '2'.repeat(64), Name: 'api-2', Node: 'host2', Address: '10.20.0.6', Out: 'unhealthy' },
    });
  });
});
