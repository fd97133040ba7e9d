import { expect, test } from 'vitest';
import { createJoinToken, listTokens } from '../../../../src/agent/cluster/tokens.ts';
import type { AgentVersion } from '../../../../src/core/levels.ts';
import { AGENT } from './certification-fixture.ts';
import { ClusterFixture } from './cluster-fixture.ts';

async function fixture(agent = AGENT) {
  const cluster = new ClusterFixture();
  const { host, identity } = await cluster.found(agent);
  const create = async (options: { uses?: number; node?: string }) =>
    (await createJoinToken({ ...host.deps, ...cluster }, identity, { ttlMs: 60_000, uses: 0, ...options })).token;
  const join = (token: string, name: string, address: string) => cluster.host(name, address, agent).join(token);
  const uses = async () => (await listTokens(cluster.store)).flatMap((token) => token.uses ?? []);
  return { cluster, create, join, uses };
}

test('a token for one host lets in the one of that name alone', async () => {
  const { create, join } = await fixture();
  const token = await create({ node: 'n7' });
  const refused = join(token, 'n2', '10.0.0.2');
  await expect(refused).rejects.toMatchObject({ code: 'token-invalid' });
  await expect(refused).rejects.toThrow(
    'the token is for a host named n7, and this one is n2: give it that name (--name n7)',
  );
  await join(token, 'n7', '10.0.0.7');
});

test('who joined with a token, when and from where, is in its record; the last twenty', async () => {
  const { cluster, create, join, uses } = await fixture();
  const token = await create({});
  for (let i = 2; i <= 23; i++) await join(token, `n${i}`, `10.0.0.${i}`);
  const seen = await uses();
  expect(seen.map(({ name }) => name)).toEqual(Array.from({ length: 20 }, (_, i) => `n${i + 4}`));
  expect(seen.at(-1)).toMatchObject({ name: 'n23', from: '10.0.0.23', at: cluster.clock.now() });
  // The same host again is no other use.
  await join(token, 'n24', '10.0.0.24');
  expect((await uses()).filter(({ name }) => name === 'n24')).toHaveLength(1);
});

test('a token that may be used so often counts, and hosts that join at once are all let in', async () => {
  const { create, join, uses } = await fixture();
  const token = await create({ uses: 12 });
  await Promise.all(Array.from({ length: 12 }, (_, i) => join(token, `n${i + 2}`, `10.0.0.${i + 2}`)));
  expect(await uses()).toHaveLength(12);
  await expect(join(token, 'n99', '10.0.0.99')).rejects.toMatchObject({ code: 'token-used' });
});

test('below level 4 nothing of it is written', async () => {
  const agent: AgentVersion = { version: '0.3.0', levels: { from: 1, to: 3 } };
  const { create, join, uses } = await fixture(agent);
  await join(await create({}), 'n2', '10.0.0.2');
  expect(await uses()).toEqual([]);
});
