import { expect, it } from 'vitest';
import type { Marks } from '../../../../src/agent/reconcile/marks.ts';
import { repairsOf } from '../../../../src/agent/reconcile/repairs.ts';
import type { Plan, PlannedOp } from '../../../../src/core/host-state.ts';

const marks = { asked: false, networks: new Map() } as unknown as Marks;
/** Whoever looks at its rows fails. */
const rows = new Proxy({ kind: 'set-rows' } as unknown as PlannedOp['op'], {
  get: (op, name) => (name === 'kind' ? Reflect.get(op, name) : expect.unreachable(`of the rows: ${String(name)}`)),
});
const asked: PlannedOp = { op: rows, network: 'ovl-4096' } as PlannedOp;
const link = { op: { kind: 'link-up' }, network: 'ovl-4097' } as unknown as PlannedOp;
const plan = { stages: [{ ops: [asked, link] }] } as unknown as Plan;

it('looks at no rows of a network that somebody asked for: there may be thousands', () => {
  const repairs = repairsOf(plan, { failures: [] } as never, marks, false, (namespace) => namespace === 'ovl-4096');
  expect(repairs).toEqual([link]);
});
