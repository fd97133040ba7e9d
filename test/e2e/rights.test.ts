/** What root on a host that is no keeper can do to the cluster with its certificate, and what a removed one can. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { keys, PREFIX } from '../../src/core/records.ts';
import { joinArguments, untilReady } from '../lab/cluster.ts';
import { Etcdctl } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3 });
let [one, two, three]: Host[] = [];
let join_: readonly string[] = [];

interface Identity {
  readonly nodeId: string;
  readonly name: string;
  readonly caKey?: string;
  readonly caCertificate: string;
  readonly certificate: string;
}
const identityOf = (host: Host) =>
  JSON.parse(readFileSync(join(host.dataDirectory, 'identity.json'), 'utf8')) as Identity;
const refused = (what: Promise<unknown>) => expect(what).rejects.toThrow(/permission denied/);
const problemsOf = async (host: Host): Promise<string> => (await host.json('status')).Problems.join('\n');
/** With the certificate of that host. */
const as = (host: Host) => Etcdctl.ofBundled(host);
const read = async (key: string) => JSON.parse((await as(one!).run('get', key, '--print-value-only')).trim());

beforeAll(async () => {
  [one, two, three] = lab().hosts as Host[];
  join_ = joinArguments(await one!.mustOverlayd('init', '--advertise-addr', one!.address, '--store-members', '1'));
  for (const host of [two!, three!]) await host.mustOverlayd(...join_, '--advertise-addr', host.address);
  await untilReady(lab().hosts);
  await one!.mustOverlayd('network', 'create', 'web');
  await attach(one!, 'c1', 'web', '--name', 'api');
  await attach(two!, 'c2', 'web', '--name', 'shop');
  await attach(three!, 'c3', 'web', '--name', 'job');
  await untilResolves(three!, 'c3', 'api', ['10.0.0.2']);
  await until('etcd to ask who somebody is', async () => {
    await refused(as(two!).run('put', keys.token('abcdefgh'), '{}'));
    return true;
  });
});

describe('a member that is no keeper', () => {
  test('does not have the key of the CA', () => {
    expect(identityOf(one!).caKey).toContain('PRIVATE KEY');
    for (const host of [two!, three!]) expect(identityOf(host).caKey ?? '').toBe('');
  });

  test('has no names of keepers: nobody takes it for the store, or for who lets hosts in', async () => {
    const takes = async (host: Host, name: string) => {
      const ca = join(host.dataDirectory, 'rights-ca.pem');
      writeFileSync(ca, identityOf(host).caCertificate);
      const check = `openssl s_client -connect ${host.address}:2377 -CAfile ${ca} -verify_hostname ${name} -verify_return_error </dev/null`;
      // Its exit code is also of how the server closes, which is not what is asked.
      return (await host.run(['sh', '-c', check])).stdout.includes(`Verified peername: ${name}`);
    };
    for (const name of ['join.overlayd', 'etcd.overlayd']) {
      expect(await takes(one!, name)).toBe(true);
      for (const host of [two!, three!]) expect(await takes(host, name)).toBe(false);
    }
    expect(await takes(two!, `${identityOf(two!).nodeId}.node.overlayd`)).toBe(true);
  });

  test('cannot write what is another node’s, the cluster’s, or tokens', async () => {
    const [own, other] = [identityOf(two!), identityOf(three!)];
    const endpoint = (await three!.json('endpoint', 'ls')).find(({ Name }: { Name: string }) => Name === 'job');
    for (const key of [
      ...[keys.cluster, keys.token('abcdefgh'), keys.storeKeepers, keys.storeChange, keys.storeGate],
      ...[keys.node(other.nodeId), keys.live(other.nodeId), keys.nodeName(other.name), '/elsewhere'],
      keys.endpoint({ nodeId: other.nodeId, id: endpoint.ID ?? 'e' }),
    ]) {
      await refused(as(two!).run('put', key, '{}'));
      await refused(as(two!).run('del', key));
    }
    await refused(as(two!).run('del', '--prefix', '/overlayd/v2/endpoints/'));
    await refused(as(two!).run('get', '/elsewhere'));
    await refused(as(two!).run('user', 'add', 'friend', '--no-password'));
    await refused(as(two!).run('auth', 'disable'));
    const node = await as(two!).run('get', keys.node(own.nodeId), '--print-value-only');
    await as(two!).run('put', keys.node(own.nodeId), node.trim());
  });

  test('is not believed about a gateway’s address, nor another host’s tunnel address, and is named', async () => {
    const { nodeId } = identityOf(two!);
    const [network] = await one!.json('network', 'ls');
    const id = 'f'.repeat(64);
    const addresses = [{ subnet: '10.0.0.0/24', ip: '10.0.0.1' }];
    const forged = {
      ...{ id, networkId: network.ID, nodeId, addresses, mac: '02:42:0a:00:00:01' },
      ...{ name: 'gateway', aliases: [], createdAt: 1 },
    };
    await as(two!).run('put', keys.address(network.ID, '10.0.0.1'), JSON.stringify({ endpointId: id, nodeId }));
    await as(two!).run('put', keys.endpoint(forged), JSON.stringify(forged));
    await until('the gateway’s claim to be named', async () =>
      /has endpoint gateway of network web at 10\.0\.0\.1, which is the gateway/.test(await problemsOf(three!)),
    );
    await as(two!).run('del', keys.endpoint(forged));
    await as(two!).run('del', keys.address(network.ID, '10.0.0.1'));
    const record = await read(keys.node(nodeId));
    // Which would put it right at once.
    await two!.agent.stop();
    await as(two!).run('put', keys.node(nodeId), JSON.stringify({ ...record, vtep: three!.address }));
    await until('the tunnel address to be named', async () =>
      new RegExp(`has tunnel address ${three!.address} in its record`).test(await problemsOf(one!)),
    );
    await one!.mustExec('c1', ['ping', '-c', '3', '-i', '0.2', '-W', '5', '10.0.0.4']);
    await as(two!).run('put', keys.node(nodeId), JSON.stringify(record));
    await two!.agent.start();
    await until('nothing to be named', async () => (await problemsOf(one!)) === '');
    await one!.mustExec('c1', ['ping', '-c', '1', '-W', '5', '10.0.0.3']);
    await untilReady(lab().hosts);
  });

  test('has a keeper do what it may not, and notices nothing', async () => {
    const made = await two!.mustOverlayd('token', 'create', '--uses', '1');
    // It lets nobody in itself.
    expect(made).toContain(`${one!.address}:2377`);
    const id = (await two!.json('token', 'ls')).map(({ ID }: { ID: string }) => ID).at(-1);
    await two!.mustOverlayd('token', 'revoke', id);
    await two!.mustOverlayd('network', 'create', '--ipv6', 'six');
    await two!.mustOverlayd('network', 'rm', 'six');
    await two!.mustOverlayd('ipam', 'repair');
  });
});

describe('a member that was removed', () => {
  test('is let in nowhere any more', async () => {
    const thief = as(three!);
    await thief.run('get', keys.cluster);
    const watches = [two!, three!].map((host) => as(host).spawn('watch', '--prefix', `${PREFIX}networks/`));
    const hear = (name: string) => watches.map(({ output }) => output.includes(`"${name}"`));
    // Which of the first changes a watch still misses is not known.
    for (let nth = 1; hear('before').includes(false); nth++) {
      await one!.mustOverlayd('network', 'create', 'before');
      await one!.mustOverlayd('network', 'rm', 'before');
      if (nth > 50) throw new Error(`the watches hear nothing: ${watches.map(({ output }) => output).join()}`);
    }
    await two!.mustOverlayd('node', 'rm', '--force', three!.name);
    const log = () => readFileSync(join(one!.directory, 'agent.log'), 'utf8');
    await until('its connections to end', () => log().includes('store-connections-ended'));
    await one!.mustOverlayd('network', 'create', 'after');
    await until('a member to hear of it', () => hear('after')[0] === true);
    expect(hear('after')).toEqual([true, false]);
    for (const watch of watches) await watch.kill();
    // Its user is gone, and soon its certificate is refused before it can say a word.
    await expect(thief.run('put', keys.live(identityOf(three!).nodeId), '{}')).rejects.toThrow();
    const list = join(one!.dataDirectory, 'etcd', 'revoked.crl');
    const { serialNumber } = new X509Certificate(identityOf(three!).certificate);
    await until('its certificate to be on the list', async () => {
      const { stdout } = await one!.run(['openssl', 'crl', '-inform', 'DER', '-noout', '-text', '-in', list]);
      return stdout.includes(`Serial Number: ${serialNumber}`);
    });
    await expect(thief.run('get', keys.cluster)).rejects.toThrow(
      /TransientFailure|bad certificate|connection|broken pipe/,
    );
    await as(two!).run('get', keys.cluster);
    await until('the others to go on without it', async () => {
      const nodes: { Name: string }[] = await one!.json('node', 'ls');
      return !nodes.some(({ Name }) => Name === three!.name);
    });
    const users = await as(one!).run('user', 'list');
    expect(users).not.toContain(identityOf(three!).nodeId);
    expect(await three!.overlayd('network', 'create', 'mine')).toMatchObject({ code: expect.any(Number) });
    await one!.mustExec('c1', ['ping', '-c', '1', '-W', '5', '10.0.0.3']);
  });

  test('is told so when its agent starts anew, and what to do', async () => {
    await three!.agent.kill();
    await three!.agent.start();
    await until('it to be told', async () => {
      const { Findings } = await three!.json('status');
      const [code, ...more] = Findings.map(({ Code }: { Code: string }) => Code);
      // It answers, though not this host.
      return code === 'node-removed' && !more.includes('store-away');
    });
    const { code, stderr } = await three!.overlayd('network', 'create', 'mine');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('run `overlayd leave --force`, then join again'),
    });
  });

  test('joins again as a new one', async () => {
    await three!.mustOverlayd('leave', '--force');
    await three!.mustOverlayd(...join_, '--advertise-addr', three!.address);
    await untilReady(lab().hosts);
    await attach(three!, 'c4', 'web', '--name', 'again');
    await until('its name to resolve', async () => (await one!.exec('c1', ['ping', '-c', '1', 'again'])).code === 0);
  });
});
