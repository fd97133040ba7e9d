/**
 * Podman's calls of the netavark plugin: `create`, `setup NETNS`, `teardown NETNS`, `info`. While one is answered every command
 * of Podman on the host waits, and Podman itself is never asked.
 */
import type { Attachments } from '../../agent/attachments/attachments.ts';
import type { Lifecycle } from '../../agent/lifecycle.ts';
import type { PodmanOffers } from '../../agent/podman/offers.ts';
import { hasWayOut } from '../../agent/publish/publishing.ts';
import { isEndpointName } from '../../core/engine/endpoint-names.ts';
import { isOverlaydError, OverlaydError, removedNode } from '../../core/errors.ts';
import { checkNetworkName } from '../../core/names.ts';
import { boundNetwork, type PodmanNetwork } from '../../core/podman/network-file.ts';
import { formatOwnerKey, PODMAN } from '../../core/podman/owner.ts';
import {
  line,
  networkRefOf,
  networkRequestOf,
  parseCreateCall,
  parseSetupCall,
  renderInfo,
  renderRefusal,
  renderSetupAnswer,
  type SetupCall,
} from '../../core/podman/plugin-calls.ts';
import { publishedBy } from '../../core/podman/published-ports.ts';
import type { ToolCall, ToolDoor } from '../../ports/tools.ts';
import type { Patience } from '../patience.ts';
import { requireSameNetwork } from './same-network.ts';

export interface PodmanDoorDeps {
  readonly lifecycle: Pick<Lifecycle, 'require' | 'current'>;
  readonly attachments: Pick<Attachments, 'attach' | 'detach' | 'report'>;
  readonly offers: Pick<PodmanOffers, 'whileCreating'>;
  readonly patient: Patience;
}

const SHORT_ID = 12;
const VERSION = '1.0.0';

export function createPodmanDoor({ lifecycle, attachments, offers, patient }: PodmanDoorDeps): ToolDoor {
  async function create(asked: PodmanNetwork): Promise<string> {
    const request = networkRequestOf(asked);
    checkNetworkName(request.name);
    const { member } = lifecycle.require();
    if (member.removed) throw removedNode();
    return offers.whileCreating(asked.name, async () => {
      const known = await member.networks.find(request.name).catch((error: unknown) => {
        if (!isOverlaydError(error, 'network-not-found')) throw error;
      });
      if (known?.name === request.name) {
        requireSameNetwork(known, request);
        return line(boundNetwork(asked, known, 'bound'));
      }
      try {
        return line(boundNetwork(asked, await member.networks.create(request), 'created'));
      } catch (error) {
        if (!isOverlaydError(error, 'network-exists')) throw error;
        // Made on another host meanwhile.
        const made = await member.networks.find(request.name);
        requireSameNetwork(made, request);
        return line(boundNetwork(asked, made, 'bound'));
      }
    });
  }

  async function setup(call: SetupCall, path: string): Promise<string> {
    const { member } = lifecycle.require();
    const network = await member.networks.find(networkRefOf(call.network)).catch((error: unknown) => {
      if (!isOverlaydError(error, 'network-not-found')) throw error;
      throw new OverlaydError(
        'network-not-found',
        `the Podman network ${call.network.name} is no network of the cluster any more; \`overlayd network ls\` lists those there are (podman network rm ${call.network.name})`,
      );
    });
    // Every network of the container is told of its ports.
    const published = hasWayOut(network) ? publishedBy(call.ports) : [];
    const { endpoint } = await attachments.attach({
      ...{ network: network.id, container: `netns:${path}`, owner: ownerOf(call) },
      ...namesOf(call),
      ...{ ip: call.ip, ip6: call.ip6, mac: call.mac, ifname: call.ifname, options: call.options, published },
    });
    const report = attachments.report(endpoint);
    if (!report) throw new OverlaydError('network-not-found', `network ${network.name} has just been removed`);
    return renderSetupAnswer(report);
  }

  /** Also of what is gone already, and on a host that is no member: Podman goes on as if it had been answered well. */
  async function teardown(call: SetupCall): Promise<string> {
    if (lifecycle.current) await attachments.detach(ownerOf(call));
    return '';
  }

  const patientCreate = patient(create);
  const patientTeardown = patient(teardown);
  const patientSetup = patient(({ call, path }: { readonly call: SetupCall; readonly path: string }) =>
    setup(call, path),
  );

  return {
    async handle({ verb, args, input }: ToolCall, signal: AbortSignal): Promise<string> {
      if (verb === 'info') return renderInfo(VERSION);
      if (verb === 'create') {
        const asked = parseCreateCall(input);
        return patientCreate(asked, signal);
      }
      if (verb === 'setup' || verb === 'teardown') {
        const call = parseSetupCall(input);
        if (verb === 'teardown') return patientTeardown(call, signal);
        const [path] = args;
        if (path === undefined) throw new OverlaydError('invalid-argument', 'setup without the path of a namespace');
        return patientSetup({ call, path }, signal);
      }
      throw new OverlaydError('invalid-argument', `there is no "${verb}": create, setup, teardown and info there are`);
    },
    refuse: renderRefusal,
  };
}

function ownerOf({ containerId, network }: SetupCall) {
  return {
    tool: PODMAN,
    key: formatOwnerKey({ containerId, networkId: network.id }),
    container: containerId,
    names: 'told',
  } as const;
}

/** Podman takes names that are none in the DNS: a container that has one goes by its short id, as with Docker. */
function namesOf({ containerId, containerName, aliases }: SetupCall) {
  const shortId = containerId.slice(0, SHORT_ID);
  const name = isEndpointName(containerName) ? containerName : shortId;
  return { name, aliases: aliases.filter((alias) => isEndpointName(alias) && alias !== name) };
}
