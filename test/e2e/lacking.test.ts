/** What a host lacks is said before the first network fails for it. */
import { expect, test } from 'vitest';
import { untilFound } from '../lab/finding.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 1 });

test('a host without a library says so, and with what to do, until it is there', async () => {
  const host = lab().host(1);
  const listed = await host.must(['sh', '-c', 'ldconfig -p | grep -F libnftables.so.1']);
  const path = listed.split('=> ')[1]!.trim();
  // An empty file is as good as none.
  await host.must(['sh', '-c', `: > /run/empty && mount --bind /run/empty ${path}`]);
  await host.agent.start();
  const problems = async (): Promise<readonly string[]> => (await host.json('status')).Problems;
  await until('the lack to be told', async () => (await problems()).some((each) => each.includes('lacks')));
  expect(await problems()).toEqual([
    expect.stringMatching(/^this host lacks the library libnftables\.so\.1, .*apt-get install libnftables1/),
  ]);
  await untilFound(host, 'host-lacks', /apt-get install libnftables1/);
  expect(await host.mustOverlayd('status')).toContain('libnftables1');
  await host.must(['umount', path]);
  await until('nothing to be lacking', async () => (await problems()).length === 0);
});
