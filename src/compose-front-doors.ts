/** Where container tools come in: Docker's plugin socket, and the one of the programs that the others run. */
import { join } from 'node:path';
import { servePlugin } from './adapters/docker/plugin-server.ts';
import { serveTools } from './adapters/plugin-server.ts';
import type { Attachments } from './agent/attachments/attachments.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import type { PodmanSide } from './agent/podman/podman-side.ts';
import type { Config } from './core/config/option.ts';
import type { Telemetry } from './core/telemetry.ts';
import { createCniDoor } from './integrations/cni/door.ts';
import { createDrivers } from './integrations/docker/drivers.ts';
import { createPatience } from './integrations/patience.ts';
import { createPodmanDoor } from './integrations/podman/door.ts';
import type { Containers, HostFacts } from './ports/host.ts';
import type { Kernel } from './ports/kernel.ts';
import type { Clock, Logger, Random } from './ports/runtime.ts';

export interface FrontDoorDeps {
  readonly config: Config;
  /** File descriptors by name, of sockets that the service manager holds. */
  readonly sockets: ReadonlyMap<string, number>;
  readonly lifecycle: Lifecycle;
  readonly attachments: Attachments;
  readonly podman: PodmanSide;
  readonly containers: Containers;
  readonly facts: Pick<HostFacts, 'bindProblem'>;
  readonly kernel: Pick<Kernel, 'inside'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  /** Resolves when the agent is the member that it was, or knows that it is none. */
  readonly ready: Promise<void>;
}

/** Resolves when they are open; they end by the signal, some time before `ended` resolves. */
export async function openFrontDoors(
  deps: FrontDoorDeps,
  signal: AbortSignal,
): Promise<{ readonly ended: Promise<unknown> }> {
  const { config, sockets, lifecycle, attachments, podman, containers, facts, kernel, clock, random, logger } = deps;
  const { ready, telemetry } = deps;
  const patient = createPatience({ lifecycle, clock, ready });
  const inside = (path: string) => kernel.inside(path);
  const doors = {
    cni: createCniDoor({ lifecycle, attachments, containers, facts, inside, patient }),
    podman: createPodmanDoor({ lifecycle, attachments, offers: podman.offers, patient }),
  };
  const servers = [
    serveTools({ doors, clock, logger, telemetry }, { path: join(config.runDir, 'plugins.sock') }, signal),
  ];
  if (config.docker === 'on') {
    const fd = sockets.get('docker');
    const socket = fd === undefined ? { path: config.dockerPluginSocket } : { fd };
    const handlers = createDrivers({ lifecycle, clock, random, ready });
    servers.push(servePlugin({ handlers, clock, logger, telemetry }, { socket }, signal));
  }
  const open = await Promise.all(servers);
  return { ended: Promise.all(open.map(({ ended }) => ended)) };
}
