import 'reflect-metadata';
import { X509Crl } from '@peculiar/x509';
import { afterEach, expect, test } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { reissue } from '../../../../src/agent/cluster/renewal.ts';
import { shownCertificate } from '../../../../src/core/ca-rotation.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { decodeCertificates } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { backdatedCertificate } from '../../../fixtures/certificate.ts';
import { CertificationFixture } from './certification-fixture.ts';
import { pki } from './cluster-fixture.ts';

const DAY_MS = 86_400_000;
const started: CertificationFixture[] = [];
afterEach(() => {
  for (const fixture of started.splice(0)) fixture.stop();
});

async function fixture(others: number, level = 4) {
  const made = new CertificationFixture();
  started.push(made);
  await made.start(others, { version: '0.4.0', levels: { from: 1, to: level } });
  return { fixture: made, cluster: made.cluster, members: made.members };
}

const shown = (member: { taken: readonly { certificate: string }[] }) => member.taken.at(-1)!.certificate;

test('from level 4 on a host that joins gets no key of the CA; below, every member has it', async () => {
  const { members } = await fixture(1);
  expect(members.map(({ own }) => own.current.caKey !== undefined)).toEqual([true, false]);
  const { members: former } = await fixture(1, 3);
  expect(former.map(({ own }) => own.current.caKey !== undefined)).toEqual([true, true]);
});

test('a certificate is renewed at two thirds of its life by a keeper, saved, and taken into use without a restart', async () => {
  const { fixture: made, cluster, members } = await fixture(1);
  const [, plain] = members;
  const before = plain!.own.current;
  cluster.clock.step(59 * DAY_MS);
  await plain!.run();
  await cluster.clock.advance(60_000);
  expect(plain!.taken).toEqual([]);
  cluster.clock.step(2 * DAY_MS);
  await made.until(() => plain!.taken.length === 1);
  expect(plain!.own.current).toEqual({ ...before, certificate: shown(plain!) });
  expect(plain!.file.content).toEqual(plain!.own.current);
  const [old, renewed] = [before.certificate, shown(plain!)].map((each) => pki.readCertificate(each));
  expect(renewed!.fingerprint).toBe(old!.fingerprint);
  expect(renewed!.notAfter - old!.notAfter).toBeGreaterThan(59 * DAY_MS);
});

test('the host of the key renews its own, and what cannot be saved is tried again and said once', async () => {
  const { fixture: made, cluster, members } = await fixture(0);
  const [keeper] = members;
  cluster.clock.step(100 * DAY_MS);
  const { save } = keeper!.file;
  let failures = 3;
  keeper!.file.save = async (state) => {
    if (failures-- > 0) throw new Error('no space left on device');
    await save(state);
  };
  await keeper!.run();
  await made.until(() => keeper!.taken.length === 1);
  const warned = cluster.log.filter(({ level }) => level === 'warn').map(({ message }) => message);
  expect(warned).toEqual(['certificate not renewed, trying again']);
});

test('while no keeper answers a member goes on with what it has, and asks again', async () => {
  const { fixture: made, cluster, members } = await fixture(1);
  const [keeper, plain] = members;
  keeper!.away = true;
  cluster.clock.step(61 * DAY_MS);
  await plain!.run();
  await made.until(() => cluster.log.some(({ message }) => message === 'certificate not renewed, trying again'));
  expect(plain!.taken).toEqual([]);
  keeper!.away = false;
  await made.until(() => plain!.taken.length === 1);
});

test('while members change all the time keepers that cannot help are asked now and then, and soon when they can', async () => {
  const { fixture: made, cluster, members } = await fixture(1);
  const [, plain] = members;
  let [asked, isAway] = [0, true];
  const ca = { certificate: plain!.own.current.caCertificate, key: members[0]!.own.current.caKey! };
  const askOthers = async () => {
    asked++;
    if (isAway) throw new OverlaydError('keeper-unreachable', 'no keeper', { retryable: true });
    return (await reissue({ pki, clock: cluster.clock }, ca, plain!.own.current, 90 * DAY_MS, false)) as never;
  };
  cluster.clock.step(61 * DAY_MS);
  await plain!.run({ keepers: { askOthers } });
  for (let i = 0; i < 1_000; i++) {
    await plain!.see();
    await cluster.clock.advance(10);
  }
  expect(asked).toBeGreaterThan(3);
  expect(asked).toBeLessThan(15);
  isAway = false;
  await made.until(() => plain!.taken.length === 1);
});

test('a certificate that a clock made too early, or for another address, is replaced once', async () => {
  const { fixture: made, cluster, members } = await fixture(1);
  const [keeper, plain] = members;
  const early = { ...plain!.own.current, caKey: keeper!.own.current.caKey! };
  plain!.file.content = {
    ...plain!.own.current,
    certificate: await backdatedCertificate(early, cluster.clock.now() + 61 * DAY_MS),
  };
  await plain!.run();
  await made.until(() => plain!.taken.length === 1);
  expect(pki.validity(shown(plain!)).notBefore).toBeLessThan(cluster.clock.now());
  plain!.file.content = { ...plain!.own.current, advertiseAddress: '10.0.0.22' };
  await plain!.run();
  await made.until(() => plain!.taken.length === 2);
  expect(pki.namesAddress(shown(plain!), '10.0.0.22')).toBe(true);
  await cluster.clock.advance(10 * 60_000);
  expect(plain!.taken).toHaveLength(2);
});

test('what could not be taken into use is, as soon as it can be', async () => {
  const { fixture: made, cluster, members } = await fixture(0);
  cluster.clock.step(61 * DAY_MS);
  let calls = 0;
  await members[0]!.run({
    take: async () => {
      if (++calls < 3) throw new Error('etcd does not start');
    },
  });
  await made.until(() => calls === 3);
  await cluster.clock.advance(60_000);
  expect(calls).toBe(3);
});

test('a host that is to keep the store gets the key, and one that keeps it no more gives it up', async () => {
  const { fixture: made, members } = await fixture(1);
  const [first, second] = members;
  await second!.run();
  await made.keepers([first!.id, second!.id]);
  await made.until(() => second!.own.current.caKey !== undefined);
  expect(second!.own.current.caKey).toBe(first!.own.current.caKey);
  expect(second!.file.content).toEqual(second!.own.current);
  await made.keepers([first!.id]);
  await made.until(() => second!.own.current.caKey === undefined);
  expect(second!.file.content).not.toHaveProperty('caKey');
  expect(pki.isSignedBy(second!.own.current.certificate, first!.own.current.caCertificate)).toBe(true);
});

test('nobody gives the key up before another keeper has signed with it', async () => {
  const { fixture: made, cluster, members } = await fixture(2);
  const [first, second] = members;
  await made.keepers([first!.id, second!.id]);
  await second!.run();
  await made.until(() => second!.own.current.caKey !== undefined);
  first!.away = true;
  await made.keepers([first!.id]);
  const waits = "the CA's key is not as it should be yet, trying again";
  await made.until(() => cluster.log.some(({ message }) => message === waits));
  expect(second!.own.current.caKey).toBeDefined();
  first!.away = false;
  await made.until(() => second!.own.current.caKey === undefined);
});

test('when the level rises, members of before give up the key, and the keeper keeps it', async () => {
  const { fixture: made, members } = await fixture(2, 3);
  for (const member of members) await member.run();
  await made.cluster.clock.advance(60_000);
  expect(members.every(({ own }) => own.current.caKey !== undefined)).toBe(true);
  await made.put('/overlayd/v2/cluster', { ...(await made.record()), level: 4 });
  await made.until(() => members.slice(1).every(({ own }) => own.current.caKey === undefined));
  expect(members[0]!.own.current.caKey).toBeDefined();
});

const isKeepers = (member: { own: { current: Identity } }) =>
  pki.readCertificate(shownCertificate(member.own.current).certificate).isKeepers;

/** From here on the cluster's etcd is one of its own hosts'. */
async function bundled(others: number, level = 5) {
  const made = await fixture(others, level);
  for (const member of made.members) {
    const content = member.file.content as Identity;
    const store = { ...content.store, endpoints: ['https://10.0.0.1:2379'] };
    member.file.content = { ...content, store };
  }
  return made;
}

test('from level 5 on keepers alone have the names of keepers, and members of before lose them', async () => {
  const { members } = await fixture(1, 5);
  expect(members.map(isKeepers)).toEqual([true, false]);
  const { fixture: made, members: former } = await fixture(2, 4);
  expect(former.map(isKeepers)).toEqual([true, true, true]);
  for (const member of former) await member.run();
  await made.put('/overlayd/v2/cluster', { ...(await made.record()), level: 5 });
  await made.until(() => former.slice(1).every((member) => !isKeepers(member)));
  await made.cluster.clock.advance(120_000);
  expect(former.map(isKeepers)).toEqual([true, false, false]);
  expect(former.map(({ taken }) => taken.length)).toEqual([0, 1, 1]);
});

test('a host has the names of a keeper before it is one, and loses them when it is none any more', async () => {
  const { fixture: made, members } = await fixture(1, 5);
  const [first, second] = members;
  for (const member of members) await member.run();
  await made.put(keys.storeChange, { kind: 'add', nodeId: second!.id, why: '', by: first!.id, startedAt: 1 });
  await made.until(() => second!.taken.some(({ certificate }) => pki.readCertificate(certificate).isKeepers));
  await made.keepers([first!.id, second!.id]);
  await made.put(keys.storeChange, { kind: 'remove', nodeId: second!.id, why: '', by: first!.id, startedAt: 1 });
  await made.keepers([first!.id]);
  made.cluster.etcd.txn([], [{ kind: 'delete', key: keys.storeChange }]);
  await made.seeAll();
  await made.until(() => !isKeepers(second!));
});

test('a host that takes itself for a keeper, and is none to who decides, has its certificate renewed all the same', async () => {
  const { fixture: made, cluster, members } = await fixture(1, 5);
  const [first, second] = members;
  await second!.run({
    view: () =>
      new Proxy(second!.view, {
        get(view, name) {
          const value = Reflect.get(view, name, view);
          if (name === 'keepers') return () => [first!.id, second!.id];
          return typeof value === 'function' ? value.bind(view) : value;
        },
      }),
  });
  const refused = ({ message }: { message: string }) => message === 'certificate not renewed, trying again';
  await made.until(() => cluster.log.some(refused));
  expect(second!.taken).toEqual([]);
  cluster.clock.step(61 * DAY_MS);
  await made.until(() => second!.taken.length === 1);
  expect(isKeepers(second!)).toBe(false);
});

test('what is made for a member is on record before it has it, and a keeper notes its own', async () => {
  const { fixture: made, cluster, members } = await fixture(1, 5);
  const [first, second] = members;
  const issued = async (nodeId: string) => {
    const entry = await cluster.store.get(keys.certificates(nodeId));
    return entry ? decodeCertificates(entry.value)!.issued.map(({ serial }) => serial) : [];
  };
  const serialOf = ({ own }: (typeof members)[number]) => pki.readCertificate(own.current.certificate).serial;
  const before = serialOf(second!);
  expect(await issued(second!.id)).toEqual([before]);
  expect(await issued(first!.id)).toEqual([]);
  for (const member of members) await member.run();
  await made.until(async () => (await issued(first!.id)).length === 1);
  expect(await issued(first!.id)).toEqual([serialOf(first!)]);
  cluster.clock.step(61 * DAY_MS);
  for (const member of members) member.certification.look();
  await made.until(() => members.every(({ taken }) => taken.length === 1));
  await made.until(async () => (await issued(first!.id)).length === 2);
  expect(await issued(second!.id)).toEqual([before, serialOf(second!)]);
});

test("a keeper's etcd refuses what is revoked, by a list that the CA in use has signed, also when that is another one", async () => {
  const { fixture: made, members } = await bundled(0);
  const [keeper] = members;
  const listed = () => {
    const { caCertificate, revoked } = keeper!.own.current;
    const entries = new X509Crl(revoked!.list).entries.map(({ serialNumber }) => Number(`0x${serialNumber}`));
    return { entries, isOfCa: revoked!.signedBy === pki.digest(caCertificate) };
  };
  await keeper!.run();
  // As etcd is told of the file once, there is one before anybody is revoked.
  await made.until(() => keeper!.taken.length === 1);
  expect(listed()).toEqual({ entries: [], isOfCa: true });
  keeper!.certification.revoke(['0a', 'ff']);
  await made.until(() => keeper!.taken.length === 2);
  expect(listed()).toEqual({ entries: [10, 255], isOfCa: true });
  // Another run, that has heard of none yet, keeps it.
  await keeper!.run();
  await made.cluster.clock.advance(120_000);
  expect(listed()).toEqual({ entries: [10, 255], isOfCa: true });
  const { caCertificate } = keeper!.own.current;
  await keeper!.certification.rotate();
  await made.until(() => keeper!.own.current.caCertificate !== caCertificate && keeper!.own.current.next === undefined);
  await made.until(() => listed().isOfCa);
  expect(listed().entries).toEqual([10, 255]);
});
