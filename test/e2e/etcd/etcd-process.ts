import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdClient } from '../../../src/adapters/etcd/client.ts';
import { encodeGet } from '../../../src/adapters/etcd/request.ts';
import { KVService } from '../../../src/gen/etcd/rpc.ts';
import { realClock } from '../../contract/store-clock.ts';
import { stopProcess } from '../../lab/stopping.ts';

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const ELECTION_OF_SEVERAL = ['--heartbeat-interval', '100', '--election-timeout', '1000'];

/** A plain etcd on loopback that elects itself within 100 ms, so that leases may be as short as a second. */
export class EtcdProcess {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #dir: string;
  #child: ChildProcess | undefined;

  readonly peerUrl: string;

  private constructor(dir: string, port: number, peerPort: number, further: readonly string[]) {
    this.#dir = dir;
    this.port = port;
    this.peerUrl = `http://127.0.0.1:${peerPort}`;
    const peer = this.peerUrl;
    this.#args = [
      ...['--data-dir', join(dir, 'data'), '--log-level', 'error', '--logger', 'zap'],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`],
      ...['--heartbeat-interval', '10', '--election-timeout', '100'],
      ...further,
    ];
  }

  /** `further`: arguments. */
  static async create(further: readonly string[] = []): Promise<EtcdProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'overlayd-etcd-'));
    const process = new EtcdProcess(dir, await freePort(), await freePort(), further);
    await process.start();
    return process;
  }

  /** Members of one cluster, with etcd's own times of election. */
  static async createCluster(size: number): Promise<EtcdProcess[]> {
    const places = await Promise.all(
      Array.from({ length: size }, async (_, i) => ({
        name: `m${i}`,
        dir: await mkdtemp(join(tmpdir(), 'overlayd-etcd-')),
        port: await freePort(),
        peerPort: await freePort(),
      })),
    );
    const all = places.map(({ name, peerPort }) => `${name}=http://127.0.0.1:${peerPort}`).join();
    const members = places.map(({ name, dir, port, peerPort }) => {
      const further = ['--name', name, '--initial-cluster', all, ...ELECTION_OF_SEVERAL];
      return new EtcdProcess(dir, port, peerPort, further);
    });
    await Promise.all(members.map((member) => member.start()));
    return members;
  }

  /** One that is to join a cluster, to which it was not added yet: it does not run. */
  static async prepare(name: string): Promise<EtcdProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'overlayd-etcd-'));
    return new EtcdProcess(dir, await freePort(), await freePort(), ['--name', name, ...ELECTION_OF_SEVERAL]);
  }

  /** With all members as they are after it was added. Does not wait until it serves. */
  join(others: readonly { readonly name: string; readonly peerUrl: string }[]): void {
    const all = others.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join();
    this.#spawn(['--initial-cluster', all, '--initial-cluster-state', 'existing']);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.#spawn([]);
    for (let tries = 0; tries < 200; tries++) {
      const client = new EtcdClient({}, this.url);
      try {
        await client.call(KVService.range, encodeGet('/'));
        return;
      } catch {
        await realClock.sleep(25);
      } finally {
        client.close();
      }
    }
    throw new Error('etcd did not start');
  }

  #spawn(further: readonly string[]): void {
    this.#child = spawn('etcd', [...this.#args, ...further], { stdio: 'ignore' });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  async freeze(): Promise<void> {
    if (this.#child?.pid !== undefined) await stopProcess(this.#child.pid);
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
