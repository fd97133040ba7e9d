/** A record that is written again keeps what another version wrote into it, whoever writes it and why. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { markLeft } from '../../src/agent/cluster/eviction.ts';
import { revokeToken } from '../../src/agent/cluster/tokens.ts';
import { committingAlone } from '../../src/agent/view/commit.ts';
import { type AgentVersion, SPOKEN_LEVELS } from '../../src/core/levels.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys, type TokenRecord } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { unknownIn, unknownValue, withUnknown } from '../fixtures/unknown-fields.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

/** Speaks a level more than this one does. */
const NEWER: AgentVersion = { version: '0.2.0', levels: { ...SPOKEN_LEVELS, to: SPOKEN_LEVELS.to + 1 } };

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const textOf = (key: string) => cluster.etcd.entries(key).find((entry) => entry.key === key)!.value;

/** As a host writes that has no view. */
function alone() {
  const store = cluster.etcd.store('node1');
  return { store, commit: committingAlone(store) };
}

async function make(engines = false): Promise<[SimulatedHost, SimulatedHost]> {
  cluster = new SimulatedCluster({ seed: 1, engines });
  await cluster.start(2);
  const [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  await until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
  return [one, two];
}

/** `rewrite` changes the record at the key, which a newer version has written to since. */
/** `given`: a part of the record that is given up as a whole. */
async function expectKept(
  key: string,
  value: fc.JsonValue,
  rewrite: () => Promise<unknown>,
  given?: `/${string}`,
): Promise<void> {
  const newer = encodeRecord(withUnknown(JSON.parse(textOf(key)) as object, value));
  cluster.etcd.txn([], [{ kind: 'put', key, value: newer }]);
  await cluster.clock.advance(3_000);
  expect(textOf(key)).toBe(newer);
  await rewrite();
  await cluster.clock.advance(3_000);
  expect(textOf(key)).not.toBe(newer);
  expect(unknownIn(newer).length).toBeGreaterThan(0);
  const kept = unknownIn(newer).filter((each) => given === undefined || !each.startsWith(given));
  expect(unknownIn(textOf(key))).toEqual(kept);
}

/** `scenario`: anew for each value. */
const holds = (scenario: (value: fc.JsonValue) => Promise<void>) =>
  fc.assert(
    fc.asyncProperty(unknownValue, async (value) => {
      await scenario(value);
      await cluster.stop();
    }),
    { numRuns: 5, seed: 1 },
  );

describe('fields of another version stay in', () => {
  it('a node’s record when the host changed', () =>
    holds(async (value) => {
      const [one] = await make();
      one.facts.servers = ['192.0.2.53', '192.0.2.54'];
      one.facts.furtherRoutes = [{ destination: 'default', link: 'eth0', onLink: false, gateways: ['192.0.2.254'] }];
      one.running.noteHostChange();
      await cluster.clock.advance(6_000);
      const key = keys.node(one.record.id);
      expect((JSON.parse(textOf(key)) as { neededAddresses: unknown[] }).neededAddresses.length).toBeGreaterThan(1);
      await expectKept(key, value, async () => {
        one.facts.mtuBytes = 1_400;
        one.running.noteHostChange();
      });
    }));

  it('a node’s record when its agent is another version', () =>
    holds(async (value) => {
      const [one] = await make();
      await expectKept(keys.node(one.record.id), value, async () => {
        await one.stop();
        one.agent = NEWER;
        await until(one.start());
      });
    }));

  it('a node’s record when it leaves', () =>
    holds(async (value) => {
      const [, two] = await make();
      await two.stop();
      await expectKept(keys.node(two.record.id), value, () => until(markLeft(alone(), two.record.id)), '/wireguard');
    }));

  it('a network’s record when it is being removed', () =>
    holds(async (value) => {
      const [one, two] = await make();
      const { id } = one.running.networks.list()[0]!;
      // Its part is never torn down, so the record stays.
      await two.crash();
      await expectKept(keys.network(id), value, () =>
        until(one.running.networks.remove('web', new AbortController().signal)),
      );
    }));

  it('an endpoint’s record when its container gets another name', () =>
    holds(async (value) => {
      const [one] = await make(true);
      await until(one.engine.run('api', { networks: { web: {} } }));
      await cluster.clock.advance(1_000);
      const { record } = one.running.local.all()[0]!;
      await expectKept(keys.endpoint(record), value, () => until(one.engine.renameContainer('api', 'shop')));
    }));

  it('an endpoint’s record when somebody else changed it', () =>
    holds(async (value) => {
      const [one] = await make();
      const { endpoint } = await until(
        one.running.endpoints.connect({
          ...{ network: 'web', container: one.addContainer(), aliases: [] },
          ...{ ports: ['http=8080', '9000/udp'], labels: { team: 'a' } },
        }),
      );
      const { record } = endpoint;
      const key = keys.endpoint(record);
      const newer = encodeRecord(withUnknown({ ...record, name: 'forged' }, value));
      cluster.etcd.txn([], [{ kind: 'put', key, value: newer }]);
      await cluster.clock.advance(5_000);
      expect(JSON.parse(textOf(key))).toMatchObject({ name: record.name });
      expect(unknownIn(textOf(key))).toEqual(unknownIn(newer));
    }));

  it('the cluster’s record when its level rises', () =>
    holds(async (value) => {
      const [one, two] = await make();
      await expectKept(keys.cluster, value, async () => {
        for (const host of [one, two]) {
          await host.stop();
          host.agent = NEWER;
          await until(host.start());
        }
      });
    }));

  it('a token’s record when it is revoked', () =>
    holds(async (value) => {
      await make();
      const token: TokenRecord = { id: 'abcdefgh', secretHash: 'h', role: 'member', createdAt: 1, createdBy: 'n' };
      cluster.etcd.txn([], [{ kind: 'put', key: keys.token(token.id), value: encodeRecord(token) }]);
      const deps = { ...alone(), clock: cluster.clock, logger: silent };
      await expectKept(keys.token(token.id), value, () => until(revokeToken(deps, token.id)));
    }));
});
