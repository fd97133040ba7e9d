import { encode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { type LookDeps, lookHere } from '../../../../src/agent/look/look-here.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { asHost } from '../../../../src/core/expose.ts';
import { found } from '../../../../src/core/finding.ts';
import type { Look } from '../../../../src/core/look.ts';
import type { PathStatus } from '../../../../src/core/path/path.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';

const local = (id: string, address: string) => ({
  record: endpointRecord({ id, address }),
  container: { text: `netns:${id}`, path: `/run/netns/${id}`, identity: id },
  ifname: 'eth0',
});
const OWN = local('e1', '10.0.1.2');
const OTHER = local('e3', '10.0.1.3');

interface World {
  readonly encrypted?: boolean;
  readonly path?: Partial<PathStatus>;
  /** Of it, in the doctor's words. */
  readonly findings?: string[];
  readonly still?: string;
  /** Why a packet does not come back; null: it does. */
  readonly packet?: string | null;
  readonly sent?: string[];
  readonly skipped?: string;
  readonly tunnel?: { readonly problem?: string };
  /** By the tunnel; absent: nothing is known of it. */
  readonly encryptedPath?: Partial<PathStatus>;
  readonly isHere?: boolean;
  readonly own?: LocalEndpoint;
  readonly asked?: string[];
  readonly reply?: (message: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

function deps(world: World): LookDeps {
  const { encrypted, path, skipped, tunnel, encryptedPath, isHere = true, own = OWN, asked, reply } = world;
  const { findings = [], packet = null, sent, still } = world;
  const network = networkRecord({ options: encrypted ? { encrypted: 'true' } : {} });
  const nodes = new Map(['h1', 'h2'].map((id) => [id, nodeRecord({ id, name: id })]));
  const usual: PathStatus = { state: 'passes', lossPercent: 0, roundTripMs: 0.21, mtu: 1450, changedAt: 1 };
  const pathsOf = (of: Partial<PathStatus> | undefined) => ({
    ...{ examine: async () => undefined, skipped: () => skipped },
    status: () => of && { ...usual, ...of },
    findingsOf: () => findings.flatMap((text) => found('data-path-lost', [text])),
  });
  const member = {
    self: nodes.get('h1')!,
    view: { network: (id: string) => (id === 'n1' ? network : undefined), node: (id: string) => nodes.get(id) },
    local: {
      get: (id: string) => (id === 'e1' ? own : undefined),
      onNetwork: () => (isHere ? [OTHER, own] : []),
    },
    wireguard: {
      looked: async () => undefined,
      peers: () => (tunnel ? [{ nodeId: 'h2', backend: 'kernel', mtu: 1420, ...tunnel }] : []),
    },
  } as unknown as LookDeps['member'];
  return {
    member,
    ...{ paths: pathsOf(path), encryptedPaths: pathsOf(encryptedPath) },
    stillnessOf: async () => still,
    sendPacket: async ({ namespacePath, from }, to) => {
      sent?.push(`${namespacePath} ${from} ${to}`);
      return packet ?? undefined;
    },
    askResponder: async ({ namespacePath, from }, to, message, signal) => {
      asked?.push(`${namespacePath} ${from} ${to}`);
      if (reply) return reply(message);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      throw new Error('nobody answers');
    },
    clock: { elapsed: () => 0, sleep: async () => undefined },
    random: { next: () => 0.5 },
  };
}

const look = (parts: Partial<Look>): Look => ({
  ...{ network: 'n1', endpoint: '', pathTo: '', reach: '', name: undefined },
  ...parts,
});
const thingOf = async (world: World, parts: Partial<Look>) => {
  const { things } = await lookHere(deps(world), look(parts));
  expect(things).toHaveLength(1);
  return [things[0]!.outcome, things[0]!.detail];
};

describe('a look at an endpoint', () => {
  it('finds it, or says that this host does not know it', async () => {
    expect(await thingOf({}, { endpoint: 'e1' })).toEqual(['ok', 'netns:e1, by eth0']);
    expect(await thingOf({}, { endpoint: 'e2' })).toEqual(['problem', expect.stringContaining('does not know')]);
  });

  it('says why what runs in its container does nothing', async () => {
    expect(await thingOf({ still: 'it is paused' }, { endpoint: 'e1' })).toEqual([
      'problem',
      'netns:e1, by eth0: it is paused',
    ]);
  });
});

describe('a look at a path', () => {
  const pathTo = 'h2';
  it('says how packets fare on it now', async () => {
    expect(await thingOf({ path: {} }, { pathTo })).toEqual(['ok', 'round trip 0.21 ms, packets of 1450 bytes pass']);
    const [outcome, detail] = await thingOf({ path: { state: 'loses', lossPercent: 30 } }, { pathTo });
    expect([outcome, detail]).toEqual(['problem', expect.stringMatching(/^30 % of packets to h2 get lost/)]);
    expect(await thingOf({ path: { state: 'lost' } }, { pathTo })).toEqual([
      'problem',
      'nothing that is sent to h2 comes back',
    ]);
  });

  it('says what is wrong in the doctor’s words, also where small packets pass', async () => {
    expect(
      await thingOf({ path: {}, findings: ['packets of 1450 bytes do not pass; raise the MTU'] }, { pathTo }),
    ).toEqual(['problem', 'packets of 1450 bytes do not pass; raise the MTU']);
  });

  it('says why nothing is to be seen', async () => {
    expect(await thingOf({}, { pathTo: 'h1' })).toEqual(['skipped', 'both are on this host']);
    expect(await thingOf({ skipped: 'it is not heard' }, { pathTo })).toEqual(['skipped', 'it is not heard']);
    expect(await thingOf({}, { pathTo: 'h9' })).toEqual(['problem', 'this host knows no such node']);
  });

  it('is one at the tunnel, and at packets through it, where the network is encrypted', async () => {
    // What passes in the clear is no matter of such a network.
    const at = (world: World) => thingOf({ encrypted: true, path: {}, ...world }, { pathTo });
    expect(await at({ encryptedPath: {} })).toEqual(['problem', 'there is no WireGuard tunnel to h2']);
    expect(await at({ tunnel: { problem: 'no handshake' } })).toEqual(['problem', 'no handshake']);
    expect(await at({ tunnel: {}, encryptedPath: { mtu: 1370 } })).toEqual([
      'ok',
      'WireGuard (kernel), MTU 1420; round trip 0.21 ms, packets of 1370 bytes pass',
    ]);
    expect(await at({ tunnel: {}, encryptedPath: { state: 'lost' } })).toEqual([
      'problem',
      'WireGuard (kernel), MTU 1420; nothing that is sent to h2 comes back',
    ]);
    // An agent of an older release answers no such packets.
    expect(await at({ tunnel: {}, skipped: 'it does not answer' })).toEqual(['ok', 'WireGuard (kernel), MTU 1420']);
  });
});

describe('a look at a packet from inside of a container', () => {
  it('says whether one gets there and back', async () => {
    const sent: string[] = [];
    const [, back] = (await lookHere(deps({ sent }), look({ endpoint: 'e1', reach: '10.0.1.9' }))).things;
    expect(sent).toEqual(['/run/netns/e1 10.0.1.2 10.0.1.9']);
    expect([back!.outcome, back!.detail]).toEqual([
      'ok',
      'one got from inside of netns:e1, 10.0.1.2, to 10.0.1.9, and its answer back',
    ]);
    const lost = await lookHere(deps({ packet: 'nothing comes back' }), look({ endpoint: 'e1', reach: '10.0.1.9' }));
    expect(lost.things[1]).toMatchObject({ name: 'packet', outcome: 'problem' });
    expect(lost.things[1]!.detail).toMatch(/nothing comes back; .* filters within the two containers$/);
  });

  it('is left out where nothing could send one', async () => {
    for (const of of [
      { endpoint: 'e2', reach: '10.0.1.9' },
      { endpoint: 'e1', reach: 'fd00::1' },
    ]) {
      const { things } = await lookHere(deps({}), look(of));
      expect(things[1]).toMatchObject({ name: 'packet', outcome: 'skipped' });
    }
  });
});

describe('a look at a name', () => {
  const name = { name: 'api', type: 'A' };
  const answering =
    (answers: object[], rcode = 'NOERROR') =>
    (message: Uint8Array) => {
      const id = (message[0]! << 8) | message[1]!;
      return new Uint8Array(encode({ type: 'response', id, rcode, answers } as never));
    };

  it('says what the responder answers', async () => {
    const reply = answering([{ type: 'A', name: 'api', ttl: 5, data: '10.0.1.2' }]);
    const seen = await lookHere(deps({ reply }), look({ name }));
    expect(seen.things).toEqual([{ name: 'names', outcome: 'ok', detail: '10.0.1.2' }]);
    expect(seen.name).toMatchObject({ code: 'NOERROR', from: '10.0.1.1:53' });
  });

  it('says that there is no such name, and that nobody answers', async () => {
    const [outcome] = await thingOf({ reply: answering([]) }, { name });
    expect(outcome).toBe('problem');
    expect(await thingOf({}, { name })).toEqual(['problem', 'nobody answers']);
    expect(await thingOf({ reply: () => new Uint8Array(2) }, { name })).toEqual(['problem', expect.any(String)]);
    expect(await thingOf({ reply: answering([]) }, { name: { name: 'a..b', type: 'A' } })).toEqual([
      'problem',
      '"a..b" cannot be asked for',
    ]);
  });

  it('takes no answer to another question', async () => {
    const other = () => new Uint8Array(encode({ type: 'response', id: 1, answers: [] } as never));
    expect(await thingOf({ reply: other }, { name })).toEqual(['problem', 'what came back answers another question']);
  });

  it('asks as that container, or as any of the network', async () => {
    const asked: string[] = [];
    const reply = answering([]);
    await lookHere(deps({ reply, asked }), look({ name, endpoint: 'e1' }));
    await lookHere(deps({ reply, asked }), look({ name }));
    expect(asked).toEqual(['/run/netns/e1 10.0.1.2 10.0.1.1', '/run/netns/e3 10.0.1.3 10.0.1.1']);
  });

  it('asks as the host where that is the endpoint', async () => {
    const asked: string[] = [];
    const host = asHost(endpointRecord({ id: 'e1', address: '10.0.1.9' }), 4096);
    await lookHere(deps({ reply: answering([]), asked, own: host }), look({ name, endpoint: 'e1' }));
    expect(asked).toEqual(['undefined 10.0.1.9 10.0.1.1']);
  });

  it('asks nobody where the network is not on this host', async () => {
    expect(await thingOf({ isHere: false }, { name })).toEqual(['skipped', expect.stringContaining('no container')]);
  });
});
