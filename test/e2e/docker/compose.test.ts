import { describe, expect, test } from 'vitest';
import {
  addressOf,
  endpointNames,
  endpointRows,
  expectNothingLeft,
  offeredNetworks,
  runContainer,
  startEngines,
  untilLooksUp,
  untilOffered,
  untilPings,
} from '../../lab/docker-network.ts';
import type { Project } from '../../lab/engine.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const SERVICES = `
services:
  api:
    image: ${IMAGE}
    hostname: apihost
    networks: { web: { aliases: [backend] } }
  store:
    image: ${IMAGE}
    networks: [web]
`;

const EXTERNAL = `version: "3.9"
networks:
  web: { external: true, name: web }
${SERVICES}`;

const OWN = `version: "3.9"
networks:
  web:
    driver: overlayd
    driver_opts: { net: shopnet }
    ipam: { driver: overlayd }
${SERVICES}`;

/** The one container of a service. */
async function containerOf({ engine }: Host, project: Project, service: string): Promise<string> {
  const names = await engine.composed(project, service);
  expect(names).toHaveLength(1);
  return names[0]!;
}

describe('Compose projects on two hosts', () => {
  const lab = useLab({
    hosts: 2,
    cluster: true,
    prepare: async (made) => {
      await startEngines(made.hosts);
      await made.host(1).mustOverlayd('network', 'create', 'web');
      await untilOffered(made.host(2), ['web']);
    },
  });
  const one = () => lab().host(1);
  const two = () => lab().host(2);

  test('services on an external network are found by their names from the other host', async () => {
    const project = { name: 'shop', file: EXTERNAL };
    await one().engine.mustCompose(project, 'up', '-d');
    await runContainer(two(), 'client', '--network', 'web');
    const container = await containerOf(one(), project, 'api');
    const api = await addressOf(two(), container);
    for (const name of ['api', 'backend', 'apihost', container]) await untilLooksUp(two(), 'client', name, [api]);
    await untilPings(two(), 'client', 'store');
    await one().engine.mustCompose(project, 'up', '-d', '--scale', 'api=3');
    await until('three of the service', async () => {
      const rows = (await endpointRows(two())).filter(({ Aliases }) => Aliases.includes('api'));
      if (rows.length !== 3) return false;
      const all = rows.map(({ IPv4Address }) => IPv4Address.split('/')[0]!);
      await untilLooksUp(two(), 'client', 'api', all);
      return true;
    });
    await one().engine.mustCompose(project, 'restart', 'api');
    await untilPings(two(), 'client', 'api');
    await one().engine.mustCompose(project, 'down');
    await until('the services to be gone', async () => (await endpointNames(two())).join() === 'client');
    expect(await offeredNetworks(one())).toEqual(['web']);
    await two().engine.mustDocker('rm', '-f', 'client');
  });

  test('a network with our driver in the file is the same one on every host, and goes with its last user', async () => {
    const project = { name: 'shop', file: OWN };
    await one().engine.mustCompose(project, 'up', '-d', 'api');
    await two().engine.mustCompose(project, 'up', '-d', 'store');
    const [api, store] = [await containerOf(one(), project, 'api'), await containerOf(two(), project, 'store')];
    await until('store to find api', async () => (await endpointNames(two())).join() === `${api},${store}`);
    await untilPings(two(), store, 'api');
    await untilPings(one(), api, 'store');
    // The project's own name for it, and the cluster's.
    await untilOffered(one(), ['shop_web', 'shopnet', 'web']);
    await untilOffered(two(), ['shop_web', 'shopnet', 'web']);
    await two().engine.mustCompose(project, 'down');
    expect((await one().json('network', 'ls')).length).toBe(2);
    await one().engine.mustCompose(project, 'down');
    for (const host of lab().hosts) await untilOffered(host, ['web']);
    expect((await one().json('network', 'ls')).length).toBe(1);
    await expectNothingLeft(lab().hosts);
  });
});
