/** How tables are told, by the versions of nft that tell them otherwise. */
import { expect, it } from 'vitest';
import { parseFilter, renderNft } from '../../../../src/adapters/kernel/nftables.ts';

const element = { concat: ['e1', '02:42:0a:00:00:02', '0xfd000000000000000000000000000002'] };
const listing = (type: unknown) =>
  JSON.stringify({
    nftables: [
      { table: { family: 'bridge', name: 'overlayd' } },
      { set: { family: 'bridge', name: 'targets', table: 'overlayd', type, elem: [element] } },
    ],
  });
const EXPRESSION = 'iifname . ether saddr . @th,64,128';

it.each([
  ['1.0.6', ['ifname', 'ether_addr', 'integer']],
  [
    '1.1.3',
    {
      typeof: {
        concat: [
          { meta: { key: 'iifname' } },
          { payload: { protocol: 'ether', field: 'saddr' } },
          { payload: { base: 'th', offset: 64, len: 128 } },
        ],
      },
    },
  ],
])('a set of bits without a name is read from nft %s', (_, type) => {
  expect(parseFilter(listing(type))?.sets).toEqual([
    {
      name: 'targets',
      type: ['ifname', 'ether_addr', 'integer'],
      interval: false,
      elements: new Set(['e1 02:42:0a:00:00:02 0xfd000000000000000000000000000002']),
    },
  ]);
});

it.each(['integer', { typeof: { payload: { base: 'th', offset: 96, len: 24 } } }])(
  'a set of nothing but such bits is read from %j',
  (type) => {
    const listed = { name: 'encrypted', table: 'overlayd', type, elem: [4096, 16_777_215] };
    const nftables = [{ table: { family: 'inet' } }, { set: listed }];
    expect(parseFilter(JSON.stringify({ nftables }))?.sets).toMatchObject([
      { name: 'encrypted', type: ['integer'], elements: new Set(['4096', '16777215']) },
    ]);
  },
);

it('a set is given the expression that says how long its bits are, and else its type', () => {
  const set = {
    name: 'targets',
    type: ['ifname', 'ether_addr', 'integer'],
    interval: false,
    elements: new Set<string>(),
  };
  const render = (expression?: string) =>
    renderNft({
      kind: 'set-filter',
      at: 'ovl-7',
      filter: { family: 'bridge', sets: [{ ...set, expression }], chains: [] },
    });
  expect(render(EXPRESSION)).toContain(`typeof ${EXPRESSION}\n`);
  expect(render()).toContain('type ifname . ether_addr . integer\n');
});

it('the first table of a place is made without deleting one', () => {
  const filter = { family: 'bridge', sets: [], chains: [] } as const;
  const first = renderNft({ kind: 'set-filter', at: 'ovl-7', filter, isFirst: true });
  expect(first).toBe('create table bridge overlayd\ntable bridge overlayd {\n}\n');
  expect(renderNft({ kind: 'set-filter', at: 'ovl-7', filter })).toContain('\ndelete table bridge overlayd\n');
});
