/**
 * Containers as people name them, and which namespace that is. A namespace file's inode number is reused at once after
 * the namespace is gone, its inode's ctime is not: both together tell instances apart. For a process it is its start
 * time (proc(5), field 22 of `stat`), because its `ns/net` file gets a new inode whenever nobody has it open.
 */
import { readFileSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { type ContainerRef, isHandedOver } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import { isNetworkNamespace } from '../../core/plan/naming.ts';
import type { Containers } from '../../ports/host.ts';
import { isOfNetworks } from '../native/namespace.ts';
import { configureResolver, resolverDrift } from './resolver-file.ts';

export interface ContainersOptions {
  /** Where the host's file system is seen, e.g. `/proc/PID/root`. */
  readonly root?: string;
  /** The host's own network namespace. */
  readonly hostNamespace?: string;
  /** The first process of a machine, by its name. Throws `namespace-not-found`, `engine-unavailable`. */
  readonly leaderOf?: (machine: string) => Promise<number>;
}

/** Names as machined has them. */
const MACHINE = /^machine:([a-zA-Z0-9][a-zA-Z0-9_.-]{0,63})$/;
const PROCESS = /^\/proc\/([1-9]\d*)\/ns\/net$/;
/** Of the kernel's own making, which is asked in microseconds: longer takes the way to a thread that may wait for a disk. */
const PROMPT = /^\/(?:proc|run\/netns)\/[\w./-]+$/;

export function createContainers(options: ContainersOptions = {}): Containers {
  const { root = '', hostNamespace = '/proc/self/ns/net', leaderOf } = options;

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

  async function find(text: string): Promise<{ name: string; path: string }> {
    const [, machine = ''] = MACHINE.exec(text) ?? [];
    if (leaderOf) return { name: text, path: `/proc/${await leaderOf(machine)}/ns/net` };
    throw new OverlaydError('engine-unavailable', `container ${text}: nobody knows machines here`);
  }

  return {
    async resolve(text) {
      const { name, path } = MACHINE.test(text) ? await find(text) : parse(text);
      try {
        return { text: name, path, identity: await identify(path) };
      } catch (error) {
        if (!isAbsent(error)) throw error;
        const hint = PROCESS.test(path) ? 'no such process' : '`ip netns list` names those there are';
        throw new OverlaydError('namespace-not-found', `container ${text}: there is no namespace ${path}; ${hint}`);
      }
    },
    async isAlive(ref: ContainerRef) {
      // Only the engine knows where it is: there is nothing to look at that could prove its end.
      if (isHandedOver(ref)) return true;
      const { path, identity } = ref;
      try {
        return (await identify(path)) === identity;
      } catch (error) {
        // The file is there but is no other namespace any more, or is not there: both are proof. Anything else is not.
        return !(isAbsent(error) || error instanceof OverlaydError);
      }
    },
    configureResolver: (ref, servers) => configureResolver(`${root}/etc/netns`, ref, servers),
    resolverDrift: async (ref, servers) => resolverDrift(`${root}/etc/netns`, ref, servers),
  };
}

function parse(text: string): { name: string; path: string } {
  const pid = /^pid:([1-9]\d*)$/.exec(text)?.[1];
  if (pid !== undefined) return { name: text, path: `/proc/${pid}/ns/net` };
  const target = /^netns:(.+)$/.exec(text)?.[1];
  if (target === undefined) {
    throw new OverlaydError(
      'invalid-argument',
      `container "${text}": write netns:NAME, netns:/path, pid:N or machine:NAME`,
    );
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
