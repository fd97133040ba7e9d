/** The first table of a place is made without one being deleted before, and takes the place of one that is there all the same. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Op } from '../../../src/core/host-state.ts';
import { HOST, TABLE } from '../../../src/core/host-state.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { openKernel } from './kernel-host.ts';

let lab: Lab;
let host: Host;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
});
afterAll(() => lab?.close());

async function makeFirst(port: number): Promise<string> {
  const chain = { name: 'c', type: 'filter', hook: 'input', priority: -300, policy: 'accept' } as const;
  const filter = { family: 'inet', sets: [], chains: [{ ...chain, rules: [`udp dport ${port} accept`] }] } as const;
  const op: Op = { kind: 'set-filter', at: HOST, filter, isFirst: true };
  const planned = { op, reason: 'create', network: undefined, endpointId: undefined } as const;
  const { kernel } = openKernel(host);
  const { failures, writes } = await kernel.apply({ stages: [{ essential: true, ops: [planned] }], gone: [] });
  expect(failures).toEqual([]);
  expect(writes).toBe(1);
  return await host.must(['nft', 'list', 'table', 'inet', TABLE]);
}

it('is made, and replaces what somebody else has made meanwhile', async () => {
  expect(await makeFirst(7)).toMatch(/dport 7 accept/);
  const second = await makeFirst(8);
  expect(second).toMatch(/dport 8 accept/);
  expect(second).not.toMatch(/dport 7 /);
});
