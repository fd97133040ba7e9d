import { expect, test } from 'vitest';
import { judgeNetwork, NetworkPath } from '../../../../src/core/path/network-path.ts';

const WEB = { name: 'web', vni: 4_096, backend: 'plain', port: 4_789 } as const;

function after(...notes: readonly Readonly<Parameters<NetworkPath['note']>>[]): NetworkPath {
  const path = new NetworkPath();
  for (const note of notes) path.note(...note);
  return path;
}

const lost = (nth: number) => ['lost-there', 'small', 128, nth] as const;

test('one packet that gets lost is chance, four are not, and one that comes back ends it', () => {
  const path = after(lost(1), lost(2), lost(3));
  expect([path.isLost, path.isInDoubt]).toEqual([false, true]);
  path.note(...lost(4));
  expect(path.lost('h2')).toEqual({ peer: 'h2', isBack: false, bytes: 0, since: 4 });
  path.note('back', 'small', 128, 5);
  expect(path.lost('h2')).toBeUndefined();
});

test('what nobody can tell counts neither way', () => {
  const path = after(lost(1), lost(2), lost(3), ['unknown', 'small', 128, 4]);
  expect(path.isLost).toBe(false);
  path.note(...lost(5));
  expect(path.isLost).toBe(true);
  path.note('unknown', 'small', 128, 6);
  expect(path.isLost).toBe(true);
});

test('large packets by themselves are told with their size, and with the direction', () => {
  const path = after(...[1, 2, 3].map((nth) => ['lost-back', 'large', 1_450, nth] as const));
  path.note('back', 'small', 128, 4);
  expect(path.lost('h2')).toMatchObject({ isBack: true, bytes: 1_450 });
  path.note('back', 'large', 1_450, 5);
  expect(path.isLost).toBe(false);
});

test('a network is told of once, with every way and since the first', () => {
  const ways = [
    { peer: 'h2', isBack: false, bytes: 0, since: 90 },
    { peer: 'h3', isBack: true, bytes: 1_450, since: 70 },
  ];
  const [finding, ...more] = judgeNetwork(WEB, ways);
  expect(more).toEqual([]);
  expect(finding).toMatchObject({ code: 'network-path-lost', subject: 'web', certain: true, since: 70 });
  expect(finding?.text).toContain(
    'from here do not get to h2; those of 1450 bytes (small ones pass) from h3 do not get',
  );
  expect(finding?.text).toContain('VXLAN, 4789/udp, VNI 4096');
  expect(judgeNetwork(WEB, [])).toEqual([]);
});
