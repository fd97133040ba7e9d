import { describe, expect, it } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { ENDPOINT_ID, endpoint, joined, NETWORK_ID, NODE_ID, NOW, node, run, TOKEN, token } from './fake-agent.ts';

describe('cluster', () => {
  it('init asks for what was typed and prints the join line', async () => {
    const { code, out, asked } = await run(
      'init --advertise-addr 10.9.0.1 --data-path-port 4790 --label rack=7 --label ssd --default-addr-pool 172.30.0.0/16 --default-addr-pool-mask-length 26',
    );
    expect(code).toBe(0);
    expect(out).toBe(
      `Cluster c1d2 created; this node host1 is its first member.\nTo add a host, run there:\n\n    overlayd join --token ${TOKEN} 10.9.0.1:2377\n\n`,
    );
    expect(asked).toEqual([
      [
        'initCluster',
        {
          advertiseAddr: '10.9.0.1',
          dataPathAddr: '',
          dataPathPort: 4790,
          listenAddr: '',
          joinPort: 0,
          gossipPort: 0,
          name: '',
          labels: { rack: '7', ssd: '' },
          etcdEndpoints: [],
          etcdCa: '',
          etcdCert: '',
          etcdKey: '',
          defaultAddrPool: ['172.30.0.0/16'],
          defaultAddrPoolMaskLength: 26,
          encrypt: '',
          storeMembers: 0,
          backup: '',
          wireguardPort: 0,
        },
      ],
    ]);
  });

  it.each([
    ['init --encrypt', { encrypt: 'default', wireguardPort: 0 }],
    ['init --encrypt=true --wireguard-port 51850', { encrypt: 'default', wireguardPort: 51_850 }],
    ['init --encrypt=required', { encrypt: 'required' }],
    ['init --encrypt=false', { encrypt: '' }],
    ['init --store-members 5', { storeMembers: 5 }],
    [`join --token ${TOKEN} --wireguard-port 51850 10.9.0.1`, { wireguardPort: 51_850 }],
  ])('%s asks for that', async (line, request) => {
    expect((await run(line)).asked[0]![1]).toMatchObject(request);
  });

  it('init sends what is in the PEM files', async () => {
    const { asked } = await run('init --etcd https://a:2379,https://b:2379 --etcd-cert c --etcd-key k', {
      surroundings: { readFile: async (path) => `-----BEGIN ${path}-----` },
    });
    expect(asked[0]![1]).toMatchObject({
      etcdEndpoints: ['https://a:2379', 'https://b:2379'],
      etcdCert: '-----BEGIN c-----',
      etcdKey: '-----BEGIN k-----',
    });
  });

  it('join takes the token from a file or standard input and fills in the port', async () => {
    const { out, asked } = await run('join --token-file - host1.example', {
      surroundings: { readFile: async (path) => (path === '-' ? `${TOKEN}\n` : '') },
    });
    expect(asked[0]![1]).toMatchObject({ token: TOKEN, address: 'host1.example:2377' });
    expect(out).toBe('This node host1 joined cluster c1d2.\n');
  });

  it('join prints JSON, and warnings elsewhere', async () => {
    const { out, error } = await run(`join --format json --token ${TOKEN} 10.9.0.1:9`, {
      answers: { joinCluster: () => ({ ...joined, joinCommand: '', warnings: ['the clock is 3 s off'] }) },
    });
    expect(JSON.parse(out)).toEqual({
      ClusterID: 'c1d2',
      NodeID: NODE_ID,
      NodeName: 'host1',
      Warnings: ['the clock is 3 s off'],
    });
    expect(error).toBe('warning: the clock is 3 s off\n');
  });

  it('leave passes --force on', async () => {
    const { asked } = await run('leave --force');
    expect(asked).toEqual([['leaveCluster', { force: true, deleteCluster: false }]]);
  });

  it('leave deletes the cluster only when told so in these very words', async () => {
    const { asked } = await run('leave --yes-delete-cluster');
    expect(asked).toEqual([['leaveCluster', { force: false, deleteCluster: true }]]);
  });

  it('status shows state, problems and peers', async () => {
    const { out } = await run('status');
    expect(out).toContain('Level:      1; 2 as soon as overlayd is upgraded on host2 (0.1.0)\n');
    expect(out).toContain('State: ready\n');
    expect(out).toContain('Agent:      0.1.0, up 1h\n');
    expect(out).toContain('etcd:       reachable, revision 42, https://10.9.0.1:2379 (run by this node)\n');
    expect(out).toMatch(/^host2 +10\.9\.0\.2:7946 +alive +1s ago$/m);
  });
});

describe('nodes and tokens', () => {
  it('lists nodes, marking this one', async () => {
    const { out } = await run('node ls', {
      answers: {
        listNodes: () => ({
          nodes: [
            { ...node, holdsStore: true },
            {
              ...{ ...node, name: 'host2', self: false, left: true, state: 'down', version: '' },
              ...{ wireguardBackend: '', holdsCopy: true },
            },
          ],
        }),
      },
    });
    expect(out.split('\n')).toEqual([
      'ID               NAME    STATE         ADDRESS    STORE    WIREGUARD   ENDPOINTS   VERSION',
      '0c1122334455 *   host1   ready         10.9.0.1   keeper   kernel      1           0.1.0',
      '0c1122334455     host2   down (left)   10.9.0.1   copy     none        1           -',
      '',
    ]);
    const nodes = [{ ...node, vtep: '10.8.0.1', wireguardBackend: 'wireguard-go' }];
    expect((await run('node ls', { answers: { listNodes: () => ({ nodes }) } })).out.split('\n')).toEqual([
      'ID               NAME    STATE   ADDRESS    VTEP       STORE   WIREGUARD   ENDPOINTS   VERSION',
      '0c1122334455 *   host1   ready   10.9.0.1   10.8.0.1   -       userspace   1           0.1.0',
      '',
    ]);
  });

  it('prints a join line, or the token alone', async () => {
    expect((await run('token create --ttl 10m --uses 1')).out).toBe(`${joined.joinCommand}\n`);
    const { out, asked } = await run('token create -q --ttl 0');
    expect(out).toBe(`${TOKEN}\n`);
    expect(asked).toEqual([['createToken', { ttlMs: 0, uses: 0, node: '' }]]);
  });

  it('gives tokens a day unless asked otherwise', async () => {
    const { asked } = await run('token create');
    expect(asked).toEqual([['createToken', { ttlMs: 86_400_000, uses: 0, node: '' }]]);
  });

  it('shows for whom a token is, and who joined with it', async () => {
    const uses = [{ nodeId: NODE_ID, name: 'host7', from: '10.9.0.7', atMs: NOW }];
    const bound = { ...token, node: 'host7', uses };
    const answers = { listTokens: () => ({ tokens: [bound, token] }), getToken: () => bound };
    const { out } = await run('token ls', { answers });
    expect(out).toMatch(/^abcdefgh .* host1 +host7 +host7$/m);
    expect(out).toMatch(/^abcdefgh .* host1 +any +-$/m);
    const [inspected] = JSON.parse((await run('token inspect abc', { answers })).out);
    expect(inspected.Uses).toEqual([
      { NodeID: NODE_ID, Node: 'host7', From: '10.9.0.7', At: '2026-03-01T12:00:00.000Z' },
    ]);
    const { asked } = await run('token create --node host7');
    expect(asked).toEqual([['createToken', { ttlMs: 86_400_000, uses: 0, node: 'host7' }]]);
  });

  it('lists tokens with the time that is left', async () => {
    const expired = { ...token, id: 'old', expiresAtMs: 1, usesLeft: 2 };
    const { out } = await run('token ls', { answers: { listTokens: () => ({ tokens: [token, expired] }) } });
    expect(out).toMatch(/^abcdefgh +member +in 1h30m +no limit +host1 +-$/m);
    expect(out).toMatch(/^old +member +expired +2 +host1 +-$/m);
  });
});

describe('networks', () => {
  it('create asks for what was typed and prints the id', async () => {
    const line =
      'network create --attachable --internal --subnet 10.20.0.0/24 --gateway 10.20.0.254 --ip-range 10.20.0.128/25 --aux-address a=10.20.0.9 --label team=x -o mtu=1400 -d overlay office';
    const { code, out, asked } = await run(line);
    expect([code, out]).toEqual([0, `${NETWORK_ID}\n`]);
    expect(asked).toEqual([
      [
        'createNetwork',
        {
          name: 'office',
          attachable: true,
          internal: true,
          ipv6: false,
          subnets: ['10.20.0.0/24'],
          gateways: ['10.20.0.254'],
          ipRanges: ['10.20.0.128/25'],
          auxAddresses: { a: '10.20.0.9' },
          labels: { team: 'x' },
          options: { mtu: '1400' },
        },
      ],
    ]);
  });

  it.each([
    ['network create web', undefined],
    ['network create --attachable web', true],
    ['network create --attachable=true web', true],
    ['network create --attachable=false web', false],
    ['network create web --attachable=0', false],
  ])('%s says attachable: %s', async (line, attachable) => {
    const { asked } = await run(line);
    expect((asked[0]![1] as { attachable?: boolean }).attachable).toBe(attachable);
  });

  it('--internal=false and --ipv6=false say nothing new', async () => {
    const { asked } = await run('network create --internal=false --ipv6=false web');
    expect(asked[0]![1]).toMatchObject({ internal: false });
  });

  it('asks for several subnets in their order, and for another one', async () => {
    const { asked } = await run('network create --subnet 10.1.0.0/24 --subnet 10.2.0.0/24 --gateway 10.2.0.9 web');
    expect(asked[0]![1]).toMatchObject({ subnets: ['10.1.0.0/24', '10.2.0.0/24'], gateways: ['10.2.0.9'] });
    const line = 'network subnet add --gateway 10.21.0.9 --ip-range 10.21.0.64/26 web 10.21.0.0/24';
    const added = await run(line);
    const request = { network: 'web', subnet: '10.21.0.0/24', gateway: '10.21.0.9', ipRange: '10.21.0.64/26' };
    expect(added.asked).toEqual([['addSubnet', request]]);
    expect(added.out).toMatch(/\n10\.21\.0\.0\/24\n$/);
    expect(await run('network subnet add web 10.21.0')).toMatchObject({ code: 2, asked: [] });
  });

  it('removes several, goes on after one that fails, and fails in the end', async () => {
    const removeNetwork = ({ ref }: { ref: string }) => {
      if (ref === 'b') throw new OverlaydError('network-in-use', 'network b has 2 endpoints');
      return { id: ref, name: ref, waitingFor: ref === 'c' ? ['host2', 'host3'] : [] };
    };
    const { code, out, error } = await run('network rm a b c', { answers: { removeNetwork } });
    expect(code).toBe(1);
    expect(out).toBe('a\nc\n');
    expect(error).toBe(
      'overlayd: network b has 2 endpoints\nnetwork c: its VNI and subnet are free when host2, host3 have torn down their part\n',
    );
  });

  it('rm -f does not mind a network that is not there', async () => {
    const removeNetwork = () => {
      throw new OverlaydError('network-not-found', 'network x not found');
    };
    expect(await run('network rm -f x', { answers: { removeNetwork } })).toMatchObject({ code: 0, out: '', error: '' });
    expect(await run('network rm x', { answers: { removeNetwork } })).toMatchObject({ code: 1 });
  });

  it('prune asks on a terminal and does nothing unless told yes', async () => {
    const questions: string[] = [];
    const prune = (answer: string) =>
      run('network prune --filter label!=keep', {
        surroundings: {
          terminal: { input: true, output: true, error: false },
          ask: async (question) => {
            questions.push(question);
            return answer;
          },
        },
      });
    expect((await prune('')).asked).toEqual([]);
    expect(await prune('y')).toMatchObject({ out: 'old\n', asked: [['pruneNetworks', { filters: ['label!=keep'] }]] });
    expect(questions[0]).toBe(
      'This removes all networks that fit label!=keep that no container on any host is connected to.\nGo ahead? [y/N] ',
    );
  });

  it('prune -f does not ask', async () => {
    expect((await run('network prune -f')).asked).toEqual([['pruneNetworks', { filters: [] }]]);
  });
});

describe('connecting', () => {
  it('prints the address and warnings beside it', async () => {
    const { out, error, asked } = await run(
      'network connect --name api --alias backend --alias b2 --ip 10.0.0.2 --ip6 FD00:0:0:1::0:2 --mac 02:42:0A:00:00:02 --ifname eth5 --gw-priority -2147483648 --driver-opt com.docker.network.endpoint.ifname=eth5 --port http=8080 --port 53/UDP --label team=a web netns:c1',
      { answers: { connect: () => ({ endpoint, warnings: ['/etc/netns/c1/resolv.conf was left alone'] }) } },
    );
    expect(out).toBe('10.0.0.2\nfd00:0:0:1::2\n');
    expect(error).toBe('warning: /etc/netns/c1/resolv.conf was left alone\n');
    expect(asked).toEqual([
      [
        'connect',
        {
          network: 'web',
          container: 'netns:c1',
          name: 'api',
          aliases: ['backend', 'b2'],
          ...{ ip: '10.0.0.2', ip6: 'fd00:0:0:1::2' },
          mac: '02:42:0a:00:00:02',
          ifname: 'eth5',
          gwPriority: -2147483648,
          driverOpts: { 'com.docker.network.endpoint.ifname': 'eth5' },
          ports: ['http=8080', '53/UDP'],
          labels: { team: 'a' },
        },
      ],
    ]);
  });

  it('disconnects quietly', async () => {
    const { out, asked } = await run('network disconnect -f web netns:c1');
    expect(out).toBe('');
    expect(asked).toEqual([['disconnect', { network: 'web', container: 'netns:c1', force: true }]]);
  });

  it('endpoint ls passes the choice on', async () => {
    const { out, asked } = await run('endpoint ls --network web --node host1 -q');
    expect(out).toBe(`${ENDPOINT_ID.slice(0, 12)}\n`);
    expect(asked).toEqual([['listEndpoints', { network: 'web', node: 'host1' }]]);
  });
});

describe('dns', () => {
  it('add asks for what was typed and prints what the name has then', async () => {
    const { out, asked } = await run('dns add --ttl 1m web db a 192.0.2.9');
    expect(asked).toEqual([
      ['addDns', { network: 'web', name: 'db', type: 'a', values: ['192.0.2.9'], ttlSeconds: 60 }],
    ]);
    expect(out).toBe('db.web A 192.0.2.9\ndb.web A 192.0.2.10\n');
    const { asked: service } = await run('dns add web _http._tcp.api SRV 0 5 8080 api');
    expect(service[0]![1]).toMatchObject({ values: ['0', '5', '8080', 'api'], ttlSeconds: undefined });
  });

  it('rm takes a name, a type of it, or values', async () => {
    const { out, asked } = await run('dns rm web db');
    expect([out, asked]).toEqual(['db.web\n', [['removeDns', { network: 'web', name: 'db', type: '', values: [] }]]]);
    const { asked: one } = await run('dns rm web db A 192.0.2.9');
    expect(one[0]![1]).toMatchObject({ type: 'A', values: ['192.0.2.9'] });
  });

  it('ls is a table, or JSON', async () => {
    const { out, asked } = await run('dns ls web');
    expect(asked).toEqual([['listDns', { network: 'web' }]]);
    expect(out).toBe(
      'NETWORK   NAME   TYPE   TTL   VALUES                  ANSWERED INSTEAD\nweb       db     A      1m    192.0.2.9, 192.0.2.10   container db on host host1\n',
    );
    expect(JSON.parse((await run('dns ls --format json')).out)).toEqual([
      {
        ...{ Network: 'web', NetworkID: NETWORK_ID, Name: 'db', Type: 'A', TTL: 60 },
        ...{ Values: ['192.0.2.9', '192.0.2.10'], AnsweredInstead: 'container db on host host1' },
      },
    ]);
  });
});

describe('the agent', () => {
  it('is looked for below --run-dir, before or after the command', async () => {
    expect((await run('--run-dir /tmp/r network ls')).socketPaths).toEqual(['/tmp/r/overlayd.sock']);
    expect((await run('network ls --run-dir /tmp/r')).socketPaths).toEqual(['/tmp/r/overlayd.sock']);
  });

  it('that is not there has an exit code of its own', async () => {
    const { code, error } = await run('network ls', { noAgent: true });
    expect([code, error]).toEqual([69, 'overlayd: no agent answers at /run/overlayd/overlayd.sock\n']);
  });

  it('that refuses is quoted', async () => {
    const createNetwork = () => {
      throw new OverlaydError('network-exists', 'network web exists already');
    };
    const { code, error } = await run('network create web', { answers: { createNetwork } });
    expect([code, error]).toEqual([1, 'overlayd: network web exists already\n']);
  });

  it('runs in this process when global options come before it', async () => {
    const started: (readonly string[])[] = [];
    await run('--run-dir /tmp/r agent --log-level debug', {
      surroundings: {
        runAgent: async (args) => {
          started.push(args);
        },
      },
    });
    expect(started).toEqual([['--run-dir', '/tmp/r', '--log-level', 'debug']]);
  });
});

it('every command has a description and examples', async () => {
  const commands = [
    'init', 'join', 'leave', 'status', 'doctor', 'version', 'completion',
    ...['ls', 'inspect', 'rm'].map((name) => `node ${name}`),
    ...['create', 'ls', 'inspect', 'revoke'].map((name) => `token ${name}`),
    ...['status', 'rotate'].map((name) => `ca ${name}`),
    ...['create', 'ls', 'inspect', 'subnet add', 'rm', 'prune', 'connect', 'disconnect'].map((name) => `network ${name}`),
    ...['ls', 'inspect'].map((name) => `endpoint ${name}`),
    ...['add', 'rm', 'ls'].map((name) => `dns ${name}`),
    ...['check', 'repair', 'release'].map((name) => `ipam ${name}`),
  ]; // biome-ignore format: one row a group
  for (const command of commands) {
    const { code, out } = await run(`${command} --help`);
    expect(code, command).toBe(0);
    expect(out, command).toMatch(/^Usage: overlayd .*\n\n[A-Z]/);
    expect(out, command).toContain('Examples:\n  ');
  }
});
