import { expect, test } from 'vitest';
import type { BindProblem } from '../../../../src/core/host-facts.ts';
import { ClusterFixture, hostFacts } from './cluster-fixture.ts';

const takenBy = (by: 'kernel' | { process: string } | undefined): BindProblem => ({ kind: 'in-use', by });
const SWARM = takenBy({ process: 'dockerd (pid 142)' });

function hostWith(problems: Readonly<Record<string, BindProblem>>) {
  const cluster = new ClusterFixture();
  const host = cluster.host('n1', '10.0.0.1');
  const asked: string[] = [];
  host.deps.facts = hostFacts('n1', [['eth0', '10.0.0.1']], async ({ transport, address, port }) => {
    asked.push(`${transport} ${address}:${port}`);
    return problems[`${port}/${transport}`];
  });
  return { cluster, host, asked };
}

test('a port that is in use is refused before anything is made, with who has it and how to choose another', async () => {
  const { cluster, host } = hostWith({ '7946/tcp': takenBy({ process: 'serf (pid 7)' }) });
  const { revision } = cluster.etcd;
  await expect(host.init({ etcdEndpoints: [] })).rejects.toMatchObject({
    code: 'config-invalid',
    message:
      'nothing has been changed: port 7946/tcp is in use by serf (pid 7); stop that, or choose another port with --gossip-port',
  });
  expect(host.file.saves).toBe(0);
  expect(host.steps).toEqual([]);
  expect(cluster.bundled.running).toBe(false);
  expect(cluster.etcd.revision).toBe(revision);
});

test('all of them are named at once; beside Docker Swarm with ports that are free', async () => {
  const { host } = hostWith({ '2377/tcp': SWARM, '7946/tcp': SWARM, '4789/udp': takenBy(undefined) });
  await expect(host.init()).rejects.toThrow(
    /2377\/tcp .*dockerd \(pid 142\).* --join-port; port 7946\/tcp .* --gossip-port; port 4789\/udp is in use; .* --data-path-port\. Docker Swarm .* --join-port 2378 --gossip-port 7947 --data-path-port 4790$/,
  );
  await host.init({ joinPort: 2378, gossipPort: 7947, dataPathPort: 4790 });
});

test('a host that joins is refused before it asks for admission', async () => {
  const cluster = new ClusterFixture();
  const { token } = await cluster.found();
  const host = cluster.host('n2', '10.0.0.2');
  host.deps.facts = hostFacts('n2', [['eth0', '10.0.0.2']], async ({ port }) => (port === 2377 ? SWARM : undefined));
  const { revision } = cluster.etcd;
  await expect(host.join(token)).rejects.toThrow(/2377\/tcp is in use by dockerd/);
  expect(host.file.saves).toBe(0);
  expect(cluster.etcd.revision).toBe(revision);
  await host.join(token, { joinPort: 2378 });
});

test('the ports are tried where they will be bound', async () => {
  const { host, asked } = hostWith({});
  await host.init({ listenAddr: '10.0.0.1', joinPort: 5001, gossipPort: 5002, dataPathPort: 5003 });
  expect(asked.sort()).toEqual(['tcp 10.0.0.1:5001', 'tcp 10.0.0.1:5002', 'udp 0.0.0.0:5003']);
});

test("WireGuard's are tried where they were asked for, or the cluster is encrypted", async () => {
  const taken = { '51841/udp': takenBy(undefined) };
  await hostWith(taken).host.init();
  await expect(hostWith(taken).host.init({ encrypt: 'default' })).rejects.toThrow(
    /port 51841\/udp is in use; .* --wireguard-port$/,
  );
  const { host, asked } = hostWith(taken);
  await host.init({ encrypt: 'default', wireguardPort: 51_850 });
  expect(asked).toEqual(expect.arrayContaining(['udp 0.0.0.0:51850', 'udp 0.0.0.0:51851']));
});

test('an address that this host does not have is refused as well', async () => {
  const { host } = hostWith({ '2377/tcp': { kind: 'other', reason: 'listen EADDRNOTAVAIL' } });
  await expect(host.init({ listenAddr: '10.0.0.99' })).rejects.toThrow(
    /port 2377\/tcp of 10\.0\.0\.99 cannot be used \(listen EADDRNOTAVAIL\); check --join-port and --listen-addr/,
  );
});

test('a VXLAN port that the kernel lets go of a moment later is waited for', async () => {
  const problems: Record<string, BindProblem> = { '4789/udp': takenBy('kernel') };
  const { cluster, host, asked } = hostWith(problems);
  const done = host.init();
  await expect.poll(() => asked.length).toBe(3);
  delete problems['4789/udp'];
  await cluster.drive(done);
});

test('one that the kernel keeps is another overlay', async () => {
  const { cluster, host } = hostWith({ '4789/udp': takenBy('kernel') });
  await expect(cluster.drive(host.init())).rejects.toThrow(
    /4789\/udp is in use by the kernel, most likely for VXLAN of Docker Swarm .* --data-path-port/,
  );
});

test("the bundled etcd's are tried where this host is to run it", async () => {
  const taken = { '2380/tcp': takenBy({ process: 'etcd (pid 7)' }) };
  await hostWith(taken).host.init();
  await expect(hostWith(taken).host.init({ etcdEndpoints: [] })).rejects.toThrow(
    /port 2380\/tcp is in use by etcd \(pid 7\), .* --etcd URL, or stop it .*systemctl disable --now etcd/,
  );
});
