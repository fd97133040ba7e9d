import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WireguardGo, type WireguardGoDeps } from '../../../../src/adapters/wireguard/go-process.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

/** Whose socket is held by that process. */
function heldBy(pid: number): WireguardGo {
  const deps = {
    ...{ clock: new VirtualClock(), run: undefined, logger: undefined },
    uapi: { listener: () => pid, path: () => '/var/run/wireguard/ovlwg0.sock' },
  } as unknown as WireguardGoDeps;
  return new WireguardGo(deps, { directory: '/nonexistent', enter: [] });
}

test('one that ends while it is looked at has ended, and is nobody else', async () => {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'exit');
  await expect(heldBy(child.pid!).stop('ovlwg0')).resolves.toBeUndefined();
});

test('another program that holds the socket is named, and goes on', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(child, 'spawn');
  await expect(heldBy(child.pid!).stop('ovlwg0')).rejects.toThrow(/is held by sleep \(pid \d+\), which is none of/);
  expect(child.exitCode).toBeNull();
  child.kill('SIGKILL');
});
