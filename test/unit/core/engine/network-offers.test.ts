import { describe, expect, it } from 'vitest';
import type { EngineNetwork } from '../../../../src/core/engine/engine.ts';
import { type Binding, type OffersInput, offerOf, planOffers } from '../../../../src/core/engine/network-offers.ts';
import { hasIpv6Alone, offerProblems } from '../../../../src/core/engine/offer-problems.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';

const network = (name: string, overrides: Partial<NetworkRecord> = {}): NetworkRecord => ({
  ...{ id: `id-${name}`, name, vni: 4096, internal: false, attachable: true, labels: {}, options: {} },
  ...{ subnets: [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1', auxAddresses: {} }], createdAt: 0, state: 'active' },
  ...overrides,
});

const ours = (id: string, name: string, ipamOptions: Readonly<Record<string, string>> = {}): EngineNetwork => ({
  ...{ id, name, driver: 'overlayd', labels: {}, options: {}, ipamDriver: 'overlayd', ipamOptions },
  subnets: ['10.0.0.0/24'],
});

const bound = (name: string, overrides: Partial<Binding> = {}): Binding => ({
  ...{ networkId: `id-${name}`, origin: 'offered' },
  ...overrides,
});

const plan = (input: Partial<OffersInput>) =>
  planOffers({
    ...{ networks: [], provesAbsence: true, engineNetworks: [], bindings: new Map(), used: new Set() },
    ...{ beingCreated: new Set(), gone: new Set(), ipv6Alone: true },
    ...input,
  });

const nothing = { create: [], unable: [], remove: [], renew: [], rebind: new Map(), taken: [], strays: [] };
const [web, db] = [network('web'), network('db')];

describe('what an engine is offered', () => {
  it('is what it does not have', () => {
    const input = {
      networks: [web, db],
      engineNetworks: [ours('e1', 'web')],
      bindings: new Map([['e1', bound('web')]]),
    };
    expect(plan(input)).toEqual({ ...nothing, create: [db] });
  });

  it('is the network under its own name, also when a person gave it another one', () => {
    const bindings = new Map([['e1', bound('web', { origin: 'created' })]]);
    expect(plan({ networks: [web], engineNetworks: [ours('e1', 'alias')], bindings }).create).toEqual([web]);
  });

  it('is not what a person is creating at this moment', () => {
    expect(plan({ networks: [web], beingCreated: new Set(['web']) })).toEqual(nothing);
  });

  it('is not what goes by a name that the engine has given to another network, and that is told', () => {
    const bridge = { ...ours('b1', 'web'), driver: 'bridge', ipamDriver: 'default' };
    expect(plan({ networks: [web], engineNetworks: [bridge] })).toEqual({
      ...nothing,
      taken: [{ network: web, by: bridge }],
    });
  });

  it('is not kept from a name by a network of ours that is about to go', () => {
    const old = ours('e1', 'web');
    const bindings = new Map([['e1', bound('old')]]);
    expect(plan({ networks: [web], engineNetworks: [old], bindings })).toEqual({
      ...nothing,
      create: [web],
      remove: [old],
    });
  });

  it('is kept from a name by a network of ours that goes by it for another one', () => {
    const alias = ours('e1', 'web');
    const bindings = new Map([
      ['e1', bound('db', { origin: 'bound' })],
      ['e2', bound('db')],
    ]);
    expect(plan({ networks: [web, db], engineNetworks: [alias, ours('e2', 'db')], bindings })).toEqual({
      ...nothing,
      taken: [{ network: web, by: alias }],
    });
  });
});

describe('a binding', () => {
  it('of a network that is not listed, yet or any more, keeps it from being offered', () => {
    const bindings = new Map([['e1', bound('web')]]);
    expect(plan({ networks: [web], bindings })).toEqual(nothing);
  });

  it('of a network that is gone for good does not', () => {
    const bindings = new Map([['e1', bound('web')]]);
    expect(plan({ networks: [web], bindings, gone: new Set(['e1']) })).toEqual({ ...nothing, create: [web] });
  });

  it('is found again by the id that the agent gave, whatever the network is called', () => {
    const found = ours('e1', 'web', { net: 'web', id: 'id-web' });
    expect(plan({ networks: [web], engineNetworks: [found] })).toEqual({
      ...nothing,
      rebind: new Map([['e1', bound('web')]]),
    });
  });

  it('is found again by the name that a person gave', () => {
    const found = ours('e1', 'web', { net: 'web' });
    expect(plan({ networks: [web], engineNetworks: [found] })).toEqual({
      ...nothing,
      rebind: new Map([['e1', bound('web', { origin: 'bound' })]]),
    });
  });

  it('is found again with the placeholder that the engine has for the subnet', () => {
    const found = { ...ours('e1', 'shop_web'), options: { net: 'web' }, subnets: ['240.1.2.0/24'] };
    expect(plan({ networks: [web], engineNetworks: [found] })).toEqual({
      ...nothing,
      create: [web],
      rebind: new Map([['e1', bound('web', { origin: 'bound', pool: '240.1.2.0/24' })]]),
    });
  });

  it('is found again with the placeholders of both families', () => {
    const subnets = ['10.1.2.0/24', 'e000::/64'];
    const found = { ...ours('e1', 'shop_web', { net: 'web' }), subnets };
    const { rebind } = plan({ networks: [web], engineNetworks: [found] });
    expect(rebind).toEqual(new Map([['e1', bound('web', { origin: 'bound', pool6: 'e000::/64' })]]));
  });

  it('is not found by the name of a network that was removed and made again', () => {
    const found = ours('e1', 'web', { net: 'web', id: 'id-former' });
    expect(plan({ networks: [web], engineNetworks: [found] })).toEqual({ ...nothing, create: [web], remove: [found] });
  });
});

describe('a network that got its first subnet of another family', () => {
  const both = network('web', {
    subnets: [...web.subnets, { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} }],
  });
  const old = { ...ours('e1', 'web'), subnets: ['10.0.0.0/24'] };
  const renewed = (origin: Binding['origin'], parts: Partial<OffersInput> = {}) =>
    plan({ networks: [both], engineNetworks: [old], bindings: new Map([['e1', bound('web', { origin })]]), ...parts });

  it('is offered anew when nobody uses it', () => {
    expect(renewed('offered')).toEqual({ ...nothing, renew: [old] });
  });

  it('is left as it is while somebody does, or where a person made it', () => {
    expect(renewed('offered', { used: new Set(['e1']) })).toEqual(nothing);
    for (const origin of ['created', 'bound'] as const) expect(renewed(origin)).toEqual(nothing);
  });

  it('is right when the engine has a subnet of each', () => {
    const right = { ...old, subnets: ['10.0.0.0/24', 'fd00:1::/64'] };
    expect(renewed('offered', { engineNetworks: [right] })).toEqual(nothing);
  });
});

describe('a network without IPv4', () => {
  const alone = network('six', { subnets: [{ cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} }] });

  it('is offered to engines that can have one', () => {
    expect(plan({ networks: [web, alone] })).toEqual({ ...nothing, create: [web, alone] });
  });

  it('is left out with others, which is told', () => {
    const offers = plan({ networks: [web, alone], ipv6Alone: false });
    expect(offers).toEqual({ ...nothing, create: [web], unable: [alone] });
    expect(offerProblems(offers)).toEqual([expect.stringContaining('network six has no IPv4')]);
  });

  it.each([
    ['20.10.24+dfsg1', false],
    ['26.1.5', false],
    ['27.5.1', false],
    ['28.0.0', true],
    ['29.1.0-rc.1', true],
  ])('is possible with %s: %s', (version, possible) => {
    expect(hasIpv6Alone(version)).toBe(possible);
  });
});

it('networks of other drivers that have our addresses are told of, and left alone', () => {
  const stray = { ...ours('b1', 'br', { net: 'web' }), driver: 'bridge' };
  expect(plan({ engineNetworks: [stray] })).toEqual({ ...nothing, strays: [stray] });
});

describe('what an engine has to give up', () => {
  it('is what the cluster has no more, and what says nothing of the cluster', () => {
    const engineNetworks = [ours('e1', 'old'), ours('e2', 'stray'), ours('e3', 'lost', { net: 'lost' })];
    const bindings = new Map([['e1', bound('old')]]);
    expect(plan({ engineNetworks, bindings })).toEqual({ ...nothing, remove: engineNetworks });
  });

  it('is nothing as long as the view is not whole', () => {
    const engineNetworks = [ours('e1', 'old'), ours('e2', 'stray')];
    expect(plan({ provesAbsence: false, engineNetworks, bindings: new Map([['e1', bound('old')]]) })).toEqual(nothing);
  });

  it('is nothing of other drivers', () => {
    const bridge = { ...ours('b1', 'bridge', { net: 'web' }), driver: 'bridge', ipamDriver: 'default' };
    expect(plan({ engineNetworks: [bridge] })).toEqual(nothing);
  });

  describe('of two of one name', () => {
    const pair = [ours('e1', 'web'), ours('e2', 'web')];
    const removed = (first: Binding, second: Binding, used: readonly string[] = []) => {
      const bindings = new Map([
        ['e1', first],
        ['e2', second],
      ]);
      return plan({ networks: [web], engineNetworks: pair, bindings, used: new Set(used) }).remove.map(({ id }) => id);
    };

    it.each([
      ['is the second, when both were offered', bound('web'), bound('web'), [], ['e2']],
      ['is the offered one', bound('web'), bound('web', { origin: 'created' }), [], ['e1']],
      ['is the one without endpoints', bound('web', { origin: 'created' }), bound('web'), ['e2'], ['e1']],
      ['is neither while both have endpoints', bound('web'), bound('web'), ['e1', 'e2'], []],
    ])('%s', (_, first, second, used, expected) => {
      expect(removed(first, second, used)).toEqual(expected);
    });
  });
});

it('a network is offered with all that was chosen for it, so that the engine asks back about nothing', () => {
  const subnet = {
    cidr: '10.9.0.0/24',
    gateway: '10.9.0.7',
    ipRange: '10.9.0.128/25',
    auxAddresses: { nas: '10.9.0.9' },
  };
  const record = network('web', { internal: true, labels: { team: 'a' }, options: { mtu: '1300' }, subnets: [subnet] });
  expect(offerOf(record)).toEqual({
    name: 'web',
    driver: 'overlayd',
    internal: true,
    labels: { team: 'a' },
    options: { mtu: '1300', id: 'id-web' },
    ipamOptions: { net: 'web', id: 'id-web' },
    subnets: [subnet],
  });
});
