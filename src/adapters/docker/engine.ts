/** The API of this host's Docker Engine: a thin client of the few calls that are needed, for Docker 20.10 and later. */
import { join } from 'node:path';
import type * as z from 'zod';
import { OverlaydError } from '../../core/errors.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Clock } from '../../ports/runtime.ts';
import { createEngineConnection, type EngineReply, messageOf, refusal } from './engine-connection.ts';
import { engineEvents } from './engine-events.ts';
import {
  containerResponse,
  containersResponse,
  createdResponse,
  createNetworkBody,
  infoResponse,
  membersResponse,
  networksResponse,
  parseRemoval,
  REMOVAL_FILTERS,
} from './engine-messages.ts';

export interface EngineOptions {
  readonly socketPath: string;
  readonly limitMs?: number;
  /** Of calls that wait for a container's start, or for what our own drivers are asked meanwhile. */
  readonly longLimitMs?: number;
}

/** With the signal everything that is under way ends, whatever the engine does. */
export function createEngine(
  { clock }: { readonly clock: Clock },
  options: EngineOptions,
  signal?: AbortSignal,
): Engine {
  const { socketPath, limitMs = 10_000, longLimitMs = 60_000 } = options;
  const connection = createEngineConnection(socketPath, signal);
  const get = (path: string, limit = limitMs) => connection.call({ method: 'GET', path, limitMs: limit });
  const post = (path: string, body: object) => connection.call({ method: 'POST', path, body, limitMs: longLimitMs });

  /** Where it keeps its files, since it was last connected to. */
  let root: Promise<string> | undefined;
  function askRoot(): Promise<string> {
    const asked = get('/info').then((reply) => read(infoResponse, reply));
    asked.catch(() => {
      if (root === asked) root = undefined;
    });
    root = asked;
    return asked;
  }

  return {
    async networks() {
      return read(networksResponse, await get('/networks'));
    },
    async removedNetworks() {
      // A time that has passed: what is remembered comes at once, and the reply ends.
      const until = (clock.now() / 1_000).toFixed(3);
      const past = { since: '0', until, filters: JSON.stringify(REMOVAL_FILTERS) };
      const lines = await connection.lines(`/events?${new URLSearchParams(past)}`, limitMs);
      return new Set(lines.flatMap((line) => parseRemoval(line) ?? []));
    },
    async members(networkId) {
      const reply = await get(`/networks/${encodeURIComponent(networkId)}`);
      return reply.status === 404 ? undefined : read(membersResponse, reply);
    },
    async createNetwork(spec) {
      const reply = await post('/networks/create', createNetworkBody(spec));
      if (reply.status === 409) throw new OverlaydError('conflict', `the Docker Engine refused: ${messageOf(reply)}`);
      return read(createdResponse, reply).Id;
    },
    async removeNetwork(id) {
      const path = `/networks/${encodeURIComponent(id)}`;
      const reply = await connection.call({ method: 'DELETE', path, limitMs: longLimitMs });
      if (reply.status === 404) return false;
      accept(reply);
      return true;
    },
    async running() {
      return read(containersResponse, await get('/containers/json'));
    },
    async stopped() {
      const filters = encodeURIComponent(JSON.stringify({ status: ['created', 'restarting', 'exited'] }));
      return read(containersResponse, await get(`/containers/json?all=1&filters=${filters}`));
    },
    async inspect(ref) {
      const reply = await get(`/containers/${encodeURIComponent(ref)}/json`, longLimitMs);
      return reply.status === 404 ? undefined : read(containerResponse, reply);
    },
    async connect(networkId, containerId, { aliases, ip, ip6, gwPriority, options }) {
      const config = {
        Aliases: aliases,
        ...(ip === undefined && ip6 === undefined ? {} : { IPAMConfig: { IPv4Address: ip, IPv6Address: ip6 } }),
        ...(gwPriority === undefined ? {} : { GwPriority: gwPriority }),
        ...(options === undefined ? {} : { DriverOpts: options }),
      };
      const path = `/networks/${encodeURIComponent(networkId)}/connect`;
      accept(await post(path, { Container: containerId, EndpointConfig: config }));
    },
    async disconnect(networkId, containerId, force) {
      const path = `/networks/${encodeURIComponent(networkId)}/disconnect`;
      accept(await post(path, { Container: containerId, Force: force }));
    },
    async startContainer(containerId) {
      const path = `/containers/${encodeURIComponent(containerId)}/start`;
      accept(await connection.call({ method: 'POST', path, limitMs: longLimitMs }));
    },
    async hostsPath(containerId) {
      return join(await (root ?? askRoot()), 'containers', containerId, 'hosts');
    },
    async *events(wanted) {
      for await (const event of engineEvents({ connection, clock }, { socketPath, limitMs }, wanted)) {
        // Known before it is needed, which is when there is no time.
        if (event.kind === 'connected') void askRoot();
        yield event;
      }
    },
  };
}

function accept(reply: EngineReply): void {
  if (reply.status >= 400) throw refusal(reply);
}

function read<T>(schema: z.ZodType<T>, reply: EngineReply): T {
  accept(reply);
  const parsed = schema.safeParse(reply.body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new OverlaydError('engine-refused', `the Docker Engine's answer is not understood: ${problems}`);
}
