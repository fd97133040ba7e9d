/** Who has the CA's key, and certificates that are renewed while everything runs. Two of three hosts are no keepers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createPki } from '../../src/adapters/pki/pki.ts';
import type { Identity } from '../../src/agent/cluster/identity.ts';
import { startAsking as ask, pointerOf } from '../lab/asking.ts';
import { formCluster, joinArguments, untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const DAY_MS = 86_400_000;
const pki = createPki();
const lab = useLab({
  hosts: 4,
  prepare: (made) => formCluster([made.host(1), made.host(2)], ['--store-members', '1']),
});

const identityPath = (host: Host) => join(host.dataDirectory, 'identity.json');
const identityOf = (host: Host): Identity => JSON.parse(readFileSync(identityPath(host), 'utf8'));
/** The file has an empty one where there is none. */
const hasCaKey = (host: Host) => Boolean(identityOf(host).caKey);
const logOf = (host: Host) => readFileSync(join(host.directory, 'agent.log'), 'utf8');

/** The certificate that is shown on a port of the host. */
async function shownBy(host: Host, port: number): Promise<string> {
  const argv = ['sh', '-c', `openssl s_client -connect ${host.address}:${port} -alpn h2 </dev/null 2>/dev/null`];
  const { stdout } = await host.run(argv);
  return /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(stdout)?.[0] ?? '';
}

/** The host's agent, with a certificate that was made so long ago. */
async function startWithCertificateOf(host: Host, agoMs: number): Promise<string> {
  await host.agent.stop();
  const identity = identityOf(host);
  const keeper = identityOf(lab().host(1));
  const certificate = await pki.issue(
    { certificate: keeper.caCertificate, key: keeper.caKey! },
    { csr: await pki.createCsr(identity.key), nodeId: identity.nodeId, address: identity.advertiseAddress },
    { now: Date.now() - agoMs, lifetimeMs: 90 * DAY_MS },
  );
  writeFileSync(identityPath(host), JSON.stringify({ ...identity, certificate }));
  await host.agent.start();
  return certificate;
}

test('a host joins by a member that has no key of the CA, and gets none', async () => {
  const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
  expect([one, two].map((host) => hasCaKey(host))).toEqual([true, false]);
  const line = joinArguments(await two.mustOverlayd('token', 'create'));
  // The printed line names a keeper; the member may be named as well, and sends the host on.
  expect(line.at(-1)).toBe(`${one.address}:2377`);
  await three.mustOverlayd(...line.slice(0, -1), `${two.address}:2377`);
  await untilReady([one, two, three]);
  expect(hasCaKey(three)).toBe(false);
  expect(logOf(one)).toContain('join admitted');
});

test('what a token is refused for is said through a member that is no keeper', async () => {
  const two = lab().host(2);
  const token = await two.mustOverlayd('token', 'create', '-q');
  const guess = `${token.slice(0, -3)}aaa`;
  const { code, stderr } = await lab().host(4).overlayd('join', '--token', guess, `${two.address}:2377`);
  expect(code).toBe(1);
  expect(stderr).toContain('this cluster does not know the token');
});

/** Asks on a host, all the time, for what is there and elsewhere. Returns what ends it and says what went wrong. */
async function startAsking(host: Host, container: string) {
  const names = ['api', 'shop', pointerOf('10.82.0.9')];
  const stop = await ask(host, container, names, { gateway: '10.82.0.1', least: 500, perSecond: 100 });
  return async () => {
    const { lost, wrong } = await stop();
    return { lost, wrong };
  };
}
const NOTHING = { lost: [], wrong: [] };

test('a certificate in its last third is renewed by a keeper, and shown, while traffic goes on and nothing restarts', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await one.mustOverlayd('network', 'create', '--subnet', '10.82.0.0/24', 'web');
  await attach(one, 'c1', 'web', '--name', 'api', '--ip', '10.82.0.9');
  await attach(two, 'shop', 'web', '--name', 'shop');
  for (const name of ['api', 'shop']) await untilReaches(two, 'shop', name);
  const stop = await startAsking(two, 'shop');
  const old = await startWithCertificateOf(two, 61 * DAY_MS);
  await attach(two, 'c2', 'web');
  await untilReaches(two, 'c2', 'api');
  await until('the certificate to be renewed', async () => identityOf(two).certificate !== old);
  const { certificate } = identityOf(two);
  for (const port of [7946, 2377])
    await until(`it to be shown on ${port}`, async () => (await shownBy(two, port)) === certificate);
  expect(pki.validity(certificate).notAfter).toBeGreaterThan(Date.now() + 89 * DAY_MS);
  expect(logOf(two)).not.toContain('starting again');
  await untilReady([one, two, lab().host(3)]);
  await untilReaches(two, 'c2', 'api');
  expect(await stop()).toEqual(NOTHING);
});

test('a keeper renews its own', async () => {
  const one = lab().host(1);
  await untilReaches(one, 'c1', 'shop');
  const stop = await startAsking(one, 'c1');
  const old = await startWithCertificateOf(one, 61 * DAY_MS);
  await untilReady([one, lab().host(2), lab().host(3)]);
  expect(identityOf(one).certificate).not.toBe(old);
  // The first one may lack what a keeper's has, and is soon followed by another.
  await until('it to be shown', async () => (await shownBy(one, 7946)) === identityOf(one).certificate);
  expect(await stop()).toEqual(NOTHING);
});

test('a member whose certificate has run out keeps its traffic, says what to do, and is let in again by a token', async () => {
  const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
  await untilReaches(two, 'c2', 'api');
  const { nodeId } = identityOf(two);
  const old = await startWithCertificateOf(two, 100 * DAY_MS);
  await until('it to say so', async () => {
    const { Problems } = await two.json('status');
    return Problems.some((text: string) => text.includes('lets this one in again'));
  });
  await untilReaches(two, 'c2', 'api');
  const line = joinArguments(await one.mustOverlayd('token', 'create', '--uses', '1'));
  await two.mustOverlayd(...line);
  await untilReady([one, two, three]);
  const { certificate, ...rest } = identityOf(two);
  expect([certificate === old, rest.nodeId]).toEqual([false, nodeId]);
  expect(logOf(two)).not.toContain('starting again');
  await untilReaches(two, 'c2', 'api');
  // Who is well is told that it is a member.
  const { stderr } = await two.overlayd(...line);
  expect(stderr).toContain('already');
});
