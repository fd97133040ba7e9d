import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TlsMaterial } from '../../src/ports/identity.ts';
import type { EtcdServerSettings, StoreMember } from '../../src/ports/store.ts';
import { Etcdctl } from './etcd.ts';
import type { Host } from './host.ts';
import { type InsideProcess, startInside } from './inside-process.ts';
import type { StoreServerAnswer, StoreServerOrder } from './store-server-program.ts';
import { until } from './until.ts';

const PROGRAM = fileURLToPath(new URL('store-server-program.ts', import.meta.url));

/** The bundled etcd of a host without an agent: what an agent does with it, by hand. */
export class StoreServer {
  readonly host: Host;
  readonly name: string;
  readonly #files: readonly string[];
  #program: InsideProcess | undefined;
  #settings: EtcdServerSettings;

  constructor(host: Host, name: string, material: TlsMaterial, listenAddress = '0.0.0.0') {
    this.host = host;
    this.name = name;
    this.#settings = { name, advertiseAddress: host.address, listenAddress, material };
    const file = (name: string, text: string) => {
      const path = join(host.directory, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    this.#files = [
      `--cacert=${file('ctl-ca.pem', material.caCertificate)}`,
      `--cert=${file('ctl.pem', material.certificate)}`,
      `--key=${file('ctl-key.pem', material.key)}`,
    ];
  }

  /** Of the server that is to be from the next `ensure` on. */
  change(settings: Partial<EtcdServerSettings>): void {
    this.#settings = { ...this.#settings, ...settings };
  }

  ensure(begin?: EtcdServerSettings['begin']): Promise<StoreServerAnswer> {
    return this.order({ do: 'ensure', settings: { ...this.#settings, begin } });
  }

  async order(order: StoreServerOrder): Promise<StoreServerAnswer> {
    this.#program ??= await startInside(this.host, ['node', PROGRAM, this.host.dataDirectory]);
    this.#program.order(JSON.stringify(order));
    return JSON.parse(await this.#program.line()) as StoreServerAnswer;
  }

  /** What looks after etcd ends, etcd does not. The next order begins another one. */
  endAgent(): void {
    this.#program?.end();
    this.#program = undefined;
  }

  /** etcdctl in this host, at this host's server, or the `others`. */
  ctl(...others: readonly StoreServer[]): Etcdctl {
    const servers = others.length === 0 ? ['127.0.0.1'] : others.map((other) => other.#settings.advertiseAddress);
    const endpoints = servers.map((address) => `https://${address}:2379`).join(',');
    return new Etcdctl(this.host, [`--endpoints=${endpoints}`, ...this.#files]);
  }

  /** As etcd's member in this host tells. */
  async members(): Promise<readonly StoreMember[]> {
    const lines = (await this.ctl().run('member', 'list')).trim().split('\n');
    return lines.map((line) => {
      const [id = '', , name = '', peers = '', clients = '', learner] = line.split(', ');
      const urls = (text: string) => text.split(',').filter((url) => url !== '');
      return { id, name, peerUrls: urls(peers), clientUrls: urls(clients), isLearner: learner === 'true' };
    });
  }

  /** Makes `other` a learner. etcd refuses while it does not hold its members for well connected, for 5 s after a change. */
  async add(other: StoreServer): Promise<readonly StoreMember[]> {
    const url = `--peer-urls=https://${other.#settings.advertiseAddress}:2380`;
    await until('etcd to take another member', () => this.ctl().run('member', 'add', other.name, '--learner', url));
    return this.members();
  }

  async promote(other: StoreServer): Promise<void> {
    const { id } = await this.member(other);
    await until('the learner to have caught up', () => this.ctl().run('member', 'promote', id));
  }

  async remove(other: StoreServer): Promise<void> {
    const { id } = await this.member(other);
    await until('etcd to let a member go', () => this.ctl().run('member', 'remove', id));
  }

  async member({ name }: StoreServer): Promise<StoreMember> {
    return until(`${name} to be a member`, async () => (await this.members()).find((member) => member.name === name));
  }

  /** Process ids of etcd in the host. */
  async pids(): Promise<string> {
    return (await this.host.run(['pidof', 'etcd'])).stdout.trim();
  }

  async signal(name: string): Promise<void> {
    await this.host.must(['kill', `-${name}`, ...(await this.pids()).split(' ')]);
  }
}
