import { expect, it } from 'vitest';
import { moveToOwnUnit, renderScope } from '../../../src/adapters/own-unit.ts';
import type { Logger } from '../../../src/ports/runtime.ts';

const ETCD = { name: 'overlayd-etcd.scope', description: 'etcd of overlayd' };

it('asks systemd for a unit with that process, which ends after the agent', () => {
  expect(renderScope(ETCD, 42).join(' ')).toBe(
    'call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager ' +
      'StartTransientUnit ssa(sv)a(sa(sv)) overlayd-etcd.scope fail 4 ' +
      'Description s etcd of overlayd PIDs au 1 42 Before as 1 overlayd.service ' +
      'CollectMode s inactive-or-failed 0',
  );
});

it('asks for a share of the processors, where one is said', () => {
  expect(renderScope({ ...ETCD, cpuWeight: 300 }, 42).join(' ')).toContain(' fail 5 ');
  expect(renderScope({ ...ETCD, cpuWeight: 300 }, 42).join(' ')).toContain(' CPUWeight t 300 0');
});

it('leaves a process alone that is not in the unit of the agent, or is none', async () => {
  const asked: unknown[] = [];
  const run = async (argv: readonly string[]) => {
    asked.push(argv);
    return { code: 0, stderr: '' };
  };
  for (const pid of [process.pid, 0]) await moveToOwnUnit({ run, logger: {} as Logger }, ETCD, pid);
  expect(asked).toEqual([]);
});
