/**
 * Containers as people name them, and which namespace that is. A namespace file's inode number is reused at once after
 * the namespace is gone, its inode's ctime is not: both together tell instances apart. For a process it is its start
 * time (proc(5), field 22 of `stat`), because its `ns/net` file gets a new inode whenever nobody has it open.
 */
import { readFileSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type ContainerRef, isHandedOver } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import {
  formatNamedContainer,
  type NamedContainer,
  type NamedKind,
  parseNamedContainer,
  WAYS_TO_WRITE,
} from '../../core/named-container.ts';
import { isNetworkNamespace } from '../../core/plan/naming.ts';
import type { Containers } from '../../ports/host.ts';
import { isOfNetworks } from '../native/namespace.ts';
import { configureResolver, resolverDrift, withResolver } from './resolver-file.ts';
import { configureResting } from './resting-resolver.ts';
import { Turns } from './turns.ts';

export interface ContainersOptions {
  /** Where the host's file system is seen, e.g. `/proc/PID/root`. */
  readonly root?: string;
  /** The host's own network namespace. */
  readonly hostNamespace?: string;
  readonly tools?: ContainerTools;
}

/** Who knows containers by names of their own, by kind. */
export type ContainerTools = Partial<Readonly<Record<NamedKind, ContainerTool>>>;

export interface ContainerTool {
  /** The process that it began with. Throws `namespace-not-found`, `namespace-unusable`, `engine-unavailable`. */
  processOf(name: string): Promise<number>;
  /** As {@link Containers.configureResolver}. Absent: its files are not ours to write. */
  configureResolver?(name: string, servers: readonly string[]): Promise<string | undefined>;
}

const PROCESS = /^\/proc\/([1-9]\d*)\/ns\/net$/;
/** A full host has a thousand, of which all may be asked for at once: 15 to 50 microseconds each. */
const LOOKED_AT_IN_A_TURN = 32;
/** Of the kernel's own making, which is asked in microseconds: longer takes the way to a thread that may wait for a disk. */
const PROMPT = /^\/(?:proc|run\/netns)\/[\w./-]+$/;

export function createContainers(options: ContainersOptions = {}): Containers {
  const { root = '', hostNamespace = '/proc/self/ns/net', tools = {} } = options;
  /** Identities of those that a hook has told of: nothing of them runs yet. */
  const resting = new Set<string>();
  const turns = new Turns(LOOKED_AT_IN_A_TURN);

  async function identify(path: string): Promise<string> {
    const file = PROMPT.test(path)
      ? statSync(root + path, { bigint: true })
      : await stat(root + path, { bigint: true });
    const host = statSync(hostNamespace, { bigint: true });
    // Of one file system are all kinds of namespaces, and nothing else.
    if (file.dev !== host.dev || !isOfNetworks(root + path)) {
      throw new OverlaydError(
        'namespace-unusable',
        `${path} is not a network namespace; make one with \`ip netns add\``,
      );
    }
    if (file.ino === host.ino) {
      throw new OverlaydError(
        'namespace-unusable',
        `${path} is the host's own network namespace (host network); only a namespace of its own can be connected`,
      );
    }
    const process = PROCESS.exec(path)?.[1];
    if (process === undefined) return `${file.ino}:${file.ctimeNs}`;
    return `${process}:${startTime(readFileSync(`${root}/proc/${process}/stat`, 'utf8'))}`;
  }

  async function find({ kind, name, pid }: NamedContainer): Promise<{ name: string; path: string }> {
    const text = formatNamedContainer({ kind, name });
    const tool = tools[kind];
    if (pid === undefined && !tool)
      throw new OverlaydError('engine-unavailable', `container ${text}: nobody knows such containers here`);
    return { name: text, path: `/proc/${pid ?? (await tool!.processOf(name))}/ns/net` };
  }

  async function isAlive(ref: ContainerRef): Promise<boolean> {
    // Only the engine knows where it is: there is nothing to look at that could prove its end.
    if (isHandedOver(ref)) return true;
    const { path, identity } = ref;
    await turns.take();
    try {
      return (await identify(path)) === identity;
    } catch (error) {
      // The file is there but is no other namespace any more, or is not there: both are proof. Anything else is not.
      return !(isAbsent(error) || error instanceof OverlaydError);
    }
  }

  return {
    async resolve(text) {
      const named = parseNamedContainer(text);
      const { name, path } = named ? await find(named) : parse(text);
      try {
        const identity = await identify(path);
        if (named?.pid === undefined) resting.delete(identity);
        else resting.add(identity);
        return { text: name, path, identity };
      } catch (error) {
        if (!isAbsent(error)) throw error;
        const hint = PROCESS.test(path) ? 'no such process' : '`ip netns list` names those there are';
        throw new OverlaydError('namespace-not-found', `container ${text}: there is no namespace ${path}; ${hint}`);
      }
    },
    isAlive,
    async configureResolver(ref, servers) {
      if (resting.delete(ref.identity)) return configureResting(`${root}${rootOf(ref.path)}`, ref, servers);
      const named = parseNamedContainer(ref.text);
      const configure = named && tools[named.kind]?.configureResolver;
      if (!configure) return configureResolver(`${root}/etc/netns`, ref, servers);
      // The files of one that ends are its tool's to put away.
      return servers.length > 0 || (await isAlive(ref)) ? configure(named.name, servers) : undefined;
    },
    resolverDrift: async (ref, servers) => resolverDrift(`${root}/etc/netns`, ref, servers),
    withResolver: () => withResolver(`${root}/etc/netns`),
  };
}

function parse(text: string): { name: string; path: string } {
  const pid = /^pid:([1-9]\d*)$/.exec(text)?.[1];
  if (pid !== undefined) return { name: text, path: `/proc/${pid}/ns/net` };
  const target = /^netns:(.+)$/.exec(text)?.[1];
  if (target === undefined) {
    throw new OverlaydError('invalid-argument', `container "${text}": write ${WAYS_TO_WRITE}`);
  }
  // What people can type, and a message quotes as one word.
  if (!/^[\w./:@+-]+$/.test(target) || target.startsWith('-') || target === '.' || target === '..') {
    throw new OverlaydError('invalid-argument', `container "${text}": letters, digits and . / : @ + - _ only`);
  }
  if (target.startsWith('/')) return parsePath(target);
  if (target.includes('/')) {
    throw new OverlaydError('invalid-argument', `container "${text}": a path begins with /`);
  }
  if (isNetworkNamespace(target)) {
    throw new OverlaydError(
      'namespace-unusable',
      `container "${text}": that namespace belongs to a network of overlayd`,
    );
  }
  return { name: `netns:${target}`, path: `/run/netns/${target}` };
}

/** Of the process whose namespace that is. */
function rootOf(path: string): string {
  return path.replace(/\/ns\/net$/, '/root');
}

function parsePath(path: string): { name: string; path: string } {
  const pid = PROCESS.exec(path)?.[1];
  if (pid !== undefined) return { name: `pid:${pid}`, path };
  const named = /^\/(?:var\/)?run\/netns\/([^/]+)$/.exec(path)?.[1];
  return named === undefined ? { name: `netns:${path}`, path } : parse(`netns:${named}`);
}

/** The command name in parentheses may hold spaces and parentheses itself. */
function startTime(text: string): string {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[19] ?? '';
}

function isAbsent(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH';
}
