import { expect, test } from 'vitest';
import { SilentPeers, type SilentPeersDeps } from '../../../../src/agent/store/silent-peers.ts';
import type { KeptStore } from '../../../../src/core/keepers.ts';

type Asked = Parameters<SilentPeersDeps['end']>[0];

function silentPeers() {
  const asked: Asked[] = [];
  const said: object[] = [];
  const host: { kept: KeptStore | undefined; ended: number; at: number } = { kept: undefined, ended: 0, at: 0 };
  const ignore = () => undefined;
  const peers = new SilentPeers({
    kept: () => host.kept,
    end: async (silent) => {
      asked.push(silent);
      return host.ended;
    },
    clock: { sleep: async () => undefined, elapsed: () => host.at },
    logger: { info: (fields: object) => said.push(fields), warn: ignore, debug: ignore } as never,
  });
  const keeps = (...addresses: string[]) => {
    host.kept = { port: 2379, here: true, peers: { port: 2380, addresses } };
  };
  return { peers, host, keeps, asked, said };
}

test('what this host has called of other members of etcd is ended when it is silent, also where they were before they moved', async () => {
  const { peers, host, keeps, asked, said } = silentPeers();
  keeps('192.0.2.2', '192.0.2.3');
  await peers.look();
  keeps('192.0.2.2', '192.0.2.4');
  host.ended = 2;
  await peers.look();
  expect(asked[0]).toMatchObject({ port: 2380, addresses: ['192.0.2.2', '192.0.2.3'] });
  expect(asked[1]).toMatchObject({ port: 2380, addresses: ['192.0.2.2', '192.0.2.3', '192.0.2.4'] });
  // Twice what etcd's own limit is: one that lives is never as silent.
  expect(asked[0]!.forMs).toBeGreaterThanOrEqual(10_000);
  expect(said).toEqual([{ event: 'store-silence-ended', ended: 2 }]);
});

test('one that falls silent again and again is told every ten minutes', async () => {
  const { peers, host, keeps, said } = silentPeers();
  keeps('192.0.2.2');
  host.ended = 1;
  for (host.at = 0; host.at <= 1_200_000; host.at += 10_000) await peers.look();
  expect(said).toHaveLength(3);
});

test('nothing is ended where this host does not keep the store, is its only keeper, or etcd is the own one of a user', async () => {
  const { peers, host, keeps, asked } = silentPeers();
  await peers.look();
  keeps();
  await peers.look();
  host.kept = { port: 2379, here: false, peers: { port: 2380, addresses: ['192.0.2.2'] } };
  await peers.look();
  expect(asked).toEqual([]);
});
