/** Encrypted networks in Docker, by Docker's own word for them. */
import { expect, test } from 'vitest';
import { Capture } from '../../lab/capture.ts';
import { untilEncryptable } from '../../lab/cluster.ts';
import { runContainer, untilOffered, untilPings, withEngines } from '../../lab/docker-network.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: withEngines });

/** What busybox' ping fills packets with. */
const FILLING = 'Z';

test('docker network create --opt encrypted makes a network that nobody between the hosts can read', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await untilEncryptable(one);
  const create = (name: string, ...options: readonly string[]) => {
    const ours = ['-d', 'overlayd', '--ipam-driver', 'overlayd', '--ipam-opt', `net=${name}`];
    return one.engine.mustDocker('network', 'create', ...ours, ...options, name);
  };
  await create('secret', '--opt', 'encrypted');
  await create('plain');
  await untilOffered(two, ['plain', 'secret']);
  const [shown] = await two.json('network', 'inspect', 'secret');
  expect(shown).toMatchObject({ Encrypted: true, Mtu: 1386 });
  const wire = await Capture.start(lab().wire, [FILLING.repeat(24)]);
  try {
    const say = async (network: string) => {
      await runContainer(one, `${network}-1`, '--network', network);
      await runContainer(two, `${network}-2`, '--network', network);
      await untilPings(two, `${network}-2`, `${network}-1`);
      const filling = ['-p', FILLING.charCodeAt(0).toString(16)];
      await two.engine.mustDocker('exec', `${network}-2`, 'ping', '-c', '3', ...filling, `${network}-1`);
      return wire.count();
    };
    const secret = await say('secret');
    expect(secret).toMatchObject({ words: [0], vxlan: {}, lost: 0 });
    expect(secret.tunnelled).toBeGreaterThan(0);
    const plain = await say('plain');
    expect(plain.words[0]).toBeGreaterThan(0);
  } finally {
    wire.end();
  }
});
