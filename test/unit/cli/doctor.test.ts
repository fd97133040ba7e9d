import { expect, test } from 'vitest';
import { Diagnosis, Status } from '../../../src/gen/overlayd/v1/control.ts';
import { VERSION } from '../../../src/version.ts';
import { NOW, run } from './fake-agent.ts';

const diagnosis = (certain: boolean) =>
  Diagnosis.fromPartial({
    checks: [
      { name: 'data path', outcome: 'problem', detail: '1 finding' },
      { name: 'store', outcome: 'ok', detail: 'kept by 3 of 3' },
    ],
    findings: [
      {
        ...{ code: 'data-path-lost', subject: 'host2', text: 'nothing passes to host2', mend: 'open the port' },
        ...{ sinceMs: NOW - 60_000, certain },
      },
    ],
  });

test('doctor prints checks and findings, and fails where something is certain', async () => {
  const answers = { diagnose: () => diagnosis(true) };
  const { code, out, asked } = await run('doctor --peer host2 --network web', { answers });
  expect(code).toBe(1);
  expect(asked).toEqual([['diagnose', { network: 'web', peer: 'host2', commandVersion: VERSION }]]);
  expect(out).toMatch(/^data path +problem +1 finding$/m);
  expect(out).toContain('Problem: data-path-lost (host2), for 1m\n  nothing passes to host2\n  Mend: open the port\n');
});

test('what is suspected alone is no failure', async () => {
  const { code, out } = await run('doctor', { answers: { diagnose: () => diagnosis(false) } });
  expect(code).toBe(0);
  expect(out).toContain('Suspected: data-path-lost (host2)');
  expect((await run('doctor')).out).toContain('Nothing is wrong.\n');
});

test('doctor has JSON', async () => {
  const { out } = await run('doctor --format json', { answers: { diagnose: () => diagnosis(true) } });
  expect(JSON.parse(out)).toEqual({
    Checks: [
      { Name: 'data path', Outcome: 'problem', Detail: '1 finding' },
      { Name: 'store', Outcome: 'ok', Detail: 'kept by 3 of 3' },
    ],
    Findings: [
      {
        ...{ Code: 'data-path-lost', Subject: 'host2', Message: 'nothing passes to host2', Mend: 'open the port' },
        ...{ Since: '2026-03-01T11:59:00.000Z', Certain: true },
      },
    ],
  });
});

test('what other members say reaches the terminal as text alone', async () => {
  const finding = { ...diagnosis(true).findings[0]!, subject: 'a\x1b[2J', text: 'b\x07', mend: 'c\x9b1m' };
  const { out } = await run('doctor', { answers: { diagnose: () => Diagnosis.fromPartial({ findings: [finding] }) } });
  expect(out).toContain('(a?[2J), for 1m\n  b?\n  Mend: c?1m\n');
  const answers = { getStatus: () => Status.fromPartial({ problems: ['x\x1b]0;y'] }) };
  expect((await run('status', { answers })).out).toContain('Problem: x?]0;y\n');
});
