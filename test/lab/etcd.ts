import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatHttpUrl } from '../../src/core/host-port.ts';
import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** The process of the host's server, '' where there is none. An agent that starts runs `etcd --version` too: that is none. */
export async function etcdPid(host: Host): Promise<string> {
  return (await host.run(['pgrep', '-f', '^[^ ]*etcd --name '])).stdout.trim();
}

/** Access to an etcd from the outside of overlayd, by Debian's etcdctl. */
export class Etcdctl {
  readonly #host: Host;
  readonly #flags: readonly string[];

  constructor(host: Host, flags: readonly string[]) {
    this.#host = host;
    this.#flags = flags;
  }

  /** The cluster's own, with that node's certificate: all of its members, or that at the node alone. */
  static ofBundled(host: Host, which: 'all' | 'own' = 'all'): Etcdctl {
    const identity = JSON.parse(readFileSync(join(host.dataDirectory, 'identity.json'), 'utf8')) as {
      readonly key: string;
      readonly certificate: string;
      readonly caCertificate: string;
      readonly store: { readonly endpoints: readonly string[] };
    };
    const file = (name: string, text: string) => {
      const path = join(host.directory, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    return new Etcdctl(host, [
      `--endpoints=${which === 'own' ? `https://${host.address}:2379` : identity.store.endpoints.join(',')}`,
      `--cacert=${file('etcdctl-ca.pem', identity.caCertificate)}`,
      `--cert=${file('etcdctl-cert.pem', identity.certificate)}`,
      `--key=${file('etcdctl-key.pem', identity.key)}`,
    ]);
  }

  run(...args: readonly string[]): Promise<string> {
    return this.#host.must(['etcdctl', ...this.#flags, ...args], { env: { ETCDCTL_API: '3' } });
  }

  /** So many revisions of one key, each with so many bytes. */
  async putMany(key: string, count: number, bytes: number): Promise<void> {
    const value = join(this.#host.directory, 'value');
    writeFileSync(value, 'x'.repeat(bytes));
    const put = `value=$0; export value; count=$1; shift; seq "$count" | xargs -P 4 -I{} sh -c 'exec "$@" <"$value" >/dev/null' sh "$@"`;
    const argv = ['sh', '-c', put, value, String(count), 'etcdctl', ...this.#flags, 'put', key];
    await this.#host.must(argv, { env: { ETCDCTL_API: '3' }, timeoutMs: 600_000 });
  }

  /** Of the first of its members. */
  async fileBytes(): Promise<number> {
    const [first] = JSON.parse(await this.run('endpoint', 'status', '-w', 'json')) as [
      { readonly Status: { readonly dbSize: number } },
    ];
    return first.Status.dbSize;
  }

  /** Goes on. */
  spawn(...args: readonly string[]): HostProcess {
    return this.#host.spawn(['env', 'ETCDCTL_API=3', 'etcdctl', ...this.#flags, ...args]);
  }

  /** Keys and values below `/overlayd/v2/`, liveness and node records (which renew themselves) left out. */
  async records(): Promise<ReadonlyMap<string, string>> {
    const answer = JSON.parse(await this.run('get', '--prefix', '/overlayd/v2/', '-w', 'json')) as {
      readonly kvs?: readonly { readonly key: string; readonly value?: string }[];
    };
    const text = (base64 = '') => Buffer.from(base64, 'base64').toString('utf8');
    const all = (answer.kvs ?? []).map(({ key, value }) => [text(key).slice('/overlayd/v2/'.length), text(value)]);
    return new Map(all.filter(([key]) => !/^(live|nodes)\//.test(key!)) as [string, string][]);
  }
}

/** An etcd of the user's own on a host of the lab. */
export class EtcdServer {
  readonly url: string;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  readonly #host: Host;
  #process: HostProcess | undefined;

  private constructor(host: Host, tls: EtcdServer['tls']) {
    this.#host = host;
    this.tls = tls;
    this.url = formatHttpUrl({ scheme: tls === undefined ? 'http' : 'https', host: host.address, port: 2379 });
  }

  static async start(host: Host, options: { tls: boolean } = { tls: false }): Promise<EtcdServer> {
    const server = new EtcdServer(host, options.tls ? await createCertificates(host) : undefined);
    await server.start();
    return server;
  }

  /** What `overlayd init` is given. */
  get initArguments(): readonly string[] {
    const { tls } = this;
    if (tls === undefined) return ['--etcd', this.url];
    return ['--etcd', this.url, '--etcd-ca', tls.ca, '--etcd-cert', tls.cert, '--etcd-key', tls.key];
  }

  get ctl(): Etcdctl {
    const { tls } = this;
    const files = tls === undefined ? [] : [`--cacert=${tls.ca}`, `--cert=${tls.cert}`, `--key=${tls.key}`];
    return new Etcdctl(this.#host, [`--endpoints=${this.url}`, ...files]);
  }

  /** A client's certificate, in that host's directory, which is its name in etcd. */
  async certificateFor(host: Host, name: string): Promise<{ readonly cert: string; readonly key: string }> {
    const files = { cert: join(host.directory, `${name}.pem`), key: join(host.directory, `${name}-key.pem`) };
    const signed = ['-CA', this.tls!.ca, '-CAkey', join(this.#host.directory, CA_KEY)];
    await createCertificate(this.#host, files, name, [...signed, '-addext', 'extendedKeyUsage=clientAuth']);
    return files;
  }

  /** As whoever has that certificate. */
  as({ cert, key }: { readonly cert: string; readonly key: string }): Etcdctl {
    return new Etcdctl(this.#host, [
      `--endpoints=${this.url}`,
      `--cacert=${this.tls!.ca}`,
      `--cert=${cert}`,
      `--key=${key}`,
    ]);
  }

  /** Returns the file of the snapshot. */
  async backUp(): Promise<string> {
    const file = join(this.#host.directory, 'snapshot.db');
    await this.ctl.run('snapshot', 'save', file);
    return file;
  }

  /** It is killed, its data give way to those of the snapshot, and it is started. */
  async restore(file: string): Promise<void> {
    await this.kill();
    await this.#host.must(['rm', '-rf', this.#dataDirectory]);
    const peer = ['--initial-advertise-peer-urls=http://127.0.0.1:2380'];
    const cluster = ['--initial-cluster=default=http://127.0.0.1:2380', `--data-dir=${this.#dataDirectory}`];
    await this.ctl.run('snapshot', 'restore', file, ...peer, ...cluster);
    await this.start();
  }

  get #dataDirectory(): string {
    return `${this.#host.dataDirectory}/etcd`;
  }

  async start(): Promise<void> {
    const { url, tls } = this;
    const flags = [`--data-dir=${this.#dataDirectory}`, `--listen-client-urls=${url}`];
    if (tls !== undefined) {
      flags.push(`--cert-file=${tls.cert}`, `--key-file=${tls.key}`, `--trusted-ca-file=${tls.ca}`);
      flags.push('--client-cert-auth');
    }
    const peer = ['--listen-peer-urls=http://127.0.0.1:2380', '--initial-advertise-peer-urls=http://127.0.0.1:2380'];
    const cluster = ['--initial-cluster=default=http://127.0.0.1:2380', `--advertise-client-urls=${url}`];
    this.#process = this.#host.spawn(['etcd', ...flags, ...peer, ...cluster], { log: 'etcd.log' });
    await until('etcd to answer', () => this.ctl.run('endpoint', 'health').then(() => true));
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.kill('SIGKILL');
    await this.#process?.exited;
  }

  /** It keeps its connections and answers nothing. */
  async freeze(): Promise<void> {
    await this.#process?.kill('SIGSTOP');
  }

  async thaw(): Promise<void> {
    await this.#process?.kill('SIGCONT');
  }
}

const CA_KEY = 'ca-key.pem';

/** An authority and one certificate that serves and asks. */
async function createCertificates(host: Host): Promise<{ ca: string; cert: string; key: string }> {
  const path = (name: string) => join(host.directory, name);
  const files = { ca: path('ca.pem'), cert: path('etcd.pem'), key: path('etcd-key.pem') };
  const caKey = path(CA_KEY);
  await createCertificate(host, { cert: files.ca, key: caKey }, 'lab', []);
  const signed = ['-CA', files.ca, '-CAkey', caKey, '-addext', `subjectAltName=IP:${host.address}`];
  const usage = ['-addext', 'extendedKeyUsage=serverAuth,clientAuth'];
  await createCertificate(host, files, 'etcd', [...signed, ...usage, '-addext', 'basicConstraints=critical,CA:FALSE']);
  return files;
}

async function createCertificate(
  host: Host,
  { cert, key }: { readonly cert: string; readonly key: string },
  name: string,
  more: readonly string[],
): Promise<void> {
  const fresh = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await host.must([...fresh, '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert, ...more]);
}
