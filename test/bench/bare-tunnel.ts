/** A tunnel of wireguard-go between two hosts, made by hand: what encryption itself takes here. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { generatePrivateKey, keyBytes, publicKeyOf } from '../../src/adapters/wireguard/keys.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { until } from '../lab/until.ts';

const DEVICE = 'bench0';
const PORT = 51_900;
/** Of both ends inside (RFC 5737). */
const ADDRESSES = ['192.0.2.1', '192.0.2.2'] as const;

export interface BareTunnel {
  /** Where the first host and the second one reach each other inside. */
  readonly addresses: readonly [string, string];
  close(): Promise<void>;
}

/** The device is in the hosts' own namespaces, and has what overhead leaves of the underlay's 1500 bytes. */
export async function openBareTunnel(one: Host, two: Host): Promise<BareTunnel> {
  const hosts = [one, two];
  const keys = hosts.map(() => generatePrivateKey());
  const running: HostProcess[] = [];
  const close = async () => {
    for (const each of running) await each.kill();
    await Promise.all(running.map(({ exited }) => exited));
  };
  try {
    for (const host of hosts) running.push(host.spawn(['wireguard-go', '-f', DEVICE]));
    for (const [index, host] of hosts.entries()) {
      const other = 1 - index;
      const peer = [
        `public_key=${hex(publicKeyOf(keys[other]!))}`,
        `endpoint=${hosts[other]!.address}:${PORT}`,
        `allowed_ip=${ADDRESSES[other]}/32`,
      ];
      await configure(host, running[index]!, [
        'set=1',
        `private_key=${hex(keys[index]!)}`,
        `listen_port=${PORT}`,
        ...peer,
      ]);
      const batch = [
        `address add ${ADDRESSES[index]}/32 dev ${DEVICE}`,
        `link set ${DEVICE} mtu 1420 up`,
        `route add ${ADDRESSES[other]}/32 dev ${DEVICE} src ${ADDRESSES[index]}`,
      ];
      await host.must(['ip', '-batch', '-'], { input: batch.join('\n') });
    }
    await until('the tunnel to carry packets', async () => {
      return (await one.run(['ping', '-c', '1', '-W', '1', ADDRESSES[1]])).code === 0;
    });
    return { addresses: ADDRESSES, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** By its socket (https://www.wireguard.com/xplatform/). */
async function configure(host: Host, process: HostProcess, lines: readonly string[]): Promise<void> {
  const path = host.path(`/run/wireguard/${DEVICE}.sock`);
  const socket = await until(`wireguard-go of ${host.name} to listen`, async () => {
    const made = connect(path);
    await once(made, 'connect').catch((error: Error) => {
      throw new Error(`${error.message}; ${process.output}`);
    });
    return made;
  });
  socket.write(`${lines.join('\n')}\n\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  if (!String(answer).startsWith('errno=0\n')) throw new Error(`wireguard-go says ${answer}`);
}

function hex(key: string): string {
  return keyBytes(key).toString('hex');
}
