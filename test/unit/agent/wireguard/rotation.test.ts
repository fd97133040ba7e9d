import { expect, it } from 'vitest';
import type { KeyRing } from '../../../../src/agent/wireguard/key-ring.ts';
import { Rotation, type RotationDeps } from '../../../../src/agent/wireguard/rotation.ts';

it('is refused where nothing runs WireGuard any more, and begins no exchange that would wait for it', async () => {
  const begun: string[] = [];
  const keys = {
    backend: undefined,
    keys: [{ publicKey: 'old', number: 7, device: 'ovlwg0', createdAt: 0 }],
    begin: () => Promise.resolve(begun.push('exchange')),
  } as unknown as KeyRing;
  const rotation = new Rotation({ keys } as unknown as RotationDeps, { keyLifetimeMs: 1 });
  for (const force of [false, true]) {
    const asked = rotation.rotate({ force }, () => undefined, new AbortController().signal);
    await expect(asked).rejects.toMatchObject({
      code: 'tool-missing',
      message: expect.stringContaining('install the package wireguard-go'),
    });
  }
  expect(begun).toEqual([]);
});
