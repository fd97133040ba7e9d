/** What docs/podman.md says of rootless Podman: what it cannot, and what root can do for its containers. */
import { expect, test } from 'vitest';
import { endpointNames } from '../lab/docker-network.ts';
import { IMAGE } from '../lab/image.ts';
import { attach } from '../lab/network.ts';
import { PODMAN_FLAGS, Podman } from '../lab/podman.ts';
import { expectSuccess, type Outcome } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

/** A user with ids of its own. Its images are copied, since layers over layers are not for it in here. */
const MAKE_USER = `
echo user:x:1000:1000::/home/user:/bin/sh >> /etc/passwd
echo user:x:1000: >> /etc/group
echo user:100000:65536 | tee /etc/subuid > /etc/subgid
mkdir -p /home/user/.config/containers /run/user/1000
printf '[storage]\\ndriver = "vfs"\\n' > /home/user/.config/containers/storage.conf
podman save -o /home/user/image.tar ${IMAGE}
echo nameserver 10.67.0.1 > /home/user/web.conf
chown -R 1000:1000 /home/user /run/user/1000
`;

let podman: Podman;
const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async ({ hosts }) => {
    const one = hosts[0]!;
    await one.mustOverlayd('network', 'create', '--subnet', '10.67.0.0/24', 'web');
    podman = new Podman(one, { besides: ['uidmap', 'passt'] });
    await podman.start();
    await one.agent.stop();
    await one.agent.start(PODMAN_FLAGS);
    expectSuccess(await podman.inRoot(['sh', '-ec', MAKE_USER]));
    expectSuccess(await asUser('podman load -i image.tar'));
  },
});
const host = () => lab().host(1);

function asUser(command: string): Promise<Outcome> {
  const line = `export XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user; cd; ${command}`;
  return podman.inRoot(['busybox', 'su', 'user', '-c', line]);
}

test('it has no network of the cluster, and is told why it gets none', async () => {
  await until('root’s to have it', async () => (await podman.networks()).join() === 'web');
  expect(expectSuccess(await asUser('podman network ls --format "{{.Name}}"'))).toBe('podman\n');
  const { code, stderr } = await asUser('podman network create -d overlayd web');
  expect([code, stderr]).toEqual([125, expect.stringContaining("are for root's containers, and no rootless Podman's")]);
  expect((await asUser(`podman run --network web ${IMAGE} true`)).stderr).toMatch(/network not found/);
});

test('root connects a container of it, which then has names, and goes with its process', async () => {
  await attach(host(), 'front', 'web');
  const flags = '--name api --network none -v ./web.conf:/etc/resolv.conf:ro';
  expectSuccess(await asUser(`podman run -d ${flags} ${IMAGE} sleep infinity`));
  const pid = expectSuccess(await asUser('podman inspect -f "{{.State.Pid}}" api')).trim();
  await host().mustOverlayd('network', 'connect', '--name', 'api', 'web', `pid:${pid}`);
  expectSuccess(await asUser('podman exec api nslookup -type=a front'));
  await host().mustExec('front', ['ping', '-c', '1', '-W', '5', 'api']);
  expectSuccess(await asUser('podman rm -f -t 0 api'));
  await until('its end', async () => (await endpointNames(host())).join() === 'front');
});
