/** The fault behind each alert, as it is made in the lab. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createPki } from '../../../src/adapters/pki/pki.ts';
import type { Identity } from '../../../src/agent/cluster/identity.ts';
import { MEMBER_ROLE, nodeRole } from '../../../src/core/store-rights.ts';
import { Etcdctl, etcdPid } from '../../lab/etcd.ts';
import { type Host, ROOT } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import type { Lab } from '../../lab/lab.ts';
import { attach } from '../../lab/network.ts';
import type { Wanted } from '../../lab/prometheus.ts';
import { until } from '../../lab/until.ts';
import { type AlertsLab, GATEWAY, hide } from './alerts-lab.ts';

/** What was made is mended by it. */
type Mend = () => Promise<unknown>;

export interface Fault {
  /** By alert: labels that tell whose it is. */
  readonly fires: Wanted;
  /** False: they tell of the last minutes, and go on when it is mended. */
  readonly ends?: false;
  make(): Promise<Mend>;
  /** What has to happen, again and again, for it to be noticed, and that it has ended. */
  readonly use?: () => Promise<unknown>;
}

/** By what was done; those of a round are there at the same time. */
export type Round = Readonly<Record<string, Fault>>;

const DAY_MS = 86_400_000;
const FLOOD = join(ROOT, 'test/bench/programs/flood-names.ts');
/** Longer than both alerts of what is slow allow. */
const SLOW_MS = 1_500;
const nothing: Mend = async () => undefined;

export function roundsOf(lab: Lab, { clock, place }: AlertsLab): Readonly<Record<string, Round>> {
  const [one, two, three] = lab.hosts as [Host, Host, Host];
  const doctor = (host: Host) => () => host.overlayd('doctor');
  let made = 0;
  /** In that host's own firewall. */
  const drop = async (host: Host, hook: string, ...rules: readonly string[]): Promise<Mend> => {
    const table = `fault${++made}`;
    const lines = rules.map((rule) => `${rule} drop\n`).join('');
    const chain = `chain own { type filter hook ${hook} priority 10; policy accept; ${lines}}`;
    await host.must(['nft', '-f', '-'], { input: `table inet ${table} { ${chain}\n}\n` });
    return () => host.must(['nft', 'delete', 'table', 'inet', table]);
  };
  const inPlace = (host: Host, ...argv: readonly string[]) => host.must(['ip', 'netns', 'exec', place, ...argv]);

  const ways: Round = {
    'packets of the data path from one host are dropped': {
      fires: { OverlaydDataPathLost: { instance: 'h1', encrypted: 'false' } },
      make: () => drop(two, 'input', `ip saddr ${one.address} udp dport 4789`),
      use: doctor(one),
    },
    'some packets of the data path are dropped': {
      fires: { OverlaydDataPathLoss: { instance: 'h1', encrypted: 'false' } },
      make: () => drop(three, 'input', `ip saddr ${one.address} udp dport 4789 numgen random mod 100 < 40`),
      use: doctor(one),
    },
    'large packets of the data path are dropped': {
      fires: { OverlaydPathMtu: { instance: 'h2' } },
      make: () => drop(three, 'input', `ip saddr ${two.address} udp dport 4789 udp length > 1300`),
      use: doctor(two),
    },
    'a firewall drops what containers send out': {
      fires: { OverlaydFirewallInTheWay: { instance: 'h3' } },
      make: () => drop(three, 'forward', 'iifname "ovl*"'),
      use: () => three.exec('c-h3', ['ping', '-q', '-c', '6', '-i', '0.05', '-W', '1', INTERNET]),
    },
    'a clock is five minutes ahead': {
      fires: { OverlaydClockSkew: { instance: 'h3' } },
      async make() {
        clock.setOff(300_000);
        return async () => clock.setOff(0);
      },
    },
    'the disk of the data directory is filled': {
      fires: { OverlaydDiskFull: { instance: 'h3' }, OverlaydStateUnsaved: { instance: 'h3' } },
      async make() {
        const file = `${three.dataDirectory}/fill`;
        await three.container('full');
        await three.run(['sh', '-c', `cat /dev/zero >${file}`]);
        return () => three.must(['rm', file]);
      },
      use: () => three.overlayd('network', 'connect', 'web', 'netns:full'),
    },
    'a network has no address left': {
      fires: { OverlaydAddressesRunOut: { network: 'tiny' }, OverlaydAttachFails: { instance: 'h2' } },
      ends: false,
      async make() {
        await two.mustOverlayd('network', 'create', '--subnet', '10.9.0.0/30', 'tiny');
        await attach(two, 'only', 'tiny');
        await two.container('late');
        return nothing;
      },
      use: () => two.overlayd('network', 'connect', 'tiny', 'netns:late'),
    },
  };

  const hosts: Round = {
    'a table of the network is another process’s': {
      fires: { OverlaydKernelRefuses: { instance: 'h2' } },
      async make() {
        await two.must(['mkfifo', '/run/end']);
        const taken = 'delete table bridge overlayd; table bridge overlayd { flags owner; }';
        const inside = ['ip', 'netns', 'exec', place, 'sh', '-c', `(echo '${taken}'; read -r _ </run/end) | nft -i`];
        const owner = two.spawn(inside);
        return async () => {
          await two.must(['sh', '-c', 'echo >/run/end']);
          await owner.exited;
        };
      },
    },
    'something deletes rows again and again': {
      fires: {
        OverlaydDrift: { instance: 'h1' },
        OverlaydFinding: { instance: 'h1', code: 'drift-returns' },
      },
      ends: false,
      make: async () => nothing,
      async use() {
        const rows = () => inPlace(one, 'ip', 'neigh', 'show', 'nud', 'permanent');
        const before = await rows();
        await inPlace(one, 'ip', 'neigh', 'flush', 'dev', 'vx0', 'nud', 'permanent');
        await until('rows to be put back', async () => (await rows()) === before);
      },
    },
    'the program that answers names ends, and cannot be started': {
      fires: { OverlaydNamesUnanswered: { instance: 'h3' } },
      async make() {
        const program = `${ROOT}/dist/lib/names.cjs`;
        const mend = await hide(three, program);
        await kill(three, program);
        return mend;
      },
    },
    'what runs WireGuard ends, and cannot be started': {
      fires: { OverlaydTunnelFailed: { instance: 'h3' } },
      async make() {
        const mend = await hide(three, '/usr/bin/wireguard-go');
        await kill(three, 'wireguard-go');
        return mend;
      },
    },
    'a user of etcd is deleted': {
      fires: { OverlaydStoreRefuses: { instance: 'h3' } },
      async make() {
        const { ID } = (await one.json('node', 'inspect', 'h3'))[0] as { ID: string };
        const etcd = Etcdctl.ofBundled(one);
        await etcd.run('user', 'delete', ID);
        return async () => {
          await etcd.run('user', 'add', ID, '--no-password');
          for (const role of [MEMBER_ROLE, nodeRole(ID)]) await etcd.run('user', 'grant-role', ID, role);
        };
      },
      use: () => three.overlayd('ipam', 'check'),
    },
    'a container asks for names without end': {
      fires: { OverlaydNamesOverloaded: { instance: 'h1' } },
      ends: false,
      make: async () => nothing,
      use: () => one.mustExec('c-h1', ['node', FLOOD, GATEWAY, 'c-h1', '1']),
    },
    'the upstream name server does not answer': {
      fires: { OverlaydUpstreamNamesFail: { instance: 'h2' } },
      ends: false,
      async make() {
        const mends = [
          await drop(two, 'output', `ip daddr ${INTERNET}`),
          await drop(two, 'forward', `ip daddr ${INTERNET}`),
        ];
        return () => Promise.all(mends.map((mend) => mend()));
      },
      async use() {
        const ask = (name: string) => two.exec('c-h2', ['dig', '+tries=1', '+time=10', `${name}.example`]);
        await Promise.all(['a', 'b', 'c', 'd'].map((name) => ask(`${name}${++made}`)));
      },
    },
  };

  const cluster: Round = {
    'gossip with a host is dropped': {
      fires: {
        OverlaydHostCutOff: { instance: 'h2' },
        OverlaydMemberAway: { instance: 'h1' },
      },
      async make() {
        const rules = ['tcp dport 7946', 'tcp sport 7946'];
        const mends = [await drop(two, 'input', ...rules), await drop(two, 'output', ...rules)];
        return () => Promise.all(mends.map((mend) => mend()));
      },
    },
    'packets to etcd are dropped': {
      fires: { OverlaydStoreAway: { instance: 'h3' } },
      make: () => drop(three, 'output', 'tcp dport 2379'),
    },
    'etcd stops for a second and a half now and then': {
      fires: { OverlaydStoreSlow: { instance: 'h1' }, OverlaydAttachSlow: { instance: 'h1' } },
      ends: false,
      make: async () => nothing,
      async use() {
        const reference = await one.container(`slow${++made}`);
        const pid = await etcdPid(one);
        await one.must(['kill', '-STOP', pid]);
        const connecting = one.overlayd('network', 'connect', 'web', reference);
        // The fault is its length.
        await pause(SLOW_MS);
        await one.must(['kill', '-CONT', pid]);
        await connecting;
        await one.overlayd('network', 'disconnect', 'web', reference);
      },
    },
  };

  const agents: Round = {
    'an agent is killed': {
      fires: { OverlaydAgentDown: { instance: 'h1' } },
      async make() {
        await one.agent.kill();
        return () => one.agent.start();
      },
    },
    'a certificate is near its end, and no keeper renews it': {
      fires: { OverlaydCertificateEnds: { instance: 'h2', certificate: 'node' } },
      async make() {
        await two.agent.stop();
        await giveOldCertificate(two, one, 85 * DAY_MS);
        await two.agent.start();
        return nothing;
      },
    },
    'another program has the gossip port when an agent starts': {
      fires: { OverlaydNotMember: { instance: 'h3' } },
      async make() {
        await three.agent.stop();
        const listen = "require('node:net').createServer().listen(7946, '0.0.0.0', () => console.log('listening'))";
        const other = three.spawn(['node', '-e', listen]);
        await until('the port to be taken', () => other.output.includes('listening'));
        await three.agent.start();
        return () => other.kill('SIGKILL');
      },
    },
  };

  return { ways, hosts, cluster, agents };
}

/** The host's process whose command line has that word. */
async function kill(host: Host, word: string): Promise<void> {
  const pids = (await host.must(['pgrep', '-f', `^[^ ]*( .*)?${word}`])).trim().split('\n');
  await host.must(['kill', '-9', ...pids]);
}

/** As if the host had got it so long ago. */
async function giveOldCertificate(host: Host, keeper: Host, agoMs: number): Promise<void> {
  const identityOf = (of: Host) =>
    JSON.parse(readFileSync(join(of.dataDirectory, 'identity.json'), 'utf8')) as Identity;
  const [identity, { caCertificate, caKey }] = [identityOf(host), identityOf(keeper)];
  const pki = createPki();
  const certificate = await pki.issue(
    { certificate: caCertificate, key: caKey! },
    { csr: await pki.createCsr(identity.key), nodeId: identity.nodeId, address: identity.advertiseAddress },
    { now: Date.now() - agoMs, lifetimeMs: 90 * DAY_MS },
  );
  writeFileSync(join(host.dataDirectory, 'identity.json'), JSON.stringify({ ...identity, certificate }));
}
