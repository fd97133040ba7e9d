/** A redirection that the kernel refuses is refused in its own words. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { holdRedirection } from '../../../src/adapters/netlink/redirect.ts';
import { TestNamespace } from './namespace.ts';

let space: TestNamespace;
beforeEach(() => {
  space = new TestNamespace('redirect');
});
afterEach(() => space?.remove());

const redirection = { address: '127.0.0.11', port: 53, to: { udp: 5301, tcp: 5302 }, exceptMark: 0x4f56 };

it('is refused in the kernel’s words, and leaves nothing', () => {
  // Names of tables have 255 bytes at most.
  const refused = () => holdRedirection(space.path, { ...redirection, table: 't'.repeat(256) });
  expect(refused).toThrow(
    expect.objectContaining({
      code: 'data-path-failed',
      retryable: true,
      message: expect.stringMatching(/: Attribute failed policy validation; it takes nftables with NAT/),
    }),
  );
  expect(space.exec('nft', 'list', 'tables')).toBe('');
});

it('belongs to one holder, and ends with it', async () => {
  const release = holdRedirection(space.path, { ...redirection, table: 'names' });
  expect(space.exec('nft', 'list', 'ruleset')).toMatch(
    /ip daddr 127\.0\.0\.11 .* udp dport 53 dnat to 127\.0\.0\.11:5301/,
  );
  expect(() => holdRedirection(space.path, { ...redirection, table: 'names' })).toThrow(/operation not permitted/);
  await release();
  expect(space.exec('nft', 'list', 'tables')).toBe('');
});
