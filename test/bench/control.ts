import { type ControlClient, createControlClient } from '../../src/adapters/grpc/control.ts';
import type { Connected } from '../../src/gen/overlayd/v1/control.ts';
import { SOCKET } from '../lab/agent.ts';
import type { Host } from '../lab/host.ts';

/** The command's own client of the agent, without the command: what it takes to start a process is left out. */
export function openControl(host: Host): ControlClient {
  return createControlClient(host.path(SOCKET));
}

export function connect(
  control: ControlClient,
  network: string,
  container: string,
  { name = '', ip = '' }: { readonly name?: string; readonly ip?: string } = {},
): Promise<Connected> {
  return control.connect({
    network,
    container: `netns:${container}`,
    name,
    aliases: [],
    ip,
    ip6: '',
    mac: '',
    ifname: '',
    gwPriority: 0,
    driverOpts: {},
    ports: [],
    labels: {},
  });
}

export async function disconnect(control: ControlClient, network: string, container: string): Promise<void> {
  await control.disconnect({ network, container: `netns:${container}`, force: false });
}

/** The address at which the network's names are answered. */
export async function gatewayOf(host: Host, network: string): Promise<string> {
  const control = openControl(host);
  try {
    return (await control.getNetwork({ ref: network })).subnets[0]!.gateway;
  } finally {
    control.close();
  }
}
