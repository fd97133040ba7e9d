/** What these pages of docs/ show is what happens: every example, run in its order as it stands there. */
import { test } from 'vitest';
import { examplesOf, runExample } from '../lab/examples.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });

test.each(examplesOf('networks', 'dns', 'services', 'publishing'))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => lab().host(host).run(['bash', '-c', command]));
});
