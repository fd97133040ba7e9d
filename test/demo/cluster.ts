import { joinArguments, untilReady } from '../lab/cluster.ts';
import type { Stage } from './story.ts';

export async function makeCluster({ lab, narrator, prompt }: Stage): Promise<void> {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  narrator.chapter('A cluster: one line on the first host, one on each further one');
  const output = await prompt.overlayd(one, 'init', '--advertise-addr', one.address);
  const line = joinArguments(output);
  await prompt.overlayd(two, ...line);
  await prompt.overlayd(three, ...line);
  await narrator.check('all three see each other', () => untilReady(lab.hosts));
  await prompt.overlayd(two, 'node', 'ls');
}
