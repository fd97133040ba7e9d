/** `status`: how this host and its cluster are, at a glance. */
import type { Command } from 'commander';
import { formatDuration } from '../../core/config/duration.ts';
import type { PeerStatus, Status } from '../../gen/overlayd/v1/control.ts';
import { addJsonOption, printJson, timestamp } from '../output.ts';
import type { Session } from '../session.ts';
import { colour, renderFacts, renderTable, shortId, type Tone } from '../table.ts';
import { nodeJson } from './node.ts';

const TONES: Readonly<Record<string, Tone>> = {
  ready: 'good',
  waiting: 'warning',
  starting: 'warning',
  degraded: 'bad',
};

const NAMES: Readonly<Record<string, string>> = {
  yes: 'names are set up',
  no: 'names are not set up (deploy/docker-setup.sh)',
  unknown: 'names: unknown until a container starts',
};

export function addStatusCommand(program: Command, session: Session): void {
  addJsonOption(program.command('status').description('Show how this host and its cluster are'))
    .addHelpText('after', '\nExamples:\n  overlayd status\n  overlayd status --format json | jq -r .State')
    .action(async ({ format }: { format: string }) => {
      const status = await session.ask('waiting for the agent', (client) => client.getStatus({}));
      if (format === 'json') printJson(session, statusJson(status));
      else printStatus(session, status);
    });
}

function printStatus(session: Session, status: Status): void {
  const { environment, terminal, now } = session.surroundings;
  const colours = terminal.output && !environment.NO_COLOR;
  const facts: [string, string][] = [['Agent', `${status.version}, up ${age(now() - status.startedAtMs)}`]];
  if (status.clusterId === '') facts.push(['Cluster', 'none; run `overlayd init` or `overlayd join`']);
  else facts.push(['Cluster', status.clusterId]);
  if (status.level > 0) facts.push(['Level', levelText(status)]);
  if (status.self)
    facts.push(['This node', `${status.self.name} (${shortId(status.self.id)}), ${status.self.advertiseAddress}`]);
  if (status.store && status.clusterId !== '') {
    const { reachable, endpoints, bundled, revision } = status.store;
    const where = `${endpoints.join(', ')}${bundled ? ' (run by this node)' : ''}`;
    facts.push(['etcd', `${reachable ? `reachable, revision ${revision}` : 'not reachable'}, ${where}`]);
  }
  facts.push(
    ['Networks', `${status.networks}${status.mtu === 0 ? '' : `, MTU ${status.mtu}${limit(status)}`}`],
    ['Endpoints', `${status.localEndpoints} here, ${status.endpoints} in all`],
    ['Memory', `${Math.round(status.rssBytes / 2 ** 20)} MiB`],
    ['Data', status.dataDir],
  );
  if (status.reconcile) {
    const { passes, writes, repairs, lastError } = status.reconcile;
    facts.push([
      'Kernel',
      `${passes} passes, ${writes} writes, ${repairs} repairs${lastError ? `; last error: ${lastError}` : ''}`,
    ]);
  }
  if (status.docker) {
    const { state, version, networks, endpoints, names } = status.docker;
    const engine = `${version || 'not reached yet'}${state === 'connected' ? '' : ' (does not answer)'}`;
    facts.push(['Docker', `${engine}, ${networks} networks, ${endpoints} endpoints, ${NAMES[names] ?? names}`]);
  }
  session.print(`State: ${colour(status.state, TONES[status.state] ?? 'warning', colours)}`);
  session.print(renderFacts(facts));
  for (const problem of status.problems) session.print(colour(`Problem: ${problem}`, 'bad', colours));
  if (status.peers.length === 0) return;
  session.print('');
  session.print(
    renderTable<PeerStatus>(
      [
        { heading: 'PEER', cell: (row) => row.name },
        { heading: 'ADDRESS', cell: (row) => row.address },
        { heading: 'STATE', cell: (row) => row.state },
        { heading: 'HEARD', cell: (row) => (row.heardMsAgo < 0 ? 'never' : `${age(row.heardMsAgo)} ago`) },
      ],
      status.peers,
    ),
  );
}

function levelText({ level, levelHeldBackBy }: Status): string {
  if (levelHeldBackBy.length === 0) return String(level);
  return `${level}; ${level + 1} as soon as overlayd is upgraded on ${levelHeldBackBy.join(', ')}`;
}

function limit({ mtuLimitedBy }: Status): string {
  return mtuLimitedBy === '' ? '' : `, limited by ${mtuLimitedBy}`;
}

/** Two units at most: `3d4h`, `12s`. */
function age(ms: number): string {
  const unit = ms >= 86_400_000 ? 3_600_000 : ms >= 3_600_000 ? 60_000 : ms >= 1_000 ? 1_000 : 1;
  return formatDuration(Math.max(0, Math.floor(ms / unit) * unit));
}

function statusJson(status: Status) {
  return {
    Version: status.version,
    State: status.state,
    Problems: status.problems,
    ClusterID: status.clusterId,
    Level: status.level,
    LevelHeldBackBy: status.levelHeldBackBy,
    Self: status.self ? nodeJson(status.self) : null,
    Store: status.store
      ? {
          Reachable: status.store.reachable,
          Endpoints: status.store.endpoints,
          Bundled: status.store.bundled,
          Revision: status.store.revision,
        }
      : null,
    Peers: status.peers.map((peer) => ({
      NodeID: peer.nodeId,
      Name: peer.name,
      Address: peer.address,
      State: peer.state,
      HeardMsAgo: peer.heardMsAgo,
    })),
    Networks: status.networks,
    Mtu: status.mtu,
    MtuLimitedBy: status.mtuLimitedBy,
    LocalEndpoints: status.localEndpoints,
    Endpoints: status.endpoints,
    Reconcile: status.reconcile
      ? {
          Passes: status.reconcile.passes,
          Writes: status.reconcile.writes,
          Repairs: status.reconcile.repairs,
          LastError: status.reconcile.lastError,
          LastPassMs: status.reconcile.lastPassMs,
        }
      : null,
    Docker: status.docker
      ? {
          State: status.docker.state,
          Version: status.docker.version,
          Networks: status.docker.networks,
          Endpoints: status.docker.endpoints,
          Names: status.docker.names,
        }
      : null,
    StartedAt: timestamp(status.startedAtMs),
    RssBytes: status.rssBytes,
    DataDir: status.dataDir,
  };
}
