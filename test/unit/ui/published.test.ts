import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterTable } from '../../../src/core/page/cluster-table.ts';
import type { ClusterChange, ClusterState } from '../../../src/core/page/contract.ts';
import { Published, type ToldChange } from '../../../src/ui/published.ts';
import { endpoint, host, network, overview } from '../core/page/rows.ts';

const stateOf = (published: Published): ClusterState => JSON.parse(published.stateText());
const changeOf = (told: ToldChange | undefined): ClusterChange => JSON.parse(told!.text);

describe('what pages are told', () => {
  it('is what is different, and nothing when nothing is', () => {
    const published = new Published('r1', overview);
    published.set('hosts', [host({ id: 'h1' }), host({ id: 'h2' })]);
    expect(changeOf(published.flush())).toEqual({
      revision: 2,
      hosts: { put: [host({ id: 'h1' }), host({ id: 'h2' })] },
    });
    published.set('hosts', [host({ id: 'h1' }), host({ id: 'h2' })]);
    published.setOverview({ ...overview });
    expect(published.flush()).toBeUndefined();
    published.set('hosts', [host({ id: 'h1', name: 'new' })]);
    expect(changeOf(published.flush())).toEqual({
      revision: 3,
      hosts: { put: [host({ id: 'h1', name: 'new' })], gone: ['h2'] },
    });
  });

  it('leaves rows alone that are not meant', () => {
    const published = new Published('r1', overview);
    published.set('endpoints', [endpoint({ id: 'e1', network: 'n1' }), endpoint({ id: 'e2', network: 'n2' })]);
    published.flush();
    published.set('endpoints', [], ({ network: of }) => of === 'n1');
    expect(changeOf(published.flush())).toEqual({ revision: 3, endpoints: { gone: ['e1'] } });
    expect(stateOf(published).endpoints.map(({ id }) => id)).toEqual(['e2']);
  });

  it('tells a page that was away what it missed, and one of another run to begin anew', () => {
    const published = new Published('r1', overview);
    const at = published.revision;
    published.set('hosts', [host()]);
    published.flush();
    published.set('networks', [network()]);
    published.flush();
    expect(published.since('r1', at)?.map(({ revision }) => revision)).toEqual([2, 3]);
    expect(published.since('r1', 3)).toEqual([]);
    expect(published.since('other', 3)).toBeUndefined();
    expect(published.since('r1', 4)).toBeUndefined();
  });

  it('holds changes of late alone', () => {
    const published = new Published('r1', overview);
    for (let at = 0; at < 60; at++) {
      published.set('networks', [network({ names: ['x'.repeat(50_000), String(at)] })]);
      published.flush();
    }
    expect(published.since('r1', 2)).toBeUndefined();
    expect(published.since('r1', published.revision - 1)).toHaveLength(1);
  });

  it('brings any page to the state that is, by whatever changes', () => {
    const row = fc.record({ id: fc.constantFrom('a', 'b', 'c', 'd'), name: fc.constantFrom('x', 'y') });
    const step = fc.record({ rows: fc.uniqueArray(row, { selector: ({ id }) => id }), only: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const published = new Published('r1', overview);
        const page = new ClusterTable();
        page.begin(stateOf(published));
        for (const { rows, only } of steps) {
          const all = rows.map(({ id, name }) => host({ id, name }));
          published.set('hosts', all, ({ id }) => !only || id < 'c');
          const told = published.flush();
          if (told) page.apply(changeOf(told));
          const fresh = new ClusterTable();
          fresh.begin(stateOf(published));
          expect(page.sorted('hosts')).toEqual(fresh.sorted('hosts'));
          expect(page.revision).toBe(published.revision);
        }
      }),
    );
  });
});
