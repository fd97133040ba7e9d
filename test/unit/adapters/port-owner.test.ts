import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { findPortOwner } from '../../../src/adapters/port-owner.ts';
import { withBusyPool } from '../../fixtures/busy-pool.ts';

/** Files that are opened in the place of others. */
const replaced = vi.hoisted(() => new Map<unknown, string>());
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, openSync: (path: string, flags: string) => fs.openSync(replaced.get(path) ?? path, flags) };
});

it('reads what the host’s sockets are in another thread, which takes its time on a busy host', async () => {
  let isTold = false;
  let owner: Promise<unknown> | undefined;
  await withBusyPool(async () => {
    owner = findPortOwner('tcp', 1).finally(() => {
      isTold = true;
    });
    for (let passed = 0; passed < 10; passed++) await turn();
    expect(isTold).toBe(false);
  });
  expect(await owner).toBeUndefined();
});

it('leaves no table open when one cannot be read', async () => {
  // Reading a directory fails.
  replaced.set('/proc/thread-self/net/udp', '/proc');
  await expect(findPortOwner('udp', 1)).rejects.toThrow('EISDIR');
  replaced.clear();
  expect(openFiles().filter((target) => target === '/proc' || target.endsWith('/net/udp6'))).toEqual([]);
});

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return []; // The one of this directory.
    }
  });
}
