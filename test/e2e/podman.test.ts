/** Podman on hosts of a cluster: its networks are the cluster's, and so are its containers' addresses and names. */
import { expect, test } from 'vitest';
import { addressOf, type EndpointRow, endpointRows } from '../lab/docker-network.ts';
import type { Host } from '../lab/host.ts';
import { podmanOf, withPodman } from '../lab/podman-hosts.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: withPodman });
const one = () => podmanOf(lab().host(1));
const two = () => podmanOf(lab().host(2));

async function untilOffered(host: Host, name: string): Promise<void> {
  await until(`${name} to be offered to Podman of ${host.name}`, async () =>
    (await podmanOf(host).networks()).includes(name),
  );
}

async function rowOf(name: string): Promise<EndpointRow & { readonly Tool: string }> {
  const rows = (await endpointRows(lab().host(1))) as (EndpointRow & { readonly Tool: string })[];
  return rows.find((row) => row.Name === name)!;
}

test('a network that Podman makes is the cluster’s, and offered to Podman of the other hosts', async () => {
  await one().must('network', 'create', '-d', 'overlayd', '--subnet', '10.50.0.0/24', '--label', 'team=a', 'web');
  const [network] = await lab().host(2).json('network', 'inspect', 'web');
  expect(network.Labels).toEqual({ team: 'a' });
  await untilOffered(lab().host(2), 'web');
  const [seen] = JSON.parse(await two().must('network', 'inspect', 'web'));
  expect(seen).toMatchObject({ driver: 'overlayd', subnets: [{ subnet: '10.50.0.0/24', gateway: '10.50.0.1' }] });
});

test('containers of two hosts have addresses of the cluster, and know each other by name and alias', async () => {
  await one().runContainer('api', '--network', 'web', '--network-alias', 'backend');
  await two().runContainer('shop', '--network', 'web', '--network-alias', 'backend');
  const [api, shop] = [await addressOf(lab().host(1), 'api'), await addressOf(lab().host(1), 'shop')];
  expect(api).not.toBe(shop);
  expect(await one().lookUp('api', 'backend')).toEqual([api, shop].sort());
  expect(await two().pings('shop', 'api')).toBe(true);
  expect((await rowOf('api')).Tool).toBe('podman');
  expect(await two().must('inspect', '-f', '{{.NetworkSettings.Networks.web.IPAddress}}', 'shop')).toBe(shop);
});

test('an address, a MAC address and an interface that are asked for are had', async () => {
  const wish = 'web:ip=10.50.0.77,mac=02:42:0a:32:00:77,alias=wished,interface_name=lan0';
  await one().runContainer('wish', '--network', wish);
  const row = await rowOf('wish');
  expect(row).toMatchObject({ IPv4Address: '10.50.0.77/24', MacAddress: '02:42:0a:32:00:77' });
  expect(await one().must('exec', 'wish', 'cat', '/sys/class/net/lan0/address')).toBe('02:42:0a:32:00:77');
  expect(await two().pings('shop', 'wished')).toBe(true);
});
