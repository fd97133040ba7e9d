import { expect, test } from 'vitest';
import { FirewallWatch } from '../../../../src/agent/host/firewall-watch.ts';
import type { Passage } from '../../../../src/core/firewall.ts';

test('a firewall in the way, and who sends in clear, is named once in the log, and in the problems until that is over', async () => {
  let passage: Passage | undefined;
  let now = 0;
  const warned: object[] = [];
  const logger = { warn: (fields: object) => warned.push(fields), info: () => undefined, debug: () => undefined };
  const watch = new FirewallWatch({
    passage: async () => passage,
    firewall: async () => 'ufw',
    port: 4789,
    nameOf: (address) => (address === '192.0.2.2' ? 'h2' : undefined),
    clock: { sleep: async () => undefined, elapsed: () => now },
    logger: logger as never,
  });
  let strays = new Map([['192.0.2.7', 5]]);
  const see = async (data: number, arrived: number) => {
    passage = {
      data: { before: data, after: arrived },
      out: { before: 0, after: 0 },
      in: { before: 0, after: 0 },
      strays,
    };
    await watch.look();
    return watch.findings.map(({ text }) => text);
  };
  expect(await see(0, 0)).toEqual([]);
  expect(await see(20, 0)).toEqual([expect.stringContaining('ufw allow 4789/udp')]);
  expect(await see(40, 0)).toHaveLength(1);
  expect(warned).toHaveLength(1);
  expect(await see(41, 1)).toEqual([]);

  // What came before the agent did is of no known time.
  strays = new Map([...strays, ['192.0.2.9', 4], ['192.0.2.2', 1]]);
  const named = [expect.stringMatching(/^4 VXLAN .* from 192\.0\.2\.9 /), expect.stringContaining('h2 (192.0.2.2)')];
  expect(await see(42, 2)).toEqual(named);
  expect(await see(43, 3)).toEqual(named);
  expect(warned.slice(1)).toMatchObject([{ from: '192.0.2.9' }, { from: '192.0.2.2', member: 'h2' }]);
  // The table was written anew.
  strays = new Map([['192.0.2.9', 2]]);
  now = 500_000;
  expect((await see(44, 4))[0]).toMatch(/^6 VXLAN /);
  now = 700_000;
  expect(await see(45, 5)).toHaveLength(1);
  now = 1_200_000;
  expect(await see(46, 6)).toEqual([]);
});

test('what came since there was no table yet counts from the first packet', async () => {
  let passage: Passage | undefined;
  const ignore = () => undefined;
  const watch = new FirewallWatch({
    ...{ passage: async () => passage, firewall: async () => undefined, port: 4789, nameOf: ignore },
    clock: { sleep: async () => undefined, elapsed: () => 0 },
    logger: { warn: ignore, info: ignore, debug: ignore },
  });
  await watch.look();
  const none = { before: 0, after: 0 };
  passage = { data: none, out: none, in: none, strays: new Map([['192.0.2.9', 4]]) };
  await watch.look();
  expect(watch.findings.map(({ text }) => text)).toEqual([expect.stringMatching(/^4 VXLAN /)]);
});

test('who calls published ports in vain is told', async () => {
  const ignore = () => undefined;
  const none = { before: 0, after: 0 };
  let calls = none;
  const watch = new FirewallWatch({
    passage: async () => ({ data: none, out: none, in: calls, strays: new Map() }),
    ...{ firewall: async () => 'docker', port: 4789, nameOf: ignore },
    clock: { sleep: async () => undefined, elapsed: () => 0 },
    logger: { warn: ignore, info: ignore, debug: ignore },
  });
  await watch.look();
  calls = { before: 6, after: 0 };
  await watch.look();
  expect(watch.findings).toMatchObject([{ code: 'published-filtered', text: expect.stringContaining('DOCKER-USER') }]);
  calls = { before: 7, after: 1 };
  await watch.look();
  expect(watch.findings).toEqual([]);
});
