/** The cluster's CA is replaced while containers talk and commands are given, of three keepers and a host that is none. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Identity } from '../../src/agent/cluster/identity.ts';
import { pointerOf, startAsking } from '../lab/asking.ts';
import { formCluster, untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({
  hosts: 5,
  prepare: async (made) => {
    await formCluster(made.hosts.slice(0, 4));
    await until('three hosts to keep the store', async () => made.hosts.slice(0, 4).filter(keeps).length === 3);
  },
});

/** It keeps the store, and has the CA's key. */
function keeps(host: Host): boolean {
  const { store } = identityOf(host);
  return hasCaKey(host) && store.bundled && store.endpoints.length === 3;
}

const identityOf = (host: Host): Identity =>
  JSON.parse(readFileSync(join(host.dataDirectory, 'identity.json'), 'utf8'));
/** The file has an empty one where there is none. */
const hasCaKey = (host: Host) => Boolean(identityOf(host).caKey);
const logOf = (host: Host) => readFileSync(join(host.directory, 'agent.log'), 'utf8');
const members = () => lab().hosts.slice(0, 4);
const cas = () => members().map((host) => identityOf(host).caCertificate);
const oneCa = () => new Set(cas()).size === 1 && members().every((host) => identityOf(host).next === undefined);

test('no packet and no answer is lost, no command refused, no agent started anew', async () => {
  const [one, two, , four] = members() as [Host, Host, Host, Host];
  await one.mustOverlayd('network', 'create', '--subnet', '10.81.0.0/24', 'web');
  await attach(one, 'c1', 'web', '--name', 'api', '--ip', '10.81.0.9');
  await attach(two, 'c2', 'web', '--name', 'shop');
  for (const name of ['api', 'shop']) await untilReaches(two, 'c2', name);
  const before = identityOf(one).caCertificate;
  const starts = members().map((host) => logOf(host).split('"msg":"starting').length);
  const pinging = await startPinging(two, 'c2', '10.81.0.9');
  const names = ['api', 'shop', pointerOf('10.81.0.9')];
  const stop = await startAsking(two, 'c2', names, { gateway: '10.81.0.1', least: 500, perSecond: 100 });

  let isDone = false;
  const failures: string[] = [];
  const commands = (async () => {
    for (let i = 0; !isDone; i++) {
      const host = members()[i % 4]!;
      for (const line of [
        ['network', 'create', `n${i}`],
        ['network', 'rm', `n${i}`],
      ]) {
        let { code, stderr } = await host.overlayd(...line);
        // Each etcd is started anew twice: what one was asked at that moment may have happened or not.
        if (code !== 0 && /does not answer|was closed|not known/.test(stderr))
          ({ code, stderr } = await host.overlayd(...line));
        if (code !== 0 && !/exists|no network/.test(stderr)) failures.push(`${line.join(' ')}: ${stderr}`);
      }
    }
  })();
  // Of a host that is no keeper.
  const status = await four.json('ca', 'rotate');
  await until('all members to have one CA again', async () => oneCa());
  isDone = true;
  await commands;

  expect(failures).toEqual([]);
  expect(await pinging.end()).toEqual([]);
  expect(await stop()).toMatchObject({ lost: [], wrong: [] });
  expect(cas()).not.toContain(before);
  expect(status).toMatchObject({ NextDigest: '', Phase: '' });
  expect(members().map((host) => logOf(host).split('"msg":"starting').length)).toEqual(starts);
  expect(members().map((host) => hasCaKey(host))).toEqual([true, true, true, false]);
  await untilReady(members());
  expect((await four.json('ca', 'status')).Nodes.map(({ Keeper }: { Keeper: boolean }) => Keeper)).toEqual([
    ...[true, true, true, false],
  ]);
});

test('a token of before is refused with the reason, a new one lets a host in', async () => {
  const [one] = members() as [Host];
  const token = await one.mustOverlayd('token', 'create', '-q');
  await one.mustOverlayd('ca', 'rotate');
  const five = lab().host(5);
  const refused = await five.overlayd('join', '--token', token, `${one.address}:2377`);
  expect(refused.stderr).toContain('its CA was replaced since (overlayd ca rotate)');
  const fresh = await one.mustOverlayd('token', 'create', '-q');
  await five.mustOverlayd('join', '--token', fresh, `${one.address}:2377`);
  await untilReady(lab().hosts);
  expect(identityOf(five).caCertificate).toBe(identityOf(one).caCertificate);
});

test('a host that is away holds it up, by name, and it goes on when the host is back, whoever was killed meanwhile', async () => {
  const [one, two, three] = members() as [Host, Host, Host];
  const before = identityOf(one).caCertificate;
  await three.agent.stop();
  await until('it to be missed', async () => {
    const nodes: { Name: string; State: string }[] = await one.json('node', 'ls');
    return nodes.some(({ State }) => State !== 'ready');
  });
  const rotating = two.spawn(['overlayd', 'ca', 'rotate']);
  await until('it to be waited for', async () => (await two.json('ca', 'status')).Waiting.includes('waiting for'));
  const status = await two.json('ca', 'status');
  await until('all others to trust both', async () => {
    const { Nodes } = await two.json('ca', 'status');
    return Nodes.filter(({ Awaited }: { Awaited: boolean }) => Awaited).length === 1;
  });
  expect((await two.json('ca', 'status')).Waiting).toMatch(
    /^4 of 5 members trust both CAs; waiting for h3 \((restarting|suspect|joining|down)\)$/,
  );
  expect(status.Phase).toBe('trust');
  await rotating.kill('SIGINT');
  await one.agent.kill();
  await one.agent.start();
  expect(identityOf(one).caCertificate).toBe(before);
  await three.agent.start();
  await until('all members to have one other CA', async () => oneCa() && !cas().includes(before));
  await untilReady(lab().hosts);
});
