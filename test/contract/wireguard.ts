/** What WireGuard does for a host: the fake and the real one, by each of its backends, pass the same. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../../src/adapters/wireguard/keys.ts';
import type { WireguardBackend, WireguardDevice, WireguardOp, WireguardPeer } from '../../src/core/wireguard/state.ts';
import type { Wireguard } from '../../src/ports/wireguard.ts';

export interface WireguardHost {
  readonly wireguard: Wireguard;
  /** On the underlay. */
  readonly address: string;
  /** Whether an echo comes back from that address inside of the tunnels; how often it is tried is the lab's affair. */
  ping(address: string): Promise<boolean>;
  /** Sends an echo that no answer is expected to. */
  pingInVain(address: string): Promise<boolean>;
  /** Echoes asked for that came out of tunnels here. */
  echoes(): Promise<number>;
  /** Ends what runs the device, as a crash does. */
  crash(name: string): Promise<void>;
  /** An administrator sets the device down. */
  setDown(name: string): Promise<void>;
  /** Somebody else takes the UDP port, until the test ends. */
  takePort(port: number): Promise<void>;
  /** The agent ends, and another one starts. */
  restartAgent(): Promise<Wireguard>;
  /** Namespaces, links, processes and sockets of WireGuard's that are there, by whatever names. */
  remains(): Promise<readonly string[]>;
}

export interface WireguardWorld {
  readonly hosts: readonly [WireguardHost, WireguardHost];
  /** Resolves when nothing is left of a test. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

interface Key {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly address: string;
}

function makeKey(number: number): Key {
  const privateKey = generatePrivateKey();
  return { privateKey, publicKey: publicKeyOf(privateKey), address: `198.18.0.${number}` };
}

const PORT = 51_820;

export function describeWireguard(name: string, backend: WireguardBackend, open: () => Promise<WireguardWorld>): void {
  describe(name, () => {
    let world: WireguardWorld;
    let [one, two]: WireguardHost[] = [];
    let [first, second, third, fourth]: Key[] = [];
    let quit: AbortController;

    beforeAll(async () => {
      world = await open();
    });
    afterAll(() => world?.close());
    beforeEach(() => {
      quit = new AbortController();
      [one, two] = [...world.hosts];
      [first, second, third, fourth] = [1, 2, 3, 4].map(makeKey);
    });
    afterEach(async () => {
      quit.abort();
      await world.clear();
    });

    const peerOf = (
      { publicKey, address }: Key,
      at: WireguardHost,
      changes: Partial<WireguardPeer> = {},
      port = PORT,
    ) => ({
      ...{ publicKey, endpoint: `${at.address}:${port}`, allowedIps: [`${address}/32`], keepaliveSeconds: 0 },
      ...changes,
    });
    const deviceOf = ({ privateKey, address }: Key, peers: readonly WireguardPeer[]): WireguardDevice => ({
      ...{ name: 'ovlwg0', privateKey, port: PORT, mtu: 1_420, address, peers },
    });
    const make = (device: WireguardDevice): readonly WireguardOp[] => [
      { kind: 'add-device', device },
      { kind: 'send-by', name: device.name, address: device.address },
    ];
    async function done(host: WireguardHost, ...ops: readonly WireguardOp[]): Promise<void> {
      expect((await host.wireguard.apply(ops)).map(({ error }) => error.message)).toEqual([]);
    }
    async function look(host: WireguardHost) {
      const seen = await host.wireguard.observe();
      return { ...seen, device: seen.devices.find((device) => device.name === 'ovlwg0') };
    }
    async function connect(): Promise<void> {
      await done(one!, ...make(deviceOf(first!, [peerOf(second!, two!)])));
      await done(two!, ...make(deviceOf(second!, [peerOf(first!, one!)])));
    }
    /** Resolves when something that was not as it is now was told. */
    function listen(host: WireguardHost) {
      const changes = host.wireguard.changes(quit.signal)[Symbol.asyncIterator]();
      return { next: () => changes.next(), end: () => changes.return?.() };
    }

    it('sees nothing where nothing was made', async () => {
      expect(await one!.wireguard.backend()).toBe(backend);
      expect(await one!.wireguard.observe()).toEqual({ devices: [], sendBy: undefined });
      expect(await one!.remains()).toEqual([]);
    });

    it('has two hosts shake hands and reach each other', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      expect(await two!.ping(first!.address)).toBe(true);
      for (const [host, key, other, there] of [
        [one!, first!, second!, two!] as const,
        [two!, second!, first!, one!] as const,
      ]) {
        const { devices, sendBy } = await host.wireguard.observe();
        expect(sendBy).toBe('ovlwg0');
        const { publicKey, address } = key;
        const peer = {
          ...peerOf(other, there),
          lastHandshakeMs: expect.any(Number),
          receivedBytes: expect.any(Number),
        };
        const device = { name: 'ovlwg0', backend, publicKey, port: PORT, mtu: 1_420, address, up: true };
        expect(devices).toEqual([{ ...device, peers: [{ ...peer, sentBytes: expect.any(Number) }] }]);
        const [seen] = devices[0]!.peers;
        expect(seen!.receivedBytes).toBeGreaterThan(0);
        expect(seen!.sentBytes).toBeGreaterThan(0);
      }
    });

    it('has a peer with a keepalive called without anything to send', async () => {
      await done(one!, ...make(deviceOf(first!, [peerOf(second!, two!, { endpoint: undefined })])));
      expect((await look(one!)).device!.peers).toMatchObject([{ endpoint: undefined, lastHandshakeMs: undefined }]);
      await done(two!, ...make(deviceOf(second!, [peerOf(first!, one!, { keepaliveSeconds: 25 })])));
      const called = async () => (await look(one!)).device!.peers;
      const peer = { endpoint: `${two!.address}:${PORT}`, lastHandshakeMs: expect.any(Number), keepaliveSeconds: 0 };
      await expect.poll(called).toMatchObject([peer]);
      expect((await look(two!)).device!.peers).toMatchObject([{ keepaliveSeconds: 25 }]);
      expect(await one!.ping(second!.address)).toBe(true);
    });

    it('lets nothing in but what a peer may send', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      const before = await two!.echoes();
      const allow = (allowedIps: readonly string[]): WireguardOp => ({
        kind: 'set-peer',
        name: 'ovlwg0',
        peer: peerOf(first!, one!, { allowedIps }),
      });
      await done(two!, allow(['198.18.9.9/32']));
      expect(await one!.pingInVain(second!.address)).toBe(false);
      await done(two!, allow([`${first!.address}/32`]));
      expect(await one!.ping(second!.address)).toBe(true);
      // In order: had the forbidden one come out, it would have before the last.
      expect(await two!.echoes()).toBe(before + 1);
    });

    it('moves AllowedIPs from one peer to another, and keeps an endpoint that is not given', async () => {
      const shared = '198.19.0.7/32';
      const peers = [
        peerOf(second!, two!, { allowedIps: [`${second!.address}/32`, shared] }),
        peerOf(third!, two!, {}, 7),
      ];
      await done(one!, ...make(deviceOf(first!, peers)));
      const peer = peerOf(third!, two!, { endpoint: undefined, allowedIps: [shared], keepaliveSeconds: 9 });
      await done(one!, { kind: 'set-peer', name: 'ovlwg0', peer });
      const seen = new Map((await look(one!)).device!.peers.map((each) => [each.publicKey, each]));
      expect(seen.get(second!.publicKey)!.allowedIps).toEqual([`${second!.address}/32`]);
      expect(seen.get(third!.publicKey)).toMatchObject({ ...peer, endpoint: `${two!.address}:7` });
    });

    it('no longer speaks with a peer that was removed', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      const before = await two!.echoes();
      await done(two!, { kind: 'remove-peer', name: 'ovlwg0', publicKey: first!.publicKey });
      expect((await look(two!)).device!.peers).toEqual([]);
      expect(await one!.pingInVain(second!.address)).toBe(false);
      await done(two!, { kind: 'remove-peer', name: 'ovlwg0', publicKey: first!.publicKey });
      await done(two!, { kind: 'set-peer', name: 'ovlwg0', peer: peerOf(first!, one!, { keepaliveSeconds: 25 }) });
      expect(await two!.ping(first!.address)).toBe(true);
      expect(await two!.echoes()).toBe(before);
    });

    it('changes key, port, MTU and address of a device, whose route follows', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      const { privateKey, publicKey, address } = third!;
      const set = { privateKey, port: PORT + 5, mtu: 1_300, address };
      await done(two!, { kind: 'set-device', name: 'ovlwg0', set });
      const { device, sendBy } = await look(two!);
      expect(device).toMatchObject({ publicKey, port: PORT + 5, mtu: 1_300, address, up: true });
      expect(sendBy).toBe('ovlwg0');
      await done(
        one!,
        { kind: 'remove-peer', name: 'ovlwg0', publicKey: second!.publicKey },
        { kind: 'set-peer', name: 'ovlwg0', peer: peerOf(third!, two!, { keepaliveSeconds: 25 }, PORT + 5) },
      );
      expect(await one!.ping(address)).toBe(true);
      expect(await two!.ping(first!.address)).toBe(true);
    });

    it('has a second device beside the first, and sends by the one that is said', async () => {
      await connect();
      const [old, fresh] = [
        peerOf(third!, one!, { keepaliveSeconds: 25 }, PORT + 1),
        peerOf(fourth!, two!, { keepaliveSeconds: 25 }, PORT + 1),
      ];
      const beside = (key: Key, peer: WireguardPeer): WireguardOp => ({
        kind: 'add-device',
        device: { ...deviceOf(key, [peer]), name: 'ovlwg1', port: PORT + 1 },
      });
      await done(one!, beside(third!, fresh));
      await done(two!, beside(fourth!, old));
      expect((await one!.wireguard.observe()).devices.map((device) => device.name).sort()).toEqual([
        'ovlwg0',
        'ovlwg1',
      ]);
      expect(await one!.ping(second!.address)).toBe(true);
      await done(one!, { kind: 'send-by', name: 'ovlwg1', address: third!.address });
      await done(two!, { kind: 'send-by', name: 'ovlwg1', address: fourth!.address });
      expect((await look(one!)).sendBy).toBe('ovlwg1');
      expect(await one!.ping(fourth!.address)).toBe(true);
      await done(one!, { kind: 'delete-device', name: 'ovlwg0' });
      await done(one!, { kind: 'delete-device', name: 'ovlwg0' });
      const { devices, sendBy } = await one!.wireguard.observe();
      expect(devices.map((device) => device.name)).toEqual(['ovlwg1']);
      expect(sendBy).toBe('ovlwg1');
      expect(await two!.ping(third!.address)).toBe(true);
    });

    it('tells that what ran a device has ended, and makes it again', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      const changes = listen(two!);
      await changes.next();
      await two!.crash('ovlwg0');
      do await changes.next();
      while ((await look(two!)).device);
      expect(await two!.wireguard.observe()).toEqual({ devices: [], sendBy: undefined });
      await done(two!, ...make(deviceOf(second!, [peerOf(first!, one!, { keepaliveSeconds: 25 })])));
      expect(await two!.ping(first!.address)).toBe(true);
      expect(await one!.ping(second!.address)).toBe(true);
    });

    it('tells what was done by hand, and sets it up again', async () => {
      await connect();
      const changes = listen(one!);
      await changes.next();
      await one!.setDown('ovlwg0');
      do await changes.next();
      while ((await look(one!)).device!.up);
      expect(await one!.pingInVain(second!.address)).toBe(false);
      const { address } = first!;
      await done(one!, { kind: 'set-device', name: 'ovlwg0', set: {} }, { kind: 'send-by', name: 'ovlwg0', address });
      expect((await look(one!)).device!.up).toBe(true);
      expect(await one!.ping(second!.address)).toBe(true);
    });

    it('goes on without the agent, and the next agent finds it as it is', async () => {
      await connect();
      expect(await one!.ping(second!.address)).toBe(true);
      const before = await look(one!);
      const wireguard = await one!.restartAgent();
      expect(await one!.ping(second!.address)).toBe(true);
      const after = await wireguard.observe();
      const still = (seen: typeof after) => ({
        sendBy: seen.sendBy,
        devices: seen.devices.map(({ peers, ...device }) => [
          device,
          peers.map(({ lastHandshakeMs }) => lastHandshakeMs),
        ]),
      });
      expect(still(after)).toEqual(still(before));
      const again = await wireguard.apply([{ kind: 'add-device', device: deviceOf(first!, []) }]);
      expect(again.map(({ error }) => error.message)).toEqual([expect.stringContaining('already')]);
      expect(await one!.ping(second!.address)).toBe(true);
      const changes = listen({ ...one!, wireguard });
      await changes.next();
      await one!.crash('ovlwg0');
      do await changes.next();
      while ((await wireguard.observe()).devices.length > 0);
    });

    it('says that a port is taken, makes nothing of that device, and goes on with the others', async () => {
      await two!.takePort(PORT);
      const failures = await two!.wireguard.apply([
        ...make(deviceOf(second!, [])),
        { kind: 'add-device', device: { ...deviceOf(third!, []), name: 'ovlwg1', port: PORT + 1 } },
        { kind: 'set-device', name: 'ovlwg1', set: { port: PORT } },
      ]);
      expect(failures.map(({ op }) => op.kind)).toEqual(['add-device', 'set-device']);
      for (const { error } of failures) expect(error.message).toMatch(new RegExp(`port ${PORT} is taken`));
      const { devices } = await two!.wireguard.observe();
      expect(devices).toMatchObject([{ name: 'ovlwg1', port: PORT + 1 }]);
    });

    it('refuses what is for a device that is not there', async () => {
      const failures = await one!.wireguard.apply([
        { kind: 'set-device', name: 'ovlwg0', set: { mtu: 1_300 } },
        { kind: 'set-peer', name: 'ovlwg0', peer: peerOf(second!, two!) },
        { kind: 'remove-peer', name: 'ovlwg0', publicKey: second!.publicKey },
        { kind: 'send-by', name: 'ovlwg0', address: first!.address },
        { kind: 'delete-device', name: 'ovlwg0' },
        { kind: 'delete-place' },
      ]);
      expect(failures.map(({ op }) => op.kind)).toEqual(['set-device', 'set-peer', 'remove-peer', 'send-by']);
    });

    it('has as many peers as there are', async () => {
      const peers = Array.from({ length: 300 }, (_, at) => {
        const allowedIps = ['18', '19'].map((second) => `198.${second}.${100 + (at >> 8)}.${at & 255}/32`);
        return {
          publicKey: publicKeyOf(generatePrivateKey()),
          endpoint: `192.0.2.1:${at + 1}`,
          allowedIps,
          keepaliveSeconds: 0,
        };
      });
      await done(one!, ...make(deviceOf(first!, peers)));
      const seen = new Map((await look(one!)).device!.peers.map((each) => [each.publicKey, each]));
      expect(seen.size).toBe(peers.length);
      for (const { allowedIps, ...peer } of peers) {
        const found = seen.get(peer.publicKey)!;
        expect(found).toMatchObject(peer);
        expect(new Set(found.allowedIps)).toEqual(new Set(allowedIps));
      }
    });

    it('leaves nothing of what it made', async () => {
      await connect();
      expect(await one!.remains()).not.toEqual([]);
      await done(one!, { kind: 'delete-device', name: 'ovlwg0' }, { kind: 'delete-place' });
      expect(await one!.wireguard.observe()).toEqual({ devices: [], sendBy: undefined });
      expect(await one!.remains()).toEqual([]);
      await done(one!, { kind: 'delete-place' });
    });
  });
}
