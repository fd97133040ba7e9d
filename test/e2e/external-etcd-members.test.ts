/** A user's own etcd of three members, on hosts that are known by name: they fall silent, as without power, one after another. */
import { expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { stopwatch, tell } from '../lab/measuring.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const NAMES = ['s1', 's2', 's3'];
const stores: Host[] = [];

const lab = useLab({
  hosts: 1,
  prepare: async (made) => {
    for (const [nth, name] of NAMES.entries()) stores.push(await made.addHost(name, 241 + nth));
    const cluster = stores.map(({ address, name }) => `${name}=http://${address}:2380`).join();
    for (const host of stores) {
      const [clients, peers] = [`http://${host.address}:2379`, `http://${host.address}:2380`];
      const ways = [`--listen-client-urls=${clients}`, `--advertise-client-urls=${clients}`];
      const between = [`--listen-peer-urls=${peers}`, `--initial-advertise-peer-urls=${peers}`];
      const place = [`--name=${host.name}`, `--data-dir=${host.dataDirectory}/etcd`, `--initial-cluster=${cluster}`];
      host.spawn(['etcd', ...place, ...ways, ...between], { log: 'etcd.log' });
    }
    const lines = stores.map(({ address, name }) => `${address} ${name}\n`).join('');
    await made.host(1).must(['sh', '-c', 'cat >> /etc/hosts'], { input: lines });
  },
});

test('one of three: another is asked; two of three: changes are refused with the cause', async () => {
  const one = lab().host(1);
  const etcd = NAMES.map((name) => `http://${name}:2379`).join();
  // Who is alone with the CA's key is never without a word of it: it is not waited for.
  const begin = () => one.mustOverlayd('init', '--advertise-addr', one.address, '--etcd', etcd);
  await until('etcd to have a leader', () => begin().then(() => true));
  await one.mustOverlayd('network', 'create', 'before');
  const [s1, s2, s3] = stores as [Host, Host, Host];
  await lab().partition([one, s2, s3], [s1]);
  const lost = stopwatch();
  await until('a change', async () => {
    const { code, stderr } = await one.overlayd('network', 'create', 'one-lost');
    if (code === 0 || stderr.includes('exists')) return true;
    throw new Error(stderr);
  });
  tell({ scenario: 'keeper-lost', what: 'change', ms: lost() });
  await lab().partition([one, s3], [s1], [s2]);
  const asked = stopwatch();
  const { code, stderr } = await one.overlayd('network', 'create', 'two-lost');
  tell({ scenario: 'keepers-lost', what: 'refusal after silence', ms: asked() });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/etcd at .* (cannot serve|did not answer)/),
  });
  await until('the cause to be told', async () => {
    const again = await one.overlayd('network', 'create', 'two-lost');
    return again.stderr.includes('has its cluster a majority of members up?');
  });
});
