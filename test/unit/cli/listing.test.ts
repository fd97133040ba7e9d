import { describe, expect, it } from 'vitest';
import { renderTable, shortId } from '../../../src/cli/table.ts';
import { ENDPOINT_ID, NETWORK_ID, NOW, network, run } from './fake-agent.ts';

describe('network ls', () => {
  it('is a table with short ids', async () => {
    const { out } = await run('network ls');
    expect(out).toBe(
      'NETWORK ID     NAME   SUBNET        VNI    ENDPOINTS   STATE\n5f1c0a9e7d3b   web    10.0.0.0/24   4096   1           active\n',
    );
  });

  it('prints whole ids when asked', async () => {
    expect((await run('network ls --no-trunc')).out).toContain(NETWORK_ID);
    expect((await run('network ls -q --no-trunc')).out).toBe(`${NETWORK_ID}\n`);
    expect((await run('network ls -q')).out).toBe('5f1c0a9e7d3b\n');
  });

  it('is one JSON array', async () => {
    const { out } = await run('network ls --format json');
    expect(JSON.parse(out)).toEqual([
      {
        ID: NETWORK_ID,
        Name: 'web',
        Driver: 'overlayd',
        Scope: 'global',
        Subnets: ['10.0.0.0/24'],
        Vni: 4096,
        Mtu: 1450,
        State: 'active',
        Endpoints: 1,
        Internal: false,
        Attachable: true,
        IPv4: true,
        IPv6: false,
        Encrypted: false,
        CreatedAt: '2026-03-01T12:00:00.000Z',
        Labels: { team: 'shop' },
        Options: {},
      },
    ]);
  });

  it('without networks is a heading, an empty array, or nothing', async () => {
    const answers = { listNetworks: () => ({ networks: [] }) };
    expect((await run('network ls', { answers })).out).toBe('NETWORK ID   NAME   SUBNET   VNI   ENDPOINTS   STATE\n');
    expect((await run('network ls --format json', { answers })).out).toBe('[]\n');
    expect((await run('network ls -q', { answers })).out).toBe('');
  });

  it.each([
    ['{{.Name}}', 'web\n'],
    ['{{.ID}}\\t{{ .Vni }}', `${NETWORK_ID}\t4096\n`],
    ['{{.Labels}} {{.Labels.team}} {{.Labels.none}}', 'team=shop shop <no value>\n'],
    ['{{json .Subnets}} {{.Subnets}}', '["10.0.0.0/24"] 10.0.0.0/24\n'],
    ['{{range .Subnets}}{{.}}{{end}}', '10.0.0.0/24\n'],
    ['table {{.Name}}\\t{{.CreatedAt}}', 'NAME   CREATED AT\nweb    2026-03-01T12:00:00.000Z\n'],
  ])('renders %s', async (template, expected) => {
    expect((await run(['network', 'ls', '--format', template])).out).toBe(expected);
  });

  it.each([
    ['{{.Nmae}}', 'no field Nmae in {{.Nmae}}; did you mean Name? there are ID, Name, Driver'],
    ['{{.Name.First}}', 'no field First in {{.Name.First}}; there are none below it'],
    ['{{.Name', 'it has no }}'],
    ['Name', 'is neither json, table nor a template'],
  ])('refuses %s', async (template, message) => {
    const { code, error } = await run(['network', 'ls', '--format', template]);
    expect(error).toContain(message);
    expect(code).toBe(2);
  });

  it.each([
    ['name=we', 1],
    ['name=^web$', 1],
    ['name=^we$', 0],
    ['name=(', 0],
    ['type=custom', 1],
    ['type=builtin', 0],
    ['name=db', 0],
    ['id=5f1c', 1],
    ['driver=overlay', 1],
    ['driver=bridge', 0],
    ['encrypted=false', 1],
    ['internal=true', 0],
    ['state=active', 1],
    ['scope=global', 1],
    ['label=team', 1],
    ['label=team=shop', 1],
    ['label=team=data', 0],
    ['dangling=true', 0],
    ['dangling=false', 1],
  ])('--filter %s leaves %i', async (filter, count) => {
    const { out } = await run(['network', 'ls', '-q', '--filter', filter]);
    expect(out.split('\n').filter((line) => line !== '')).toHaveLength(count);
  });

  it('filters of one key widen, of several keys narrow, labels always narrow', async () => {
    const ls = async (...filters: string[]) => {
      const { out } = await run(['network', 'ls', '-q', ...filters.flatMap((filter) => ['--filter', filter])]);
      return out !== '';
    };
    expect(await ls('name=db', 'name=web')).toBe(true);
    expect(await ls('name=web', 'scope=local')).toBe(false);
    expect(await ls('label=team', 'label=other')).toBe(false);
  });
});

describe('network inspect', () => {
  it('has Docker’s shape and our fields after it', async () => {
    const { out } = await run('network inspect web');
    expect(JSON.parse(out)).toEqual([
      {
        Name: 'web',
        Id: NETWORK_ID,
        Created: '2026-03-01T12:00:00.000Z',
        Scope: 'global',
        Driver: 'overlayd',
        EnableIPv4: true,
        EnableIPv6: false,
        IPAM: { Driver: 'overlayd', Options: {}, Config: [{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.1' }] },
        Internal: false,
        Attachable: true,
        Ingress: false,
        ConfigFrom: { Network: '' },
        ConfigOnly: false,
        Containers: {
          [ENDPOINT_ID]: {
            Name: 'api',
            EndpointID: ENDPOINT_ID,
            MacAddress: '02:42:0a:00:00:02',
            IPv4Address: '10.0.0.2/24',
            IPv6Address: 'fd00:0:0:1::2/64',
            Aliases: ['backend'],
            Node: 'host1',
            Tool: 'netns',
            Container: 'netns:c1',
            State: 'up',
            Health: '',
            GwPriority: 0,
            DriverOpts: {},
            Ports: [
              { Name: 'http', Port: 8080, Protocol: 'tcp' },
              { Port: 53, Protocol: 'udp' },
            ],
            Labels: { team: 'a' },
          },
        },
        Options: {},
        Labels: { team: 'shop' },
        Vni: 4096,
        Mtu: 1450,
        MtuLimitedBy: '',
        Encrypted: false,
        State: 'active',
        Addresses: { Total: 256, Used: 1, Reserved: 3, Quarantined: 2, Kept: 0, Free: 250 },
        AddressesIPv6: { Total: 0, Used: 0, Reserved: 0, Quarantined: 0, Kept: 0, Free: 0 },
        Kept: [],
      },
    ]);
  });

  it('keeps ranges and reserved addresses where there are some', async () => {
    const subnets = [
      { cidr: '10.0.0.0/24', gateway: '10.0.0.1', ipRange: '10.0.0.128/25', auxAddresses: { router: '10.0.0.9' } },
    ];
    const { out } = await run('network inspect web', { answers: { getNetwork: () => ({ ...network, subnets }) } });
    expect(JSON.parse(out)[0].IPAM.Config).toEqual([
      {
        Subnet: '10.0.0.0/24',
        IPRange: '10.0.0.128/25',
        Gateway: '10.0.0.1',
        AuxiliaryAddresses: { router: '10.0.0.9' },
      },
    ]);
  });

  it('lists what it keeps for names', async () => {
    const kept = [{ name: 'db', addresses: ['10.0.0.5', 'fd00::5'], releasedAtMs: NOW, releasedBy: 'host2' }];
    const { out } = await run('network inspect web', { answers: { getNetwork: () => ({ ...network, kept }) } });
    expect(JSON.parse(out)[0].Kept).toEqual([
      {
        ...{ Name: 'db', Addresses: ['10.0.0.5', 'fd00::5'] },
        ...{ ReleasedAt: '2026-03-01T12:00:00.000Z', ReleasedBy: 'host2' },
      },
    ]);
  });

  it('renders a template for each', async () => {
    const { out } = await run(['network', 'inspect', '-f', '{{.Name}} {{.Addresses.Free}}', 'web', 'web']);
    expect(out).toBe('web 250\nweb 250\n');
  });
});

describe('tables', () => {
  it('keep control characters of foreign names from the terminal', () => {
    const table = renderTable([{ heading: 'NAME', cell: (name: string) => name }], ['a\x1b[31mb\n']);
    expect(table).toBe('NAME\na?[31mb?');
  });

  it('shorten ids to twelve characters', () => {
    expect(shortId(NETWORK_ID)).toBe('5f1c0a9e7d3b');
    expect(shortId('abc')).toBe('abc');
  });
});

describe('colours', () => {
  it.each([
    [true, {}, true],
    [true, { NO_COLOR: '1' }, false],
    [false, {}, false],
  ])('on a terminal: %s, environment %o', async (output, environment, expected) => {
    const { out } = await run('status', {
      surroundings: { environment, terminal: { input: false, output, error: false } },
    });
    expect(out.includes('\x1b[32mready')).toBe(expected);
  });
});

it('JSON leaves no control character for a terminal, and none out', async () => {
  const labels = { a: 'x\x1b[31m\x9b2J' };
  const answers = { listNetworks: () => ({ networks: [{ ...network, labels }] }) };
  const { out } = await run('network ls --format json', { answers });
  expect(out).toContain('x\\u001b[31m\\u009b2J');
  expect(JSON.parse(out)).toMatchObject([{ Labels: labels }]);
});

describe('what one thing shows', () => {
  it.each([
    ['status', '{{.State}} {{range .Peers}}{{.Name}}{{end}}', 'ready host2\n'],
    ['version', '{{.Version}}', expect.stringMatching(/^\d+\.\d+\.\d+\n$/)],
    ['ca status', '{{.Phase}}', 'trust\n'],
    ['store status', '{{len .Members}}', '0\n'],
    ['doctor', '{{len .Findings}}', '0\n'],
    ['drift', '{{len .Drift}}', '0\n'],
    ['ipam check', '{{len .Findings}}', expect.stringMatching(/^\d+\n$/)],
  ])('%s is rendered by a template, too', async (command, template, expected) => {
    const answers = { checkIpam: () => ({ findings: [], revision: 7 }) };
    const { out, error } = await run([...command.split(' '), '--format', template], { answers });
    expect([out, error]).toEqual([expected, '']);
  });

  it('refuses a template that does not fit', async () => {
    const { code, error } = await run(['status', '--format', '{{.Stat}}']);
    expect([code, error]).toEqual([2, expect.stringContaining('no field Stat in {{.Stat}}; did you mean State?')]);
  });
});
