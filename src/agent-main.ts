/** The daemon `overlayd agent`: flags, environment and file to a running agent, signals to its end. */
import { loadConfig } from './adapters/config-file.ts';
import { createExec } from './adapters/exec.ts';
import { createLogger } from './adapters/log.ts';
import { exitNow } from './adapters/native/exit.ts';
import { createNotifier, takeNotifySettings } from './adapters/notify.ts';
import { Output } from './adapters/output.ts';
import { takeActivatedSockets } from './adapters/socket-activation.ts';
import { requireCapabilities, requireOpenFiles } from './adapters/system/capabilities.ts';
import { nameProcess } from './adapters/system/process-name.ts';
import { isHostStopping, isLastStop } from './adapters/system/shutdown.ts';
import { systemClock } from './adapters/system/time.ts';
import { startAgent } from './compose.ts';
import { clearWithoutAgent } from './compose-clear.ts';
import { parseAgentFlags } from './core/config/flags.ts';
import { renderAgentHelp } from './core/config/reference.ts';
import { asOverlaydError } from './core/errors.ts';
import { VERSION } from './version.ts';

/** Bundled, the programs lie beside this one; from source, where their code is. */
const fromSource = import.meta.filename.endsWith('.ts');
const beside = (name: string, source: string) => `${import.meta.dirname}/${fromSource ? source : `${name}.cjs`}`;

const PROGRAMS = {
  kernelWorker: beside('kernel-worker', 'adapters/kernel/kernel-worker.ts'),
  names: beside('names', 'names-main.ts'),
};
/** A stop that takes longer is cut short: nothing that it would still do is needed for traffic or for the next start. */
const STOP_LIMIT_MS = 8_000;

/** A full disk, or whoever read the log and ended, takes the log away and not the agent. */
const out = new Output(() => process.stdout);
const errors = new Output(() => process.stderr);

/** First, in place of running: `overlayd uninstall` has the host cleared by it. */
const CLEARING = ['--clear-host', '--clear-host=forget'];

async function main([first, ...others]: readonly string[]): Promise<void> {
  const clearing = first !== undefined && CLEARING.includes(first);
  const flags = parseAgentFlags(clearing || first === undefined ? others : [first, ...others]);
  if (flags.help) {
    out.write(renderAgentHelp());
    return;
  }
  nameProcess('overlayd');
  const sockets = takeActivatedSockets(process.env, process.pid);
  const config = await loadConfig(flags, process.env);
  // Where it was started may go, and no thread begins in a directory that is not there.
  process.chdir('/');
  await requireCapabilities();
  await requireOpenFiles();
  const logger = createLogger(
    {
      level: config.logLevel,
      format: config.logFormat,
      journal: process.env.JOURNAL_STREAM !== undefined,
    },
    out,
  );
  const clock = systemClock;
  const settings = takeNotifySettings(process.env, process.pid);
  const exec = createExec();
  if (clearing) {
    // What it waits for keeps no process running by itself: it would end in the midst, as if all were done.
    setInterval(() => undefined, STOP_LIMIT_MS);
    await clearWithoutAgent(config, PROGRAMS, { exec, logger, forget: first === CLEARING[1] });
    await out.drain();
    process.exit(0);
  }
  const notifier = createNotifier({ clock, logger }, settings);
  const quit = new AbortController();
  // Not `once`: what starts child processes takes a signal that nobody listens to any more for the end of this one.
  const asked = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
  });

  const agent = await startAgent(config, PROGRAMS, sockets, { exec, logger });
  const { dataDir, runDir } = config;
  // Of a stop that did not come about.
  await isLastStop(runDir);
  const began = { event: 'agent-started', version: VERSION, dataDir, runDir, state: agent.describe() } as const;
  agent.logger.info(began, 'agent started');
  void notifier.ready(agent.describe());
  void notifier.followStatus(() => agent.describe(), quit.signal);
  void notifier.feedWatchdog(() => agent.isHealthy(), quit.signal);

  const signal = await asked;
  agent.logger.info({ event: 'agent-stopped', signal }, 'agent stops, networks stay');
  void notifier.stopping();
  quit.abort();
  setTimeout(() => exitNow(Number(process.exitCode ?? 0)), STOP_LIMIT_MS).unref();
  const isEnd = (await isLastStop(runDir)) || (await isHostStopping(exec.run));
  await agent.stop({ isBackSoon: !isEnd });
  await out.drain();
  process.exit(process.exitCode ?? 0);
}

main(process.argv.slice(2)).catch(async (error: unknown) => {
  errors.write(`overlayd: ${asOverlaydError(error).message}\n`);
  await errors.drain();
  process.exit(1);
});
