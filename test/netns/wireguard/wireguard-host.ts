/** The real adapter, acting in hosts of the lab from the outside, by one backend. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { wireguardJobs } from '../../../src/adapters/kernel/wireguard-jobs.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import { Uapi } from '../../../src/adapters/wireguard/uapi.ts';
import { createWireguard } from '../../../src/adapters/wireguard/wireguard.ts';
import { WIREGUARD_DEVICES, WIREGUARD_PLACE, type WireguardBackend } from '../../../src/core/wireguard/state.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import type { Wireguard } from '../../../src/ports/wireguard.ts';
import type { WireguardHost, WireguardWorld } from '../../contract/wireguard.ts';
import type { Host, HostProcess } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from '../kernel/kernel-host.ts';

const silent = () => undefined;
const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent, child: () => logger };
/** An echo waits for the handshake, which is tried again after 5 s where the other side was not ready. */
const ANSWER_SECONDS = 30;
const TAKE_PORT = `
  const socket = require('node:dgram').createSocket('udp4');
  socket.bind(Number(process.argv[1]), () => console.log('taken'));
`;

export class LabWireguard implements WireguardHost {
  readonly host: Host;
  readonly address: string;
  wireguard: Wireguard;
  readonly uapi: Uapi;
  readonly #backend: WireguardBackend;
  readonly #takers: HostProcess[] = [];

  constructor(host: Host, backend: WireguardBackend) {
    this.host = host;
    this.address = host.address;
    this.#backend = backend;
    this.uapi = new Uapi(this.#uapiDirectory);
    this.wireguard = this.#open();
  }

  get #uapiDirectory(): string {
    return this.host.path('/run/wireguard');
  }

  get dataDir(): string {
    return this.host.dataDirectory;
  }

  #open(): Wireguard {
    const { exec, thread } = openKernel(this.host);
    const kernel = wireguardJobs(thread);
    return createWireguard(
      { clock: systemClock, logger, run: exec.run, kernel },
      {
        dataDir: this.dataDir,
        host: {
          namespace: `/proc/${this.host.pid}/ns/net`,
          enter: this.host.enter([]),
          uapiDirectory: this.#uapiDirectory,
        },
        backends: [this.#backend],
      },
    );
  }

  async ping(address: string): Promise<boolean> {
    return (await this.inPlace(['ping', '-q', '-c', '1', '-W', String(ANSWER_SECONDS), address])).code === 0;
  }

  async pingInVain(address: string): Promise<boolean> {
    return (await this.inPlace(['ping', '-q', '-c', '1', '-W', '1', address])).code === 0;
  }

  inPlace(argv: readonly string[]) {
    return this.host.run(['nsenter', `--net=/run/netns/${WIREGUARD_PLACE}`, ...argv]);
  }

  async echoes(): Promise<number> {
    const { stdout } = await this.inPlace(['cat', '/proc/self/net/snmp']);
    const [names, values] = stdout.split('\n').filter((line) => line.startsWith('Icmp:')) as [string, string];
    return Number(values.split(' ')[names.split(' ').indexOf('InEchos')]);
  }

  async crash(name: string): Promise<void> {
    if (this.#backend === 'kernel') await this.host.must(['ip', '-n', WIREGUARD_PLACE, 'link', 'del', name]);
    else process.kill(this.uapi.listener(name)!, 'SIGKILL');
  }

  async setDown(name: string): Promise<void> {
    await this.host.must(['ip', '-n', WIREGUARD_PLACE, 'link', 'set', name, 'down']);
  }

  async takePort(port: number): Promise<void> {
    const taker = this.host.spawn([process.execPath, '-e', TAKE_PORT, String(port)]);
    this.#takers.push(taker);
    await until('the port to be taken', () => taker.output.includes('taken'));
  }

  async restartAgent(): Promise<Wireguard> {
    this.wireguard = this.#open();
    return this.wireguard;
  }

  async remains(): Promise<readonly string[]> {
    const { host } = this;
    const namespaces = (await host.must(['ip', 'netns', 'list'])).split('\n').filter((line) => line.includes('ovl-wg'));
    const links = (await host.must(['ip', '-brief', 'link'])).split('\n').filter((line) => line.startsWith('ovlwg'));
    const processes = WIREGUARD_DEVICES.filter((name) => this.uapi.listener(name) !== undefined);
    const sockets = existsSync(this.#uapiDirectory) ? readdirSync(this.#uapiDirectory) : [];
    const files = existsSync(join(this.dataDir, 'wireguard')) ? ['logs'] : [];
    return [...namespaces, ...links, ...processes, ...sockets, ...files];
  }

  async clear(): Promise<void> {
    for (const taker of this.#takers.splice(0)) {
      await taker.kill('SIGKILL');
      await taker.exited;
    }
    const failures = await this.wireguard.apply([{ kind: 'delete-place' }]);
    if (failures.length > 0) throw failures[0]!.error;
  }
}

export async function openWorld(backend: WireguardBackend): Promise<WireguardWorld> {
  const lab = await Lab.open({ hosts: 2 });
  const hosts = lab.hosts.map((host) => new LabWireguard(host, backend));
  return {
    hosts: [hosts[0]!, hosts[1]!],
    clear: async () => void (await Promise.all(hosts.map((host) => host.clear()))),
    close: () => lab.close(),
  };
}
