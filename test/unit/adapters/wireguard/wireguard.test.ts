/** What the adapter makes of what it sees: a place and a socket of the test's own stand for those of the host. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlaceLink, PlaceSeen, PlaceStep, StepRefusal } from '../../../../src/adapters/kernel/wireguard-place.ts';
import { systemClock } from '../../../../src/adapters/system/time.ts';
import { generatePrivateKey, keyBytes, publicKeyOf } from '../../../../src/adapters/wireguard/keys.ts';
import { createWireguard } from '../../../../src/adapters/wireguard/wireguard.ts';
import type { WireguardBackend, WireguardDevice } from '../../../../src/core/wireguard/state.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';

const silent = () => undefined;
const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent, child: () => logger };
const KEY = generatePrivateKey();
const ADDRESS = '198.18.0.1';
const LINK: PlaceLink = {
  ...{ name: 'ovlwg0', index: 7, kind: 'tun', mtu: 1_420, up: true },
  ...{ addresses: [`${ADDRESS}/32`], device: undefined },
};
const DEVICE: WireguardDevice = {
  ...{ name: 'ovlwg0', privateKey: KEY, port: 51_840, mtu: 1_420, address: ADDRESS, peers: [] },
};

class Place {
  seen: PlaceSeen | undefined;
  readonly steps: PlaceStep[] = [];
  refusal: StepRefusal | undefined;

  hasModule = async () => true;
  look = async () => this.seen;
  carryOut = async (steps: readonly PlaceStep[]) => {
    this.steps.push(...steps);
    return steps.some(({ kind }) => kind === 'set-up') ? this.refusal : undefined;
  };

  holds(links: readonly PlaceLink[], route: PlaceSeen['route'] = undefined): void {
    this.seen = { nsid: 1, links, route };
  }
}

let directory: string;
let place: Place;
let server: Server | undefined;
const asked: string[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-wireguard-'));
  place = new Place();
  asked.length = 0;
});
afterEach(async () => {
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
  rmSync(directory, { recursive: true });
});

function open(backends: readonly WireguardBackend[]) {
  const run = async () => ({ code: 0, stderr: '' });
  const host = { namespace: '/proc/self/ns/net', enter: [], uapiDirectory: directory };
  return createWireguard({ clock: systemClock, logger, run, kernel: place }, { dataDir: directory, host, backends });
}

/** Answers as a process of wireguard-go; undefined: it ends the connection instead. */
async function listen(answer: (request: string) => string | undefined): Promise<void> {
  server = createServer((socket) => {
    socket.setEncoding('utf8').on('data', (request: string) => {
      asked.push(request);
      const text = answer(request);
      if (text === undefined) socket.destroy();
      else socket.write(text);
    });
  });
  await new Promise<void>((resolve) => server!.listen(join(directory, 'ovlwg0.sock'), resolve));
}

const own = `private_key=${keyBytes(KEY).toString('hex')}\nlisten_port=51840\nerrno=0\n\n`;

describe('a device is seen', () => {
  it('whole, with the route that leads by it from its address', async () => {
    await listen(() => own);
    place.holds([LINK], { link: 'ovlwg0', source: ADDRESS });
    const { name, port, mtu, address } = DEVICE;
    const device = { name, port, mtu, address, up: true, peers: [], publicKey: publicKeyOf(KEY) };
    expect(await open([]).observe()).toEqual({
      devices: [{ ...device, backend: 'wireguard-go' }],
      sendBy: 'ovlwg0',
    });
    place.holds([LINK], { link: 'ovlwg0', source: '198.18.0.9' });
    expect(await open([]).observe()).toMatchObject({ devices: [{ name }], sendBy: undefined });
  });

  it.each([
    ['none', []],
    ['no /32', ['198.18.0.1/16']],
    ['two', ['198.18.0.1/32', '198.18.0.2/32']],
  ])('without an address where it has %s', async (_, addresses) => {
    await listen(() => own);
    place.holds([{ ...LINK, addresses }]);
    expect((await open([]).observe()).devices).toMatchObject([{ name: 'ovlwg0', address: undefined }]);
  });

  it('by the kernel alone, where it is of the kernel', async () => {
    const device = { name: 'ovlwg0', privateKey: KEY, publicKey: publicKeyOf(KEY), port: 7, flags: 0, peers: [] };
    place.holds([{ ...LINK, kind: 'wireguard', device }]);
    expect((await open([]).observe()).devices).toMatchObject([
      { backend: 'kernel', publicKey: publicKeyOf(KEY), port: 7 },
    ]);
  });
});

describe('a device is not seen', () => {
  it('where its link is not in the place, is another one, or nobody answers for it', async () => {
    const nothing = { devices: [], sendBy: undefined };
    place.holds([LINK]);
    expect(await open([]).observe()).toEqual(nothing);
    await listen(() => own);
    place.holds([]);
    expect(await open([]).observe()).toEqual(nothing);
    place.holds([{ ...LINK, kind: 'dummy' }]);
    expect(await open([]).observe()).toEqual(nothing);
  });

  it('where the process ends while it is asked', async () => {
    await listen(() => undefined);
    place.holds([LINK]);
    expect((await open([]).observe()).devices).toEqual([]);
  });

  it('where it answers with errors alone, which is told at first', async () => {
    await listen(() => 'errno=-5\n\n');
    place.holds([LINK]);
    const wireguard = open([]);
    await expect(wireguard.observe()).rejects.toMatchObject({ code: 'data-path-failed', retryable: true });
    await expect(wireguard.observe()).rejects.toThrow('ovlwg0');
    expect((await wireguard.observe()).devices).toEqual([]);
  });
});

describe('an op', () => {
  it('is refused with the name of the package where nothing runs WireGuard', async () => {
    const [failure] = await open([]).apply([{ kind: 'add-device', device: DEVICE }]);
    expect(failure!.error).toMatchObject({ code: 'tool-missing', message: expect.stringContaining('wireguard-go') });
    expect(place.steps).toEqual([]);
  });

  it('that fails half-way leaves nothing of the device, and those after it are not begun', async () => {
    place.refusal = { step: 4, code: 'ENOMEM', message: 'no memory' };
    const failures = await open(['kernel']).apply([
      { kind: 'add-device', device: DEVICE },
      { kind: 'send-by', name: 'ovlwg0', address: ADDRESS },
    ]);
    expect(failures.map(({ error }) => error.message)).toEqual([expect.stringContaining('no memory')]);
    expect(place.steps.at(-1)).toEqual({ kind: 'delete-link', name: 'ovlwg0' });
    expect(place.steps.some(({ kind }) => kind === 'send-by')).toBe(false);
  });

  it('on a peer sets AllowedIPs where they are others, and not where they are right', async () => {
    const publicKey = publicKeyOf(generatePrivateKey());
    const seen = `public_key=${keyBytes(publicKey).toString('hex')}\nallowed_ip=198.18.0.2/32\n`;
    await listen((request) => (request.startsWith('get') ? own.replace('errno', `${seen}errno`) : 'errno=0\n\n'));
    place.holds([LINK]);
    const set = async (...allowedIps: readonly string[]) => {
      const peer = { publicKey, endpoint: '192.0.2.1:7', allowedIps, keepaliveSeconds: 25 };
      expect(await open([]).apply([{ kind: 'set-peer', name: 'ovlwg0', peer }])).toEqual([]);
      return asked.at(-1)!;
    };
    expect(await set('198.18.0.2/32')).not.toContain('allowed');
    expect(await set('198.18.0.2/32')).toContain('endpoint=192.0.2.1:7\n');
    expect(await set('198.18.0.2/32', '198.19.0.2/32')).toContain('replace_allowed_ips=true\n');
    expect(await set()).toContain('replace_allowed_ips=true\n');
  });
});
