/**
 * Takes everything of overlayd out of this host but its identity and its store: for a host that leaves, and for one whose
 * programs are removed, where no agent runs (`clearWithoutAgent`).
 */
import { join } from 'node:path';
import { NamesKeeper } from './adapters/dns/process/keeper.ts';
import { createEngine } from './adapters/docker/engine.ts';
import { removeForwarding } from './adapters/docker/forwarding.ts';
import { servePlugin } from './adapters/docker/plugin-server.ts';
import { createBundledEtcd } from './adapters/etcd/server.ts';
import type { Exec } from './adapters/exec.ts';
import { refuseSecond } from './adapters/grpc/control-server.ts';
import { createKernel } from './adapters/kernel/kernel.ts';
import { KernelThread } from './adapters/kernel/kernel-thread.ts';
import { wireguardJobs } from './adapters/kernel/wireguard-jobs.ts';
import { removeOwnDirectory } from './adapters/own-directory.ts';
import { beSoleAgent } from './adapters/sole-agent.ts';
import { systemClock as clock, systemRandom } from './adapters/system/time.ts';
import { createWireguard } from './adapters/wireguard/wireguard.ts';
import { notJoined } from './agent/cluster/identity.ts';
import { KeptState } from './agent/endpoints/kept-state.ts';
import { withdrawAll } from './agent/engine/withdraw-all.ts';
import type { EventLog } from './agent/events/event-log.ts';
import { clearProbePlaces } from './agent/path/probe-place.ts';
import { clearHost } from './agent/reconcile/clear-host.ts';
import { clearTunnels } from './agent/wireguard/clear-tunnels.ts';
import { composeContainers } from './compose-containers.ts';
import { agentFiles, eventFile } from './compose-files.ts';
import { withdrawalFromPodman } from './compose-podman.ts';
import type { Config } from './core/config/option.ts';
import { createDrivers } from './integrations/docker/drivers.ts';
import type { Engine } from './ports/engine.ts';
import type { Containers } from './ports/host.ts';
import type { Kernel } from './ports/kernel.ts';
import type { Logger } from './ports/runtime.ts';
import type { Wireguard } from './ports/wireguard.ts';

export interface ClearingParts {
  readonly exec: Exec;
  readonly logger: Logger;
  readonly kernel: Kernel;
  readonly containers: Pick<Containers, 'configureResolver' | 'withResolver'>;
  readonly wireguard: Wireguard;
  readonly names: Pick<NamesKeeper, 'end'>;
  readonly stateFile: Pick<KeptState, 'load' | 'remove'>;
  readonly files: Pick<ReturnType<typeof agentFiles>, 'engine' | 'keys'>;
  /** Undefined where networks are not offered to a container engine. */
  readonly engine: () => Engine | undefined;
  readonly withdrawFromPodman: () => Promise<void>;
  /** What happened here is nobody's but the cluster's that is left. */
  readonly events: Pick<EventLog, 'clear'>;
}

/** Each step may be repeated. Throws the cause of the first that fails. */
export async function clearThisHost(parts: ClearingParts): Promise<void> {
  const { exec, kernel, containers, wireguard, stateFile, files, logger } = parts;
  const engine = parts.engine();
  if (engine) {
    await withdrawAll(engine, logger).catch(() => undefined);
    await removeForwarding(exec.run);
    await removeForwarding(exec.run, 6);
    await files.engine.remove();
  }
  await parts.withdrawFromPodman();
  await parts.names.end();
  await clearHost(kernel);
  await clearProbePlaces(kernel);
  await clearTunnels(wireguard);
  const saved = await stateFile.load().catch(() => undefined);
  const connected = saved?.endpoints.map(({ container }) => container) ?? [];
  // Of a container that was connected right before a power loss nothing but its file tells.
  for (const each of [...connected, ...(await containers.withResolver())]) await containers.configureResolver(each, []);
  await stateFile.remove();
  await files.keys.remove();
  await parts.events.clear();
}

/**
 * The same without an agent, and the end of this host's etcd. `forget`: identity and store are deleted as well. Throws `conflict`
 * where an agent runs.
 */
export async function clearWithoutAgent(
  config: Config,
  programs: { readonly kernelWorker: string; readonly names: string },
  { exec, logger, forget }: { readonly exec: Exec; readonly logger: Logger; readonly forget: boolean },
): Promise<void> {
  const { dataDir, runDir } = config;
  const quit = new AbortController();
  const giveBack = await beSoleAgent(config, { refuse: () => refuseSecond(join(runDir, 'overlayd.sock')), clock });
  const thread = new KernelThread({ workerPath: programs.kernelWorker });
  const { containers } = composeContainers(config, { exec, clock });
  const files = agentFiles(config);
  const stateFile = new KeptState({ ...files.state, clock });
  const docker = config.docker === 'on' ? await answerDocker(config, logger, quit.signal) : undefined;
  let cleared = false;
  try {
    await clearThisHost({
      ...{ exec, logger, containers, files, stateFile },
      kernel: createKernel({
        ...{ thread, isAlive: (container) => containers.isAlive(container), onFirewallChange: () => undefined },
      }),
      wireguard: createWireguard({ run: exec.run, clock, logger, kernel: wireguardJobs(thread) }, config),
      names: new NamesKeeper(
        { run: exec.run, clock, logger },
        { socketPath: join(runDir, 'names.sock'), programPath: programs.names, nodePath: process.execPath },
      ),
      engine: () =>
        config.docker === 'on' ? createEngine({ clock }, { socketPath: config.dockerSocket }, quit.signal) : undefined,
      withdrawFromPodman: withdrawalFromPodman(config, logger),
      events: { clear: () => eventFile(config).remove() },
    });
    cleared = true;
  } finally {
    // Whatever stood in the way: nobody is left who would look after it.
    await createBundledEtcd({ run: exec.run, logger, clock }, { dataDir }).stop();
    if (cleared && forget) for (const directory of [dataDir, runDir]) await removeOwnDirectory(directory);
    quit.abort();
    await docker?.ended;
    await stateFile.end();
    await thread.close();
    giveBack();
  }
}

/** It asks before it lets go of anything. */
async function answerDocker(config: Config, logger: Logger, signal: AbortSignal) {
  const lifecycle = {
    require: () => {
      throw notJoined();
    },
    ...{ current: undefined, situation: { busy: undefined, problem: undefined }, leaving: true },
  };
  const handlers = createDrivers({ lifecycle, clock, random: systemRandom, ready: Promise.resolve() });
  const socket = { path: config.dockerPluginSocket };
  return servePlugin({ handlers, clock, logger }, { socket }, signal).catch((error: unknown) => {
    logger.warn({ error }, 'Docker cannot be answered, and may keep networks of overlayd');
  });
}
