/** The CA is replaced, over several members with an etcd in memory. */
import { afterEach, expect, test } from 'vitest';
import type { Identity } from '../../../../src/agent/cluster/identity.ts';
import { trustedCas } from '../../../../src/core/ca-rotation.ts';
import { AGENT, CertificationFixture, type CertifiedMember } from './certification-fixture.ts';
import { pki } from './cluster-fixture.ts';

const started: CertificationFixture[] = [];
afterEach(() => {
  for (const fixture of started.splice(0)) fixture.stop();
});

/** `n1` and `n2` are keepers, `n3` is none. */
async function fixture(agent = AGENT) {
  const made = new CertificationFixture();
  started.push(made);
  await made.start(2, agent);
  const [first, second, third] = made.members as [CertifiedMember, CertifiedMember, CertifiedMember];
  await made.keepers([first.id, second.id]);
  for (const member of made.members) await member.run();
  await made.until(() => agent.levels.to < 4 || second.own.current.caKey !== undefined);
  return { made, first, second, third, before: first.own.current.caCertificate };
}

const isDone = (before: string) => (member: CertifiedMember) =>
  member.own.current.caCertificate !== before && member.own.current.next === undefined;

/** Of what each member showed and trusted at any time, whoever showed it is believed by everyone at the next time too. */
function mutuallyTrusted(members: readonly CertifiedMember[]): boolean {
  const cas = (identity: Identity) =>
    [identity.caCertificate, identity.next?.caCertificate].filter((ca) => ca !== undefined);
  const shown = (identity: Identity) => identity.next?.certificate ?? identity.certificate;
  return members.every((a) =>
    members.every((b) =>
      cas(b.taken.at(-1) ?? b.first).some((ca) => pki.isSignedBy(shown(a.taken.at(-1) ?? a.first), ca)),
    ),
  );
}

test('every member trusts both, then has a certificate of the next, then trusts that alone, and all trust each other all the time', async () => {
  const { made, first, second, third, before } = await fixture();
  const doubts: number[] = [];
  for (const member of made.members) {
    const { push } = member.taken;
    member.taken.push = (...items) => {
      const length = push.apply(member.taken, items);
      if (!mutuallyTrusted(made.members)) doubts.push(length);
      return length;
    };
  }
  await third.askKeeper('rotateCa');
  await made.until(() => made.members.every(isDone(before)));
  expect(doubts).toEqual([]);
  const { caCertificate } = first.own.current;
  expect(await made.record()).toMatchObject({ caCertificate });
  expect(await made.record()).not.toHaveProperty('nextCaCertificate');
  for (const member of made.members) {
    expect(pki.isSignedBy(member.own.current.certificate, caCertificate)).toBe(true);
    expect(member.file.content).toEqual(member.own.current);
    const digest = pki.digest(caCertificate);
    await made.until(async () => (await made.node(member.id)).trusts?.join() === digest);
    expect((await made.node(member.id)).certifiedBy).toBe(digest);
  }
  expect([first, second].every(({ own }) => pki.isKeyOf(own.current.caKey!, caCertificate))).toBe(true);
  expect(third.own.current.caKey).toBeUndefined();
});

test('whichever member is killed after whichever step goes on from its file', async () => {
  for (const [victim, saves] of [0, 1, 2].flatMap((i) => [1, 2, 3, 4].map((n) => [i, n] as const))) {
    const { made, third, before } = await fixture();
    const member = made.members[victim]!;
    member.dieAfterSaves(saves);
    // Whoever asked waits for ever for one that is killed.
    void third.askKeeper('rotateCa');
    await made.until(() => member.died || made.members.every(isDone(before)));
    await member.run();
    // Killed before anybody was told, it has begun nothing.
    if (!made.members.every(isDone(before))) await third.askKeeper('rotateCa');
    await made.until(() => made.members.every(isDone(before)));
    made.stop();
  }
});

test('a member that is away holds up the step, is named, and goes on when it is back', async () => {
  const { made, first, third, before } = await fixture();
  third.stop();
  await first.certification.rotate();
  await made.until(async () => (await made.node(made.members[1]!.id)).trusts?.length === 2);
  await made.cluster.clock.advance(120_000);
  expect(made.progress()).toMatch(/^2 of 3 members trust both CAs; waiting for n3 \(down\)$/);
  expect(first.own.current).toMatchObject({ caCertificate: before });
  await third.run();
  await made.until(() => made.members.every(isDone(before)));
});

test('the key of the next CA is with all keepers before anybody has a certificate of it; lost before that, it begins anew', async () => {
  const { made, first, second, third, before } = await fixture();
  second.stop();
  await first.certification.rotate();
  const lost = first.own.current.next!.caCertificate;
  await made.until(async () => (await made.node(third.id)).trusts?.length === 2);
  await made.cluster.clock.advance(60_000);
  expect(third.own.current.next?.certificate).toBeUndefined();
  // The first one is gone for good.
  first.stop();
  first.away = true;
  await made.change(first.id, { left: true });
  await made.keepers([second.id]);
  await second.run();
  await made.until(() => second.own.current.next !== undefined);
  await second.certification.rotate();
  expect((await made.record()).nextCaCertificate).not.toBe(lost);
  await made.until(() => [second, third].every(isDone(before)));
});

test('where nobody has the former key any more, all keepers get the next one all the same', async () => {
  const { made, first, second, before } = await fixture();
  for (const keeper of [first, second]) {
    keeper.stop();
    const { caKey: _, ...rest } = keeper.own.current;
    keeper.file.content = rest;
  }
  for (const keeper of [first, second]) await keeper.run();
  await first.certification.rotate();
  await made.until(() => made.members.every(isDone(before)));
  const { caCertificate } = first.own.current;
  for (const { own } of [first, second]) expect(pki.isKeyOf(own.current.caKey!, caCertificate)).toBe(true);
});

test('a host that joins meanwhile is told of both', async () => {
  const { made, first, second, third, before } = await fixture();
  second.stop();
  await first.certification.rotate();
  await made.until(async () => (await made.node(third.id)).trusts?.length === 2);
  const fourth = await made.join('n4', '10.0.0.4');
  expect(fourth.own.current.next?.caCertificate).toBe(first.own.current.next?.caCertificate);
  expect((await made.node(fourth.id)).trusts).toHaveLength(2);
  await fourth.run();
  await second.run();
  await made.until(() => made.members.every(isDone(before)));
});

test("nothing takes the next CA into use before the cluster's record names it", async () => {
  const { made, first } = await fixture();
  const published: boolean[] = [];
  const { push } = first.taken;
  first.taken.push = (...items) => {
    published.push(first.view.cluster()?.nextCaCertificate !== undefined);
    return push.apply(first.taken, items);
  };
  const rotating = first.certification.rotate();
  first.certification.look();
  await rotating;
  await made.until(() => published.length > 0);
  expect(published[0]).toBe(true);
});

test('keepers whose etcd is started anew for it take their turns, whoever began', async () => {
  const { made, first, second, before } = await fixture();
  let now = 0;
  let most = 0;
  for (const member of [first, second]) {
    await member.own.change((held) => ({ ...held, store: { ...held.store, bundled: true } }));
    const { push } = member.taken;
    await member.run({
      take: async (identity) => {
        const isOther = trustedCas(identity) !== trustedCas(member.taken.at(-1) ?? member.first);
        if (isOther) {
          most = Math.max(most, ++now);
          await made.cluster.clock.sleep(3_000);
          now--;
        }
        push.call(member.taken, identity);
      },
    });
  }
  await made.until(async () => (await made.node(first.id)).trusts !== undefined);
  for (const member of [first, second]) {
    const { caCertificate } = member.own.current;
    void member.certification.rotate();
    await made.until(
      () =>
        made.members.every(({ own: { current } }) => current.caCertificate !== caCertificate && !current.next) &&
        [first, second].every(({ taken, own }) => taken.at(-1)?.caCertificate === own.current.caCertificate),
    );
  }
  expect(most).toBe(1);
  expect(first.own.current.caCertificate).not.toBe(before);
});

test('it is refused, with the names of the hosts that are too old, below level 4', async () => {
  const { first } = await fixture({ version: '0.3.0', levels: { from: 1, to: 3 } });
  await expect(first.certification.rotate()).rejects.toMatchObject({ code: 'version-mismatch' });
  expect(first.own.current.next).toBeUndefined();
});

test('a record that names a CA which nobody told of is not followed', async () => {
  const { made, third, before } = await fixture();
  const other = await pki.createCa('c1', made.cluster.clock.now());
  await made.put('/overlayd/v2/cluster', { ...(await made.record()), caCertificate: other.certificate });
  const said = 'the certificates of the cluster are not followed yet, trying again';
  await made.until(() => made.cluster.log.some(({ message }) => message === said));
  expect(third.own.current.caCertificate).toBe(before);
});
