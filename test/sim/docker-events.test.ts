/** What becomes of an engine's containers is told by name, whatever the endpoint was called before its container was known. */
import { expect, it } from 'vitest';
import { type LogLine, recordingLogger } from '../unit/agent/cluster/cluster-fixture.ts';
import { useEngines } from './engine-story.ts';

const lines: LogLine[] = [];
const { hosts, until, pass, create, run } = useEngines(recordingLogger(lines));

const told = () =>
  lines.flatMap(({ fields: { event, endpoint, network } }) =>
    /^endpoint-/.test(String(event)) ? [`${event} ${endpoint} ${network}`] : [],
  );

it('is attached once, renamed, and detached', async () => {
  const [one] = hosts();
  await create('web');
  await run(one, 'api', { web: {} });
  await pass(2_000);
  expect(told()).toEqual(['endpoint-attached api web']);
  await until(one.engine.renameContainer('api', 'shop'));
  await pass(2_000);
  await until(one.engine.stopContainer('shop'));
  await pass(2_000);
  expect(told().slice(1)).toEqual(['endpoint-renamed shop web', 'endpoint-detached shop web']);
});
