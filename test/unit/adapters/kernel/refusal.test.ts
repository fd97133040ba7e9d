import { expect, it } from 'vitest';
import { explainRefusal } from '../../../../src/adapters/kernel/refusal.ts';
import type { Op } from '../../../../src/core/host-state.ts';

const add = (address: string): Op => ({
  ...{ kind: 'add-address', at: 'ovl-4100' },
  address: { link: 'br0', address, prefix: 64 },
});
const explain = (op: Op, code: string) => explainRefusal(op, { code, message: 'as the kernel says it' });

it('an address of IPv6 that a link cannot have is explained', () => {
  expect(explain(add('fd00:1::1'), 'EINVAL')).toMatch(
    'br0 can have no IPv6, which needs an MTU of 1,280 bytes or more',
  );
  expect(explain(add('fd00:1::1'), 'ENOTSUP')).toMatch('this host has no IPv6');
  expect(explain(add('fd00:1::1'), 'EPERM')).toBeUndefined();
  expect(explain(add('10.0.0.1'), 'EINVAL')).toBeUndefined();
});
