/** `status`: how this host and its cluster are, at a glance. */
import type { Command } from 'commander';
import type { PeerStatus, Status } from '../../gen/overlayd/v1/control.ts';
import { findingJson } from '../finding.ts';
import { type AnswerFormat, addAnswerOption, printAnswer, timestamp } from '../output.ts';
import { pathColumns, pathJson } from '../path.ts';
import { noteRelease } from '../release.ts';
import type { Session } from '../session.ts';
import { colour, printable, renderFacts, renderTable, shortId, type Tone } from '../table.ts';
import { age, bytesText, handshakeText, tunnelJson, wayText } from '../tunnel.ts';
import { nodeJson } from './node.ts';

const TONES: Readonly<Record<string, Tone>> = {
  ready: 'good',
  waiting: 'warning',
  starting: 'warning',
  degraded: 'bad',
};

const NAMES: Readonly<Record<string, string>> = {
  yes: 'names are set up',
  no: 'names are not set up (overlayd-docker-setup)',
  unknown: 'names: unknown until a container starts',
};

export function addStatusCommand(program: Command, session: Session): void {
  addAnswerOption(program.command('status').description('Show how this host and its cluster are'))
    .addHelpText('after', "\nExamples:\n  overlayd status\n  overlayd status --format '{{.State}}'")
    .action(async ({ format }: { format: AnswerFormat }) => {
      const status = await session.ask('waiting for the agent', (client) => client.getStatus({}));
      if (format !== 'text') printAnswer(session, format, statusJson(status));
      else printStatus(session, status);
      noteRelease(session, status.version);
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
    if (status.store.keepers.length > 0) facts.push(['Kept by', keepersText(status.store)]);
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
  if (status.encryption !== '' || status.peers.some(({ tunnel }) => tunnel)) {
    facts.push(['WireGuard', wireguardText(status, now())]);
    if (status.wireguard?.keyExchange) facts.push(['Key exchange', status.wireguard.keyExchange]);
  }
  if (status.docker) {
    const { state, version, networks, endpoints, names } = status.docker;
    const engine = `${version || 'not reached yet'}${state === 'connected' ? '' : ' (does not answer)'}`;
    facts.push(['Docker', `${engine}, ${networks} networks, ${endpoints} endpoints, ${NAMES[names] ?? names}`]);
  }
  session.print(`State: ${colour(status.state, TONES[status.state] ?? 'warning', colours)}`);
  session.print(renderFacts(facts));
  for (const problem of status.problems) session.print(colour(printable(`Problem: ${problem}`), 'bad', colours));
  if (status.peers.length === 0) return;
  session.print('');
  session.print(
    renderTable<PeerStatus>(
      [
        { heading: 'PEER', cell: (row) => row.name },
        { heading: 'ADDRESS', cell: (row) => row.address },
        { heading: 'STATE', cell: (row) => row.state },
        { heading: 'HEARD', cell: (row) => (row.heardMsAgo < 0 ? 'not yet' : `${age(row.heardMsAgo)} ago`) },
        ...(status.peers.some(({ path }) => path) ? pathColumns<PeerStatus>(now(), ({ path }) => path) : []),
      ],
      status.peers,
    ),
  );
  printTunnels(session, status);
}

/** What encrypted networks go by; plain ones go to the peers' addresses. */
function printTunnels(session: Session, { peers }: Status): void {
  const tunnels = peers.flatMap(({ tunnel, encryptedPath }) => (tunnel ? [{ ...tunnel, path: encryptedPath }] : []));
  if (tunnels.length === 0) return;
  const now = session.surroundings.now();
  session.print('');
  session.print(
    renderTable<(typeof tunnels)[number]>(
      [
        { heading: 'TUNNEL TO', cell: (row) => row.nodeName },
        { heading: 'ENDPOINT', cell: wayText },
        { heading: 'HANDSHAKE', cell: (row) => handshakeText(row, now) },
        { heading: 'SENT', cell: (row) => bytesText(row.sentBytes) },
        { heading: 'RECEIVED', cell: (row) => bytesText(row.receivedBytes) },
        { heading: 'MTU', cell: (row) => String(row.mtu) },
        ...(tunnels.some(({ path }) => path)
          ? pathColumns<(typeof tunnels)[number]>(now, (row) => row.path, 'MTU INSIDE')
          : []),
      ],
      tunnels,
    ),
  );
}

const ENCRYPTION: Readonly<Record<string, string>> = {
  default: '; networks are encrypted that do not say otherwise',
  required: '; all networks are encrypted',
};

function wireguardText({ encryption, peers, self, wireguard }: Status, now: number): string {
  const { endings = 0, lastEndedMs = 0 } = wireguard ?? {};
  const times = endings === 1 ? 'once' : `${endings} times`;
  const ended = endings === 0 ? '' : `; gone ${times}, last ${age(now - lastEndedMs)} ago, and made anew`;
  const [device] = peers.flatMap(({ tunnel }) => tunnel?.device ?? []);
  const by = `${self?.wireguardBackend || 'none on this host'}${device === undefined ? '' : ` (${device})`}`;
  return `${by}${ENCRYPTION[encryption] ?? ''}${ended}`;
}

function keepersText({ copies, keepers, wanted }: NonNullable<Status['store']>): string {
  const copy = copies.length === 0 ? '' : `; a copy without a vote on ${copies.join(', ')}`;
  const few = keepers.length < wanted ? ` (${keepers.length} of ${wanted}; see \`overlayd store status\`)` : '';
  return `${keepers.join(', ')}${few}${copy}`;
}

function levelText({ level, levelHeldBackBy }: Status): string {
  if (levelHeldBackBy.length === 0) return String(level);
  return `${level}; ${level + 1} as soon as overlayd is upgraded on ${levelHeldBackBy.join(', ')}`;
}

function limit({ mtuLimitedBy }: Status): string {
  return mtuLimitedBy === '' ? '' : `, limited by ${mtuLimitedBy}`;
}

function statusJson(status: Status) {
  return {
    Version: status.version,
    State: status.state,
    Problems: status.problems,
    Findings: status.findings.map(findingJson),
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
          Keepers: status.store.keepers,
          Copies: status.store.copies,
          Wanted: status.store.wanted,
        }
      : null,
    Peers: status.peers.map((peer) => ({
      NodeID: peer.nodeId,
      Name: peer.name,
      Address: peer.address,
      State: peer.state,
      HeardMsAgo: peer.heardMsAgo,
      Path: peer.path ? pathJson(peer.path) : null,
      EncryptedPath: peer.encryptedPath ? pathJson(peer.encryptedPath) : null,
      Tunnel: peer.tunnel ? tunnelJson(peer.tunnel) : null,
    })),
    Networks: status.networks,
    Mtu: status.mtu,
    MtuLimitedBy: status.mtuLimitedBy,
    Encryption: status.encryption,
    Wireguard: status.wireguard
      ? {
          KeyExchange: status.wireguard.keyExchange,
          Endings: status.wireguard.endings,
          LastEnded: status.wireguard.lastEndedMs === 0 ? '' : timestamp(status.wireguard.lastEndedMs),
        }
      : null,
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
