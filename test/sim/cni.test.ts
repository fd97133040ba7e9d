/** CNI's commands at an agent, one after the other, as runtimes have been seen to send them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Attachments } from '../../src/agent/attachments/attachments.ts';
import { listPublications } from '../../src/agent/publish/publishing.ts';
import { asOverlaydError } from '../../src/core/errors.ts';
import { formatHostEnd } from '../../src/core/publish.ts';
import { createCniDoor } from '../../src/integrations/cni/door.ts';
import type { ToolDoor } from '../../src/ports/tools.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { hostContainers } from './host-containers.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let door: ToolDoor;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  one = cluster.hosts[0]!;
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
  door = doorOf(one);
});
afterEach(() => cluster.stop());

const LISTENING = new Map([
  [443, 'nginx (pid 7)'],
  [8443, 'conmon (pid 8)'],
]);

function doorOf(host: SimulatedHost): ToolDoor {
  const containers = hostContainers(host);
  const lifecycle = {
    get current() {
      return { member: host.running } as never;
    },
    require: () => ({ member: host.running }) as never,
    situation: { busy: undefined, problem: undefined },
  };
  return createCniDoor({
    ...{ lifecycle, containers, patient: (handle) => handle },
    attachments: new Attachments({ member: () => host.running, containers }),
    facts: {
      bindProblem: async ({ port, transport }) => {
        const by = transport === 'tcp' ? LISTENING.get(port) : undefined;
        return by === undefined ? undefined : { kind: 'in-use', by: { process: by } };
      },
    },
    inside: (path) => host.kernel.inside(path),
  });
}

interface Asked {
  readonly id?: string;
  readonly netns?: string;
  readonly args?: string;
  /** Of the configuration. */
  readonly more?: object;
}

/** What the program prints, as JSON; refusals have a `code`. */
// biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
async function ask(verb: string, { id = 'default-api', netns = '', args = '', more = {} }: Asked): Promise<any> {
  const env = { CNI_CONTAINERID: id, CNI_IFNAME: 'eth0', CNI_NETNS: netns, CNI_ARGS: args };
  const call = { verb, args: [], env, input: JSON.stringify({ cniVersion: '1.0.0', name: 'web', ...more }) };
  const answer = door
    .handle(call, new AbortController().signal)
    .catch((error) => door.refuse(asOverlaydError(error), call));
  const text = await cluster.clock.until(answer);
  return text === '' ? undefined : JSON.parse(text);
}

const ports = (...portMappings: readonly object[]) => ({ runtimeConfig: { portMappings } });
const range = (count: number) => Array.from({ length: count }, (_, nth) => ({ hostPort: 1 + nth, containerPort: 1 }));
const namespace = () => one.addContainer().replace('netns:', '/run/netns/');
const process = () => {
  one.kernel.addContainer('/proc/42/ns/net');
  return '/proc/42/ns/net';
};
const names = () => one.running.local.all().map(({ record: { name, aliases } }) => [name, ...aliases]);

describe('ADD', () => {
  it('is the same endpoint when a runtime asks again, and another one in another namespace', async () => {
    const netns = namespace();
    const first = await ask('ADD', { netns });
    expect(first.ips).toEqual([{ address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 0 }]);
    expect(await ask('ADD', { netns })).toEqual(first);
    expect((await ask('ADD', { netns: namespace() })).ips[0].address).not.toBe('10.0.0.2/24');
    expect(names()).toEqual([['api']]);
    await checkQuiet(cluster);
  });

  it('names a container as people do', async () => {
    const hash = '0123456789ab'.padEnd(64, 'c');
    await ask('ADD', { id: `default-${hash}`, netns: namespace() });
    await ask('ADD', { id: hash.replace('0', 'f'), netns: namespace(), args: 'K8S_POD_NAME=web.v1' });
    // The same name of another Kubernetes namespace.
    await ask('ADD', { id: hash.replace('0', 'e'), netns: namespace(), args: 'K8S_POD_NAME=web.v1' });
    await ask('ADD', { id: 'x', netns: namespace(), args: 'NAME=db;ALIAS=store,cache', more: { aliases: ['all'] } });
    expect(names()).toEqual([
      ['0123456789ab'],
      ['web-v1', 'f123456789ab'],
      ['e123456789ab', 'web-v1'],
      ['db', 'all', 'store', 'cache'],
    ]);
  });

  it('knows aliases as a list, and as Podman tells them', async () => {
    await ask('ADD', { netns: namespace(), more: { runtimeConfig: { aliases: { web: ['pal'], other: ['no'] } } } });
    await ask('ADD', { id: 'two', netns: namespace(), more: { runtimeConfig: { aliases: ['pal'] } } });
    expect(names()).toEqual([
      ['api', 'pal'],
      ['two', 'pal'],
    ]);
  });

  it('does not give a name that was asked for to a second one', async () => {
    await ask('ADD', { id: 'one', netns: namespace(), args: 'NAME=db' });
    expect(await ask('ADD', { id: 'two', netns: namespace(), args: 'NAME=db' })).toMatchObject({
      ...{ code: 100, details: 'endpoint-exists' },
    });
    expect(names()).toEqual([['db']]);
  });

  it('goes on with what plugins before it have made', async () => {
    const previous = {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth1', sandbox: '/x' }],
      ips: [{ address: '192.0.2.2/24', interface: 0 }],
      dns: { nameservers: ['192.0.2.1'], search: ['lan'] },
    };
    const result = await ask('ADD', { netns: namespace(), more: { prevResult: previous } });
    expect(result.interfaces.map(({ name }: { name: string }) => name)).toEqual(['eth1', 'eth0']);
    expect(result.ips).toEqual([previous.ips[0], { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 1 }]);
    expect(result.dns).toEqual({ nameservers: ['192.0.2.1', '10.0.0.1'], search: ['lan'] });
  });

  it.each([
    ['a capability that is not there', { runtimeConfig: { bandwidth: {} } }, 2, /capability bandwidth is not known/],
    ['half a port', ports({ hostPort: 80 }), 7, /portMappings\[0\]\.containerPort has to be a port/],
    ['a port twice', ports({ HostPort: 80, ContainerPort: 1 }, { hostPort: 80, containerPort: 2 }), 7, /there twice/],
    ['a protocol that is none', ports({ hostPort: 1, containerPort: 1, protocol: 'icmp' }), 7, /tcp, udp, sctp/],
    ['no address of the host', ports({ hostPort: 1, containerPort: 1, hostIP: 'eth0' }), 7, /hostIP eth0 is no/],
    ['one that stays there', ports({ hostPort: 1, containerPort: 1, hostIP: '127.0.0.1' }), 7, /stays on the host/],
    ['more ports than a container may have', ports(...range(1_025)), 7, /1025 ports are asked for/],
    ['a port of a process', ports({ hostPort: 443, containerPort: 1 }), 100, /nginx \(pid 7\) has it/],
    [
      'two addresses of a family',
      { runtimeConfig: { ips: ['10.0.0.7', '10.0.0.8/24'] } },
      7,
      /one address of each family/,
    ],
    ['no address', { args: { cni: { ips: ['seven'] } } }, 7, /"seven" is no address/],
    ['a list that is none', { aliases: 'api' }, 7, /"aliases" .* has to be a list of texts/],
    ['an address of another subnet', { runtimeConfig: { ips: ['192.0.2.7'] } }, 7, /192\.0\.2\.7/],
    ['a name that is none', { aliases: ['a b'] }, 7, /"a b" is not valid/],
  ])('refuses %s', async (_, more, code, message) => {
    expect(await ask('ADD', { netns: namespace(), more })).toMatchObject({ code, msg: expect.stringMatching(message) });
    expect(names()).toEqual([]);
  });

  it('refuses arguments that it does not know, unless it is told to let them pass', async () => {
    const args = 'ALAIS=a';
    const refused = await ask('ADD', { netns: namespace(), args });
    expect(refused).toMatchObject({ code: 4, msg: expect.stringContaining('did you mean ALIAS?') });
    expect(await ask('ADD', { netns: namespace(), args: `${args};IgnoreUnknown=true` })).toMatchObject({ ips: [{}] });
  });

  it('takes no empty list of ports for ports', async () => {
    expect(await ask('ADD', { netns: namespace(), more: { runtimeConfig: { portMappings: [] } } })).toMatchObject({
      ips: [{}],
    });
  });
});

describe('ports', () => {
  it('are given to a container for which Podman holds them already, as when it is connected while it runs', async () => {
    expect(await ask('ADD', { netns: namespace(), more: ports({ hostPort: 8443, containerPort: 443 }) })).toMatchObject(
      {
        ips: [{}],
      },
    );
  });

  const listed = () => listPublications({ member: one.running }).map((each) => [formatHostEnd(each), each.name]);
  const web = ports({ hostPort: 8080, containerPort: 80 }, { HostPort: 53, ContainerPort: 53, Protocol: 'UDP' });

  it('are the container’s until it is deleted, and of nobody else meanwhile', async () => {
    const netns = namespace();
    expect(await ask('ADD', { netns, more: web })).toMatchObject({ ips: [{}] });
    expect(await ask('ADD', { netns, more: web })).toMatchObject({ ips: [{}] });
    expect(listed()).toEqual([
      ['53/udp', 'api'],
      ['8080/tcp', 'api'],
    ]);
    const other = await ask('ADD', { id: 'other', netns: namespace(), more: web });
    expect(other).toMatchObject({ code: 100, details: 'conflict' });
    expect(other.msg).toContain('8080/tcp of this host is published by cni for its container api already');
    await ask('DEL', {});
    expect(listed()).toEqual([]);
    expect(await ask('ADD', { id: 'other', netns: namespace(), more: web })).toMatchObject({ ips: [{}] });
    expect(listed()).toHaveLength(2);
    await checkQuiet(cluster);
  });

  it('are refused on a network that leads nowhere', async () => {
    await cluster.clock.until(one.running.networks.create({ ...networkRequest('vault'), internal: true }));
    const answer = await ask('ADD', { netns: namespace(), more: { ...web, network: 'vault' } });
    expect(answer).toMatchObject({
      code: 7,
      msg: expect.stringMatching(/^network vault is internal: none of its ports/),
    });
    expect(names()).toEqual([]);
  });
});

describe('DEL', () => {
  it('lets go of what is there, once and again, with or without its namespace', async () => {
    const netns = namespace();
    await ask('ADD', { netns });
    expect(await ask('DEL', {})).toBeUndefined();
    expect(await ask('DEL', { netns })).toBeUndefined();
    expect(names()).toEqual([]);
    await checkQuiet(cluster);
  });

  it('takes away what an ADD that its runtime gave up is just making', async () => {
    const netns = namespace();
    const added = ask('ADD', { netns });
    await ask('DEL', {});
    await added;
    expect(names()).toEqual([]);
    await checkQuiet(cluster);
  });

  it('without a namespace keeps a process its network as long as it goes on', async () => {
    const netns = process();
    await ask('ADD', { netns });
    await ask('DEL', {});
    expect(names()).toEqual([['api']]);
    one.kernel.killContainer(netns);
    await ask('DEL', {});
    expect(names()).toEqual([]);
  });

  it('with it takes it away from a process that goes on', async () => {
    const netns = process();
    await ask('ADD', { netns });
    await ask('DEL', { netns, more: { whatever: 'is not looked at' } });
    expect(names()).toEqual([]);
    await cluster.clock.advance(1_000);
    await checkQuiet(cluster);
  });
});

describe('CHECK', () => {
  it('tells what is not as it was told', async () => {
    const netns = namespace();
    const prevResult = await ask('ADD', { netns });
    expect(await ask('CHECK', { netns, more: { prevResult } })).toBeUndefined();
    const ips = [{ address: '10.0.0.9/24', interface: 0 }];
    expect(await ask('CHECK', { netns, more: { prevResult: { ...prevResult, ips } } })).toMatchObject({
      msg: expect.stringContaining('address 10.0.0.9/24 is not this endpoint'),
    });
    expect(await ask('CHECK', { netns })).toMatchObject({ code: 7, msg: expect.stringContaining('prevResult') });
    expect(await ask('CHECK', { netns, id: 'other', more: { prevResult } })).toMatchObject({
      details: 'endpoint-not-found',
    });
  });
});
