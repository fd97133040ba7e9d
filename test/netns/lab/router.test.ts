import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Host, HostProcess } from '../../lab/host.ts';
import { type Mapping, Router } from '../../lab/router.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const PEER = fileURLToPath(new URL('udp-peer.ts', import.meta.url));
const PORT = 51_000;
const behind: Host[] = [];
const routers: Router[] = [];

const lab = useLab({
  hosts: 1,
  agents: false,
  prepare: async (lab) => {
    for (const number of [1, 2]) {
      const router = await Router.open(lab, { name: `r${number}`, number: 100 + number, mapping: 'preserving' });
      routers.push(router);
      // Two segments with the same addresses.
      behind.push(await router.addHost(`n${number}`, 2));
    }
  },
});

async function peer(host: Host, port: number, ...targets: readonly string[]): Promise<HostProcess> {
  const process = host.spawn(['node', PEER, String(port), ...targets]);
  await until('the peer to listen', () => process.output.includes('listens'));
  return process;
}

const heard = ({ output }: HostProcess) => [...output.matchAll(/heard (\S+)/g)].map(([, who]) => who!);

/** Both call each other where a member outside sees them; what both have heard once the two have heard that member. */
async function punch(mapping: Mapping, port: number): Promise<readonly (readonly string[])[]> {
  for (const router of routers) await router.setMapping(mapping);
  const outside = await peer(lab().host(1), port, `10.77.0.101:${port}`, `10.77.0.102:${port}`);
  const calls = (other: number) => ['10.77.0.1', `10.77.0.${other}`].map((address) => `${address}:${port}`);
  const peers = [await peer(behind[0]!, port, ...calls(102)), await peer(behind[1]!, port, ...calls(101))];
  await until('both to be seen outside', () => heard(outside).length === 2);
  if (mapping === 'preserving') {
    await until('both to hear each other', () => peers.every((each) => heard(each).length === 2));
  }
  // Their own calls have come to each other's routers as often as to the member outside, which has been heard twice since.
  const result = [outside, ...peers].map(heard);
  for (const each of [outside, ...peers]) await each.kill();
  return result;
}

describe('a router of the lab', () => {
  test('lets nobody in that was not called, and answers out', async () => {
    expect((await behind[0]!.run(['ping', '-c', '1', '-W', '2', '10.77.0.1'])).code).toBe(0);
    await lab().host(1).must(['ip', 'route', 'add', '192.168.1.0/24', 'via', '10.77.0.101']);
    expect((await lab().host(1).run(['ping', '-c', '1', '-W', '1', '192.168.1.2'])).code).not.toBe(0);
    expect((await lab().host(1).run(['ping', '-c', '1', '-W', '1', '10.77.0.101'])).code).not.toBe(0);
  });

  test('that keeps ports lets holes be punched', async () => {
    const [outside, ...peers] = await punch('preserving', PORT);
    expect([...outside!].sort()).toEqual([`10.77.0.101:${PORT}`, `10.77.0.102:${PORT}`]);
    expect(peers[0]).toContain(`10.77.0.102:${PORT}`);
    expect(peers[1]).toContain(`10.77.0.101:${PORT}`);
  });

  test('that maps at random does not', async () => {
    const [outside, ...peers] = await punch('random', PORT + 1);
    expect(outside!.every((who) => !who.endsWith(`:${PORT + 1}`))).toBe(true);
    expect(peers.flat().filter((who) => !who.startsWith('10.77.0.1:'))).toEqual([]);
  });

  test('forgets flows when it is started anew, and when its address changes', async () => {
    const [router, host] = [routers[0]!, behind[0]!];
    await router.setMapping('random');
    const outside = await peer(lab().host(1), PORT + 2);
    const inside = await peer(host, PORT + 2, `10.77.0.1:${PORT + 2}`);
    await until('a first port', () => heard(outside).length === 1);
    await router.forget();
    await until('another port', () => heard(outside).length === 2);
    await router.changeAddress(101, 111);
    await until('another address', () => heard(outside).some((who) => who.startsWith('10.77.0.111:')));
    for (const each of [outside, inside]) await each.kill();
  });
});
