/** The story with Docker: a real engine on each host. */

import { untilReady } from '../lab/cluster.ts';
import type { Project } from '../lab/engine.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { IMAGE } from '../lab/image.ts';
import { fetchPage } from '../lab/page.ts';
import { until } from '../lab/until.ts';
import { makeCluster } from './cluster.ts';
import type { Stage, Story } from './story.ts';

const PAGE = 'hello from the front\n';
const SERVE = `mkdir -p /www && printf '${PAGE.trim()}\\n' > /www/index.html && exec httpd -f -p 80 -h /www`;

const SHOP: Project = {
  name: 'shop',
  file: `version: "3.5"
services:
  cache:
    image: ${IMAGE}
    networks: [web]
networks:
  web:
    external: true
`,
};

const ping = (name: string) => ['ping', '-c', '2', '-W', '2', name];

async function play(stage: Stage): Promise<void> {
  const { lab, narrator, prompt } = stage;
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];

  narrator.chapter('Docker on each host; its containers are to ask overlayd for names');
  for (const host of lab.hosts) await prompt.run(host, [`${ROOT}/deploy/docker-setup.sh`], ['deploy/docker-setup.sh']);
  for (const host of lab.hosts) {
    await prompt.act(host, 'dockerd --live-restore &', () => host.engine.start(['--live-restore']));
    await prompt.act(host, `docker import busybox.tar ${IMAGE}`, () => host.engine.importImage());
  }
  await makeCluster(stage);

  narrator.chapter('A network: made once, there for every Docker');
  await prompt.overlayd(one, 'network', 'create', 'web');
  await narrator.check('Docker has it on every host', async () => {
    for (const host of lab.hosts) {
      const list = () => host.engine.mustDocker('network', 'ls', '--format', '{{.Name}}');
      await until(`Docker on ${host.name} to list web`, async () => (await list()).split('\n').includes('web'));
    }
  });
  for (const host of lab.hosts) await prompt.docker(host, 'network', 'ls', '--filter', 'driver=overlayd');

  narrator.chapter('Containers, as ever');
  const onWeb = ['run', '-d', '--network', 'web', '--name'];
  await prompt.docker(one, ...onWeb, 'api', '--network-alias', 'backend', IMAGE);
  await prompt.docker(two, ...onWeb, 'mail', '--network-alias', 'backend', IMAGE);
  await prompt.docker(three, ...onWeb, 'worker', IMAGE);
  await narrator.check('every host has heard of every name', async () => {
    for (const host of lab.hosts) {
      await until(`three names on ${host.name}`, async () => {
        const names = (await host.json('endpoint', 'ls')).map(({ Name }: { Name: string }) => Name);
        return ['api', 'mail', 'worker'].every((name) => names.includes(name));
      });
    }
  });
  await prompt.overlayd(three, 'endpoint', 'ls');

  narrator.chapter('They find each other by name, across hosts');
  await prompt.inContainer(two, 'mail', ping('api'));
  await prompt.inContainer(three, 'worker', ping('mail'));

  narrator.chapter('A name that has containers here and elsewhere has all of them');
  const all = await prompt.inContainer(one, 'api', ['nslookup', 'backend']);
  const rows: { Name: string; IPv4Address: string }[] = await one.json('endpoint', 'ls');
  for (const { Name, IPv4Address } of rows.filter(({ Name }) => Name !== 'worker')) {
    const address = `Address: ${IPv4Address.split('/')[0]}`;
    expect(all.split('\n').includes(address), `the address of ${Name} should be among them`);
  }

  narrator.chapter('The way out');
  await prompt.inContainer(two, 'mail', ping('www.example'));

  narrator.chapter('Compose: the network is external, names are those of the services');
  await prompt.run(three, ['printf', '%s', SHOP.file], ['cat', `${SHOP.name}.yaml`]);
  await prompt.compose(three, SHOP, 'up', '-d');
  await untilKnown(stage, one, 'api', 'cache');
  await prompt.inContainer(one, 'api', ping('cache'));

  narrator.chapter('Published ports: on the host as with any Docker network, and by name inside');
  await prompt.docker(one, ...onWeb, 'front', '-p', '8080:80', IMAGE, 'sh', '-c', SERVE);
  await narrator.check('it serves', () =>
    until('the page', async () => (await fetchPage(two, `http://${one.address}:8080/`)) === PAGE),
  );
  await prompt.run(two, ['busybox', 'wget', '-q', '-O', '-', `http://${one.address}:8080/`]);
  await prompt.inContainer(two, 'mail', ['wget', '-q', '-O', '-', 'http://front/']);

  narrator.chapter('Names follow the containers');
  await prompt.docker(one, 'rename', 'api', 'orders');
  await untilKnown(stage, two, 'mail', 'orders');
  await prompt.inContainer(two, 'mail', ping('orders'));
  await prompt.inContainer(two, 'mail', ping('api'), true);
  await prompt.docker(one, 'rename', 'orders', 'api');
  await prompt.docker(one, 'restart', 'api');
  await untilKnown(stage, two, 'mail', 'api');
  await prompt.inContainer(two, 'mail', ping('api'));

  narrator.chapter('Networks do not see each other; an internal one has no way out');
  await prompt.docker(three, 'network', 'create', '-d', 'overlayd', ...ipam('db'), '--internal', 'db');
  await prompt.docker(two, 'run', '-d', '--network', 'db', '--name', 'store', IMAGE);
  await prompt.docker(three, 'run', '-d', '--network', 'db', '--name', 'backup', IMAGE);
  await untilKnown(stage, three, 'backup', 'store');
  await prompt.inContainer(three, 'backup', ping('store'));
  await prompt.inContainer(three, 'backup', ping('api'), true);
  await prompt.inContainer(three, 'backup', ['ping', '-c', '1', '-W', '1', '198.51.100.1'], true);
  await prompt.overlayd(three, 'network', 'connect', 'web', 'backup');
  await untilKnown(stage, three, 'backup', 'api');
  await prompt.inContainer(three, 'backup', ping('api'));

  narrator.chapter('Neither the agent nor Docker is in the way of traffic');
  const address = (await one.json('endpoint', 'inspect', 'api'))[0].IPv4Address.split('/')[0];
  await undisturbed(stage, two, 'mail', address, async () => {
    await prompt.act(one, 'kill -9 $(pgrep -f agent.cjs)', () => one.agent.kill());
    await prompt.act(two, 'kill -9 $(pidof dockerd)', () => two.engine.kill());
    await prompt.act(one, 'overlayd agent &', () => one.agent.start());
    await prompt.act(two, 'dockerd --live-restore &', () => two.engine.start());
  });
  await narrator.check('everybody is well again', async () => {
    await untilReady(lab.hosts);
    for (const host of lab.hosts) {
      await until(`Docker of ${host.name}`, async () => (await host.json('status')).Docker?.State === 'connected');
    }
  });
  await prompt.docker(two, 'run', '-d', '--network', 'web', '--name', 'late', IMAGE);
  await untilKnown(stage, two, 'late', 'api');
  await prompt.inContainer(two, 'late', ping('api'));
  const status = await prompt.overlayd(two, 'status');
  expect(/^Docker: .*names are set up/m.test(status), 'the status should tell that names are set up');
}

async function clear({ lab, narrator, prompt }: Stage): Promise<void> {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  narrator.chapter('And away again');
  await prompt.refused(one, 'network', 'rm', 'web');
  await prompt.compose(three, SHOP, 'down', '-t', '1');
  await prompt.docker(one, 'rm', '-f', 'api', 'front');
  await prompt.docker(two, 'rm', '-f', 'mail', 'store', 'late');
  await prompt.docker(three, 'rm', '-f', 'worker', 'backup');
  await narrator.check('no endpoint is left', () =>
    until('the endpoints to go', async () => (await one.json('endpoint', 'ls')).length === 0),
  );
  await prompt.docker(one, 'network', 'rm', 'web');
  await prompt.overlayd(three, 'network', 'rm', 'db');
  for (const host of lab.hosts) {
    await narrator.check(`Docker on ${host.name} has neither network any more`, () =>
      until('the networks to go', async () => {
        const listed = await host.engine.mustDocker('network', 'ls', '-q', '--filter', 'driver=overlayd');
        return listed === '';
      }),
    );
  }
}

function ipam(network: string): readonly string[] {
  return ['--ipam-driver', 'overlayd', '--ipam-opt', `net=${network}`];
}

/** Names come from Docker's events, a moment after its command has returned. */
async function untilKnown({ narrator }: Stage, host: Host, container: string, name: string): Promise<void> {
  await narrator.check(`${container} on ${host.name} knows ${name}`, () =>
    until(`${name} in ${container}`, async () => {
      const { code } = await host.engine.docker('exec', container, 'ping', '-c', '1', '-W', '1', name);
      return code === 0;
    }),
  );
}

/** Sends echo requests in a container while something happens; none may be lost. */
async function undisturbed(
  { narrator }: Stage,
  host: Host,
  container: string,
  address: string,
  happens: () => Promise<void>,
): Promise<void> {
  // From inside its namespace, for Docker's own way in ends with Docker.
  const pid = await host.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', container);
  const pinging = host.spawn(['nsenter', '-t', pid, '-n', 'ping', '-n', '-i', '0.1', '-W', '2', address]);
  await happens();
  await narrator.check(`not one of ${container}'s pings to ${address} was lost meanwhile`, async () => {
    await pinging.kill('SIGINT');
    await pinging.exited;
    expect(/[1-9]\d* received.* 0% packet loss/.test(pinging.output), pinging.output.split('\n').slice(-4).join('\n'));
  });
}

function expect(held: boolean, what: string): void {
  if (!held) throw new Error(what);
}

export const engines: Story = {
  play,
  clear,
  hints: [
    'docker network ls',
    'docker exec mail ping api                   (on h2)',
    'docker exec api nslookup backend            (on h1)',
    `docker run -it --rm --network web ${IMAGE} sh`,
  ],
};
