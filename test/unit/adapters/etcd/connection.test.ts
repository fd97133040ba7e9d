import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { EtcdConnection } from '../../../../src/adapters/etcd/connection.ts';
import { recordingLogger } from '../../agent/cluster/cluster-fixture.ts';

test('alarms are asked for once: whoever wants to know how things are does not wait for a silent etcd twice', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const connection = new EtcdConnection(
    { clock: { elapsed: () => 0 }, logger: recordingLogger([]) },
    { endpoints: [`http://127.0.0.1:${port}`] },
  );
  try {
    await expect(connection.alarms()).rejects.toMatchObject({ code: 'store-unavailable' });
    expect(sockets).toHaveLength(1);
  } finally {
    connection.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});
