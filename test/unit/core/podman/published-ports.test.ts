import { expect, test } from 'vitest';
import { publishedBy } from '../../../../src/core/podman/published-ports.ts';

const asked = { hostIp: '', hostPort: 8000, containerPort: 80, protocol: 'tcp', range: 1 };

test('a range is each of its ports, at the address that was asked for', () => {
  expect(publishedBy([{ ...asked, range: 3, hostIp: '192.0.2.1' }])).toEqual(
    [0, 1, 2].map((nth) => ({ protocol: 'tcp', hostAddress: '192.0.2.1', hostPort: 8000 + nth, port: 80 + nth })),
  );
  expect(publishedBy([{ ...asked, hostIp: '0.0.0.0' }])).toEqual([{ protocol: 'tcp', hostPort: 8000, port: 80 }]);
  expect(publishedBy([{ ...asked, range: 1_024 }])).toHaveLength(1_024);
});

test.each([
  [{ range: 1_025 }, /^1025 ports are asked for; a container may have 1024 published: publish a smaller range$/],
  [{ range: 1e9 }, /1000000000 ports are asked for/],
  [{ hostPort: 65_000, range: 1_000 }, /^-p: ports are 1 to 65535, and not all from 65000 and 80 on, 1000 of each$/],
  [{ hostPort: 0 }, /not all from 0 and 80/],
  [{ protocol: 'icmp' }, /the protocol is tcp, udp, sctp, not icmp/],
])('%j is refused', (parts, why) => {
  expect(() => publishedBy([{ ...asked, ...parts }])).toThrow(why);
});

test('the cap is of all ranges together', () => {
  expect(() =>
    publishedBy([
      { ...asked, range: 600 },
      { ...asked, hostPort: 9_000, range: 600 },
    ]),
  ).toThrow(/^1200 ports/);
});
