import { CniRuntime, type PluginList } from '../../lab/cni.ts';
import { IDLE_MS, openOccupied } from '../attaching.ts';
import { settle, timed } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample } from '../row.ts';
import { median } from '../statistics.ts';

const NETWORK = { name: 'cni', subnet: '10.121.0.0/20' };
const CONFIGURATION = `/etc/cni/net.d/87-overlayd-${NETWORK.name}.conflist`;
const CONTAINER = 'attaching';

/** ADD of the program that `overlayd cni install` puts there, beside what the agent alone takes for the same. */
const add: Experiment = {
  name: 'cni',
  title: 'A container of CNI',
  method: `What a runtime waits for: \`ADD\` by the program that \`overlayd cni install\` puts there, from its start to its end, \
and \`DEL\`. In turn with it the same attach by a call of the agent's control service, and \`true\` started the same way, which is what any \
program takes to be started in the lab. "Over the attach" is ADD without these two. 20 of each, one after the other, with pauses of \
${IDLE_MS} ms; medians. One container is on the network.`,
  sides: [OVERLAYD],
  rows: [
    lower('cni-add', '`ADD` of the CNI plugin', 'ms'),
    lower('cni-add-over-attach', 'of it over the attach in the agent', 'ms', goal(15)),
    lower('cni-del', '`DEL` of the CNI plugin', 'ms'),
  ],
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const [one] = (await context.sharedLab()).hosts;
    const control = openControl(one);
    const close = await openOccupied(one, control, NETWORK.name, '--subnet', NETWORK.subnet);
    await one.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
    await one.mustOverlayd('cni', 'install', '--network', NETWORK.name);
    await one.container(CONTAINER);
    const runtime = new CniRuntime(one);
    const list: PluginList = await runtime.installed(CONFIGURATION);
    const attachment = { containerId: CONTAINER, netns: `/run/netns/${CONTAINER}` };
    const rounds = context.quick ? 5 : 20;
    return {
      async measure(): Promise<Sample> {
        const taken = { add: [] as number[], del: [] as number[], attach: [] as number[], start: [] as number[] };
        for (let round = 0; round < rounds; round++) {
          taken.add.push(await timed(() => runtime.add(list, attachment)));
          await settle(IDLE_MS);
          taken.del.push(await timed(() => runtime.del(list, attachment)));
          await settle(IDLE_MS);
          taken.attach.push(await timed(() => connect(control, NETWORK.name, CONTAINER)));
          await settle(IDLE_MS);
          await disconnect(control, NETWORK.name, CONTAINER);
          await settle(IDLE_MS);
          taken.start.push(await timed(() => one.must(['sh', '-c', 'exec true'])));
        }
        const [added, attached, started] = [median(taken.add), median(taken.attach), median(taken.start)];
        return {
          'cni-add': added,
          'cni-add-over-attach': added - attached - started,
          'cni-del': median(taken.del),
        };
      },
      async close() {
        await one.mustOverlayd('cni', 'uninstall');
        await one.must(['umount', '/opt']);
        await one.deleteContainer(CONTAINER);
        await close();
        control.close();
      },
    };
  },
};

export const cni: readonly Experiment[] = [add];
