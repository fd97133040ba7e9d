/** What rests for a name: whose it is, who gets which of it, and when somebody else does. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AddressSpace, checkAddress, chooseAddress, countAddresses } from '../../../../src/core/ipam/address.ts';
import { checkAddresses } from '../../../../src/core/ipam/check.ts';
import { chooseKept, forNobody, keptOn, keptRecord, MOST_KEPT, surplusOf } from '../../../../src/core/ipam/kept.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type QuarantineRecord } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';

const MINUTE = 60_000;

/** What an endpoint of that name and id left at that moment. */
function left(name: string, id: string, releasedAt: number, parts: Partial<QuarantineRecord> = {}): QuarantineRecord {
  const endpoint: EndpointRecord = { ...endpointRecord({ id, name }), sticky: true };
  return keptRecord(endpoint, { releasedAt, by: 'h1', clean: true, ...parts }, 60)!;
}

const plain = (releasedAt: number): QuarantineRecord => ({ releasedAt, by: 'h1', clean: true });

function space(quarantine: AddressSpace['quarantine'], parts: Partial<AddressSpace> = {}): AddressSpace {
  const subnets = [{ cidr: '10.0.1.0/29', gateway: '10.0.1.1', auxAddresses: {} }];
  return { subnets, claims: new Map(), endpoints: new Map(), quarantine, pending: new Set(), now: 0, ...parts };
}

it('an endpoint of another network leaves nothing for its name', () => {
  expect(keptRecord(endpointRecord(), plain(1), 60)).toBeUndefined();
  expect(keptRecord(undefined, plain(1), 60)).toBeUndefined();
});

describe('a name gets', () => {
  const resting = new Map([
    ['fd00::2', left('db', 'e1', 5)],
    ['10.0.1.2', left('db', 'e1', 5)],
    ['10.0.1.3', left('DB', 'e2', 7, { by: 'h2' })],
    ['10.0.1.4', left('db', 'e3', 6, { by: 'h3', clean: false })],
    ['10.0.1.5', left('web', 'e4', 8)],
    ['10.0.1.6', plain(9)],
  ]);

  it.each([
    ['what its own host let go of', 'h1', undefined, ['10.0.1.2', 'fd00::2']],
    ['what its own host let go of, in whatever case', 'h2', undefined, ['10.0.1.3']],
    ['what was let go of last, elsewhere', 'h9', undefined, ['10.0.1.3']],
    ['what it asks for', 'h1', '10.0.1.4', ['10.0.1.4']],
    ['what its host let go of, where it asks for what is no name’s', 'h1', '10.0.1.6', ['10.0.1.2', 'fd00::2']],
  ])('%s', (_, selfId, ip, addresses) => {
    expect(chooseKept(resting, { name: 'db', selfId, asked: ip === undefined ? [] : [ip] })?.addresses).toEqual(
      addresses,
    );
  });

  it('nothing of another name’s', () => {
    expect(chooseKept(resting, { name: 'api', selfId: 'h1', asked: ['10.0.1.5'] })).toBeUndefined();
  });

  it('what one endpoint left, whole: each is listed once', () => {
    expect(keptOn(resting).map(({ name, addresses }) => `${name} ${addresses}`)).toEqual([
      'db 10.0.1.2,fd00::2',
      'db 10.0.1.4',
      'DB 10.0.1.3',
      'web 10.0.1.5',
    ]);
  });
});

describe('nobody else gets it', () => {
  const kept = new Map([['10.0.1.2', left('db', 'e1', 1)]]);

  it('while anything else is free', () => {
    const made = space(kept, { pending: new Set(['10.0.1.3', '10.0.1.4', '10.0.1.5']) });
    expect(chooseAddress(made, 'web')).toMatchObject({ address: '10.0.1.6', fromQuarantine: false });
  });

  it('before what rests for nobody, however long it rests', () => {
    const resting = new Map([...kept, ['10.0.1.3', plain(9)]]);
    const made = space(resting, { pending: new Set(['10.0.1.4', '10.0.1.5', '10.0.1.6']) });
    expect(chooseAddress(made, 'web')).toMatchObject({ address: '10.0.1.3', fromQuarantine: true });
  });

  it('and in need the one that was let go of first', () => {
    const resting = new Map([...kept, ['10.0.1.3', left('api', 'e2', 0)]]);
    const made = space(resting, { pending: new Set(['10.0.1.4', '10.0.1.5', '10.0.1.6']) });
    expect(chooseAddress(made, 'web')).toMatchObject({ address: '10.0.1.3', fromQuarantine: true });
  });

  it('of a host that was removed, before it has rested, and the message counts it', () => {
    const resting = new Map([['10.0.1.2', left('db', 'e1', 0, { clean: false })]]);
    const pending = new Set(['10.0.1.3', '10.0.1.4', '10.0.1.5', '10.0.1.6']);
    const needing = (now: number) => chooseAddress(space(resting, { pending, now }), 'web');
    expect(() => needing(MINUTE)).toThrow('0 used, 4 free, 0 quarantined, 1 kept for names');
    // The quarantine, and as much again for clocks that differ.
    expect(needing(2 * MINUTE)).toMatchObject({ address: '10.0.1.2', fromQuarantine: true });
  });

  it('by asking for it, but its name does', () => {
    const check = (name: string | undefined) => checkAddress(space(kept), '10.0.1.2', () => 'h1', name);
    expect(() => check('api')).toThrow('address already in use: 10.0.1.2 is kept for db');
    expect(() => check(undefined)).toThrow('is kept for db');
    expect(check('DB')).toMatchObject({ address: '10.0.1.2', fromQuarantine: true });
    const evicted = new Map([['10.0.1.2', left('db', 'e1', 1, { clean: false })]]);
    expect(checkAddress(space(evicted), '10.0.1.2', () => 'h1', 'db')).toMatchObject({ fromQuarantine: true });
  });
});

it('counts what is kept apart from what rests for nobody', () => {
  const resting = new Map([
    ['10.0.1.2', left('db', 'e1', 1)],
    ['10.0.1.3', plain(1)],
  ]);
  expect(countAddresses(space(resting))).toEqual({ total: 8, used: 0, reserved: 3, quarantined: 1, kept: 1, free: 3 });
});

it('what is kept is no finding of a check, but on a network that is gone, which nothing else would free', () => {
  const network = networkRecord({ id: 'n1' });
  const record = left('db', 'e1', 1);
  const check = (networkId: string) =>
    checkAddresses(
      [
        { key: keys.network('n1'), value: encodeRecord(network) },
        { key: keys.quarantine(networkId, '10.0.1.2'), value: encodeRecord(record) },
      ],
      { nodeId: 'h1', byId: new Map(), isUnderway: () => false },
    );
  expect(check('n1')).toEqual([]);
  const key = keys.quarantine('n9', '10.0.1.2');
  expect(check('n9')).toMatchObject([{ kind: 'leaked', key, repair: { changes: [{ kind: 'delete', key }] } }]);
});

it('given back, it rests for nobody as long as anything that was released', () => {
  const { keptFor: _, ...rest } = left('db', 'e1', 0, { clean: false });
  const kept = { ...left('db', 'e1', 0, { clean: false }), laterField: 1 };
  expect(forNobody(kept, MINUTE, 60)).toEqual({ ...rest, laterField: 1 });
  expect(forNobody(kept, 2 * MINUTE, 60)).toBeUndefined();
});

it('no more is kept than a network may: the oldest go, a few at once', () => {
  const full = new Map(
    Array.from({ length: MOST_KEPT }, (_, at) => [`a${at}`, left(`n${at}`, `e${at}`, 100 - (at % 50))]),
  );
  expect(surplusOf(full, [])).toEqual([]);
  expect(surplusOf(new Map([...full, ['10.0.1.2', plain(0)]]), ['b1', 'b2'])).toEqual(['a49', 'a99']);
  // What comes again takes its own place.
  expect(surplusOf(full, ['a7'])).toEqual([]);
  const many = Array.from({ length: 100 }, (_, at) => `b${at}`);
  expect(surplusOf(full, many)).toHaveLength(16);
});

it('everything that is kept is listed once, and each name gets its own alone', () => {
  const names = fc.constantFrom('db', 'Db', 'web', 'api');
  const endpoint = fc.record({
    name: names,
    releasedAt: fc.nat(20),
    by: fc.constantFrom('h1', 'h2'),
    two: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(endpoint, { maxLength: 12 }), names, (endpoints, name) => {
      const resting = new Map<string, QuarantineRecord>([['10.9.9.9', plain(3)]]);
      for (const [at, { name: own, releasedAt, by, two }] of endpoints.entries()) {
        for (const ip of [`10.0.0.${at}`, ...(two ? [`fd00::${at}`] : [])]) {
          resting.set(ip, left(own, `e${at}`, releasedAt, { by }));
        }
      }
      const listed = keptOn(resting);
      expect(listed.flatMap(({ addresses }) => addresses).sort()).toEqual(
        [...resting.keys()].filter((ip) => ip !== '10.9.9.9').sort(),
      );
      expect(new Set(listed.map(({ endpointId }) => endpointId)).size).toBe(listed.length);
      const mine = listed.filter((kept) => kept.name.toLowerCase() === name.toLowerCase());
      const chosen = chooseKept(resting, { name, selfId: 'h1', asked: [] });
      if (mine.length === 0) expect(chosen).toBeUndefined();
      else expect(mine).toContainEqual(chosen);
      if (mine.some(({ by }) => by === 'h1')) expect(chosen?.by).toBe('h1');
    }),
  );
});
