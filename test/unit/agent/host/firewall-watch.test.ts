import { expect, test } from 'vitest';
import { FirewallWatch } from '../../../../src/agent/host/firewall-watch.ts';
import type { Passage } from '../../../../src/core/firewall.ts';

test('a firewall in the way is named once in the log, and in the problems until packets pass', async () => {
  let passage: Passage | undefined;
  const warned: object[] = [];
  const logger = { warn: (fields: object) => warned.push(fields), info: () => undefined, debug: () => undefined };
  const watch = new FirewallWatch({
    passage: async () => passage,
    firewall: async () => 'ufw',
    port: 4789,
    clock: { sleep: async () => undefined },
    logger: logger as never,
  });
  const see = async (data: number, arrived: number) => {
    passage = { data: { before: data, after: arrived }, out: { before: 0, after: 0 } };
    await watch.look();
    return watch.problems;
  };
  await watch.look();
  expect(await see(0, 0)).toEqual([]);
  expect(await see(20, 0)).toEqual([expect.stringContaining('ufw allow 4789/udp')]);
  expect(await see(40, 0)).toHaveLength(1);
  expect(warned).toHaveLength(1);
  expect(await see(41, 1)).toEqual([]);
});
