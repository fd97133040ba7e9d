import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openClient } from '../../../src/adapters/etcd/client.ts';
import { realClock } from '../../contract/store-clock.ts';

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A plain etcd on loopback that elects itself within 100 ms, so that leases may be as short as a second. */
export class EtcdProcess {
  readonly port: number;
  readonly #args: readonly string[];
  readonly #dir: string;
  #child: ChildProcess | undefined;

  private constructor(dir: string, port: number, peerPort: number, further: readonly string[]) {
    this.#dir = dir;
    this.port = port;
    const peer = `http://127.0.0.1:${peerPort}`;
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

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.#child = spawn('etcd', this.#args, { stdio: 'ignore' });
    for (let tries = 0; tries < 200; tries++) {
      const client = openClient({ endpoints: [this.url] }, this.url);
      try {
        await client.kv.range({ key: Buffer.from('/') });
        return;
      } catch {
        await realClock.sleep(25);
      } finally {
        client.close();
      }
    }
    throw new Error('etcd did not start');
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
