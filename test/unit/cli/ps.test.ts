import { expect, it } from 'vitest';
import { Endpoint } from '../../../src/gen/overlayd/v1/control.ts';
import { run } from './fake-agent.ts';

let made = 0;
const attached = (name: string, nodeName: string, network: string, ip: string, rest: Partial<Endpoint> = {}) =>
  Endpoint.fromPartial({
    ...{ id: `e${++made}`, name, nodeName, nodeId: `id-${nodeName}`, networkName: network, networkId: `id-${network}` },
    ...{ addresses: [{ subnet: '10.0.0.0/24', address: ip }], state: 'up', tool: 'docker', ...rest },
  });

const endpoints = [
  attached('cache', 'host2', 'web', '10.0.0.2', { aliases: ['redis'], health: 'unhealthy' }),
  attached('cache', 'host2', 'jobs', '10.1.0.2'),
  attached('cache', 'host1', 'web', '10.0.0.3', { container: 'docker:abc' }),
  // A person's: of two networks the same name says nothing.
  attached('api', 'host2', 'web', '10.0.0.4', { tool: 'netns', state: 'hidden' }),
  attached('api', 'host2', 'jobs', '10.1.0.4', { tool: 'netns' }),
  // Its own host knows that these are one, whatever their names.
  attached('one', 'host1', 'web', '10.0.0.5', { tool: 'netns', container: 'netns:c' }),
  attached('two', 'host1', 'jobs', '10.1.0.5', { tool: 'netns', container: 'netns:c' }),
];
const answers = { listEndpoints: () => ({ endpoints }) };

it('is a line a container, with all its networks', async () => {
  const { out } = await run('ps', { answers });
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ {2,}/g, '|')),
  ).toEqual([
    'NAME|NODE|TOOL|STATE|NETWORKS|ALSO KNOWN AS',
    'api|host2|netns|hidden|web 10.0.0.4/24|-',
    'api|host2|netns|up|jobs 10.1.0.4/24|-',
    'cache|host1|docker|up|web 10.0.0.3/24|-',
    'cache|host2|docker|up (unhealthy)|web 10.0.0.2/24, jobs 10.1.0.2/24|redis',
    'one|host1|netns|up|web 10.0.0.5/24, jobs 10.1.0.5/24|two',
  ]);
});

it('is one JSON array', async () => {
  const { out } = await run('ps --filter node=host2 --filter tool=docker --format json', { answers });
  expect(JSON.parse(out)).toMatchObject([
    {
      ...{ Name: 'cache', Node: 'host2', Tool: 'docker', State: 'up', Health: 'unhealthy', Aliases: ['redis'] },
      Networks: [
        { Network: 'web', IPv4Address: '10.0.0.2/24', Aliases: ['redis'] },
        { Network: 'jobs', IPv4Address: '10.1.0.2/24' },
      ],
    },
  ]);
});

it.each([
  ['network=jobs', ['api', 'cache', 'one']],
  ['health=unhealthy', ['cache']],
  ['name=two', ['one']],
  ['name=ach', ['cache', 'cache']],
  ['name=^api$', ['api', 'api']],
  ['health=healthy', ['api', 'api', 'cache', 'one']],
  ['state=hidden', ['api']],
  ['tool=podman', []],
  ['node=host3', []],
])('--filter %s', async (filter, names) => {
  const { out } = await run(['ps', '--filter', filter, '--format', '{{.Name}}'], { answers });
  expect(out.split('\n').filter((line) => line !== '')).toEqual(names);
});

it.each([
  ['ps --filter nod=host1', /did you mean node/],
  ['ps --filter web', /write it like name=…; there are health, id, label, name/],
])('%s is refused', async (line, message) => {
  const { code, error } = await run(line, { answers });
  expect([code, error]).toEqual([2, expect.stringMatching(message)]);
});
