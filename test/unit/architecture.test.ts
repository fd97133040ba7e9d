/** The house rules that no compiler checks: who may import whom, one door for each package, sizes and names of files. */
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '../..');
const MAX_LINES = 400;
const BANNED_NAMES = ['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'types', 'misc', 'index'];

interface Import {
  /** Relative to the root. */
  readonly from: string;
  /** A file relative to the root, `node:…`, or the name of a package. */
  readonly to: string;
  readonly typeOnly: boolean;
}

const sources = listFiles('src').filter((file) => !file.startsWith('src/gen/'));
const imports = sources.flatMap(readImports);

/** What each part may import; the longest matching part counts. `node` stands for all of Node.js, `packages` for npm. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'src/core/': ['src/core/'],
  'src/ports/': ['src/core/'],
  'src/version.ts': ['package.json'],
  'src/adapters/': ['src/core/', 'src/ports/', 'src/names/ports.ts', 'node', 'packages'],
  'src/names/': ['src/core/', 'src/ports/'],
  'src/ui/': ['src/core/', 'src/ports/', 'src/version.ts', 'node', 'type src/gen/'],
  'src/ui-main.ts': [
    'src/core/',
    'src/ui/',
    'src/adapters/grpc/control.ts',
    'src/adapters/plugin-socket.ts',
    'src/adapters/system/time.ts',
    'node',
  ],
  'src/page/': ['src/core/page/', 'packages'],
  'src/names-main.ts': ['src/core/', 'src/ports/', 'src/names/', 'src/adapters/', 'node'],
  'src/adapters/etcd/': ['src/core/', 'src/ports/', 'src/adapters/', 'src/gen/etcd/', 'node', 'packages'],
  'src/adapters/grpc/': [
    'src/core/',
    'src/ports/',
    'src/gen/overlayd/',
    'src/adapters/knock.ts',
    'src/adapters/plugin-socket.ts',
    'node',
    'packages',
  ],
  'src/agent/': ['src/core/', 'src/ports/'],
  'src/integrations/': ['src/agent/', 'src/core/', 'src/ports/', 'node', 'type src/gen/'],
  'src/cli/': [
    'src/core/',
    'src/version.ts',
    'node:util',
    'packages',
    'type src/gen/',
    'type src/adapters/grpc/control.ts',
    'type src/ports/remote.ts',
    'type src/ui-main.ts',
  ],
  'src/main.ts': [
    'src/cli/',
    'type src/ui-main.ts',
    'src/adapters/config-file.ts',
    'src/adapters/host-files.ts',
    'src/adapters/host-programs.ts',
    'src/adapters/interruption.ts',
    'src/adapters/output.ts',
    'src/adapters/remote-shell.ts',
    'src/adapters/grpc/control.ts',
    'src/adapters/grpc/control-call.ts',
    'src/adapters/system/background.ts',
    'src/adapters/traces/',
    'src/version.ts',
    'node',
  ],
  'src/compose': [
    'src/core/',
    'src/ports/',
    'src/version.ts',
    'src/adapters/',
    'src/agent/',
    'src/integrations/',
    'node',
  ],
  'src/agent-main.ts': ['src/core/', 'src/ports/', 'src/version.ts', 'src/adapters/', 'src/compose', 'node'],
};

/** What an adapter may import of another one: there is one way to the kernel, to write a file, to tell who holds a port. */
const SHARED_ADAPTERS = [
  'src/adapters/exec.ts',
  // What the kernel's thread is asked, by whoever asks.
  'src/adapters/kernel/host-routing.ts',
  'src/adapters/kernel/wireguard-place.ts',
  'src/adapters/knock.ts',
  'src/adapters/native/',
  'src/adapters/netlink/',
  'src/adapters/legacy-tables.ts',
  'src/adapters/own-unit.ts',
  'src/adapters/plain-file.ts',
  'src/adapters/plugin-call.ts',
  'src/adapters/plugin-socket.ts',
  'src/adapters/port-owner.ts',
  'src/adapters/state-endpoints.ts',
  'src/adapters/state-file.ts',
];

/**
 * What each room of the agent may import of the others, of which none leads back. What joins the rooms (`member.ts`,
 * `lifecycle.ts`, …) is above them and imports from all.
 */
const AGENT_ROOMS: Readonly<Record<string, readonly string[]>> = {
  view: [],
  reconcile: [],
  claims: ['view'],
  networks: ['view'],
  endpoints: ['view', 'claims', 'networks'],
  names: ['view', 'networks', 'endpoints', 'reconcile'],
  host: ['endpoints', 'reconcile'],
  services: ['view', 'claims', 'networks', 'endpoints'],
  cluster: ['view', 'claims', 'host'],
  store: ['view', 'cluster', 'type member.ts'],
  wireguard: [],
  engine: ['claims', 'networks', 'endpoints', 'keep-saved.ts', 'type member.ts'],
  attachments: ['endpoints', 'publish', 'type member.ts'],
  publish: ['endpoints', 'type member.ts'],
  expose: ['claims', 'networks', 'endpoints', 'type member.ts'],
  path: [],
  podman: ['networks', 'attachments', 'type member.ts'],
  incus: ['endpoints', 'attachments', 'type member.ts'],
  events: [],
  look: ['path', 'type member.ts'],
  drift: ['type member.ts'],
};

/** The core is more than the command needs: only these of it. */
const CORE_FOR_COMMAND = [
  'cidr.ts',
  'config/',
  'connect-options.ts',
  'dns/domain.ts',
  'dns/static-names.ts',
  'endpoint-ports.ts',
  'errors.ts',
  'events/event-types.ts',
  'host-port.ts',
  'ip.ts',
  'ipam/default-pools.ts',
  'labels.ts',
  'moment.ts',
  'named-container.ts',
  'names.ts',
  'nearest.ts',
  'network-filter.ts',
  'network-request.ts',
  'publish.ts',
  'shell-word.ts',
  'subnets.ts',
  'token.ts',
];

/** Where a package is imported that has its door by decree; every other one has a single door, wherever that is. */
const DOORS: Readonly<Record<string, string>> = {
  commander: 'src/cli/',
  'dns-packet': 'src/adapters/dns/',
  execa: 'src/adapters/exec.ts',
  koffi: 'src/adapters/native/',
  pino: 'src/adapters/log.ts',
  'smol-toml': 'src/adapters/config-file.ts',
  zod: 'src/adapters/docker/',
};

/** What carries two protocols: peers' and clients', and etcd's. */
const PROTOCOLS: Readonly<Record<string, readonly string[]>> = {
  '@grpc/grpc-js': ['src/adapters/grpc/', 'src/adapters/etcd/'],
};

describe('imports', () => {
  it('go where their part may go', () => {
    const wrong = imports.filter((found) => !isAllowed(found));
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('of an adapter stay within its own folder', () => {
    const folder = (file: string) => file.split('/').slice(0, 3).join('/');
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith('src/adapters/') &&
        to.startsWith('src/adapters/') &&
        folder(from) !== folder(to) &&
        !SHARED_ADAPTERS.some((shared) => to.startsWith(shared)),
    );
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('of a room of the agent lead to the rooms below it', () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      const [room, file] = from.slice('src/agent/'.length).split('/');
      if (!from.startsWith('src/agent/') || !to.startsWith('src/agent/') || file === undefined) return false;
      const [part] = to.slice('src/agent/'.length).split('/');
      const allowed = [room, ...(AGENT_ROOMS[room!] ?? [])];
      return !allowed.includes(part!) && !(typeOnly && allowed.includes(`type ${part}`));
    });
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('of the command take little of the core', () => {
    const wrong = imports.filter(
      ({ from, to }) =>
        from.startsWith('src/cli/') &&
        to.startsWith('src/core/') &&
        !CORE_FOR_COMMAND.some((part) => to.startsWith(`src/core/${part}`)),
    );
    expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });

  it('of a package go through one door', () => {
    const doors = new Map<string, Set<string>>();
    for (const { from, to } of imports) {
      if (!isPackage(to) || PROTOCOLS[to]?.some((folder) => from.startsWith(folder))) continue;
      const door = DOORS[to] !== undefined && from.startsWith(DOORS[to]) ? DOORS[to] : doorOf(from);
      doors.set(to, (doors.get(to) ?? new Set()).add(door));
    }
    const wrong = [...doors].filter(([name, used]) => used.size > 1 || (DOORS[name] && !used.has(DOORS[name])));
    expect(wrong.map(([name, used]) => `${name}: ${[...used].join(', ')}`)).toEqual([]);
  });
});

describe('transactions of the agent', () => {
  it('are made by `commit`, so that what they wrote is known here and told whole', () => {
    const wrong = sources.flatMap((file) => {
      if (!file.startsWith('src/agent/') && !file.startsWith('src/integrations/')) return [];
      return read(file)
        .split('\n')
        .flatMap((line) => (line.includes('.txn(') ? [`${file}: ${line.trim()}`] : []));
    });
    // Acknowledgements of a removal: members count what etcd lists.
    const acknowledgement = `{ kind: 'put', key: own, value: '1' }`;
    expect(wrong.filter((line) => !line.includes(acknowledgement))).toEqual([
      // What is copied is written while nobody follows.
      'src/agent/store/copy.ts: const closed = await store.txn([found], [put]);',
      'src/agent/store/copy.ts: const { succeeded } = await store.txn(compares, writes);',
      "src/agent/store/copy.ts: return (await store.txn(compares, [{ kind: 'delete', key: keys.storeGate }])).succeeded;",
      // By another certificate, on a connection of its own, as it is.
      "src/agent/store/login.ts: await store.txn(asRead, [{ kind: 'put', key: own, value }]);",
      'src/agent/view/commit.ts: const result = await store.txn([GATE_OPEN, ...compares], writes);',
    ]);
  });
});

/** What is run to its end, by `src/adapters/exec.ts`: what the kernel does is asked of the kernel, and these are asked about their own. */
const PROGRAMS: Readonly<Record<string, string>> = {
  busctl: "systemd's units and machines; a client of D-Bus would be more than the two calls",
  ip6tables: "Docker's chains of IPv6, which iptables-nft and -legacy keep in their own ways",
  'ip6tables-restore': 'the same, changed all or none',
  iptables: "Docker's chains",
  'iptables-legacy': 'whose firewall is in the way: the kernel lists its rules to nobody else',
  'iptables-restore': "Docker's chains, changed all or none",
  'lxc-info': "a container's process, which LXC alone knows",
  resolvectl: 'names for the host itself, given to systemd-resolved',
  systemctl: 'whether the host is being shut down: it asks systemd past the bus, which may have ended by then',
};
/** Who starts processes without execa, which is for what ends, and is waited for. */
const STARTERS: Readonly<Record<string, string>> = {
  'src/adapters/dns/process/program.ts': 'the names process outlives the agent: a session and a log of its own',
  'src/adapters/dns/process/succession.ts': 'sockets go to the next names process over the channel of `fork`',
  'src/adapters/etcd/server-process.ts':
    'etcd outlives the agent: a session and a log of its own; its version is asked there too',
  'src/adapters/host-programs.ts': 'for the command, which loads what it needs alone, and execa not at all',
  'src/adapters/remote-shell.ts': "the system's ssh, which is spoken with while it runs; for the command, too",
  'src/adapters/wireguard/go-process.ts': 'wireguard-go outlives the agent: a session and a log of its own',
};

describe('programs', () => {
  it('are few, and none that the kernel could be asked instead of', () => {
    const run = sources
      // It ends the host's services, by their own programs.
      .filter((file) => file !== 'src/cli/commands/uninstall.ts')
      .flatMap((file) => [...read(file).matchAll(/\brun\(\s*\[\s*([^,\]]+)/g)].map(([, first]) => first));
    expect([...new Set(run)].sort()).toEqual(Object.keys(PROGRAMS).map((name) => `'${name}'`));
  });

  it('are started in few places', () => {
    const starters = imports.filter(({ to }) => to === 'node:child_process').map(({ from }) => from);
    expect([...new Set(starters)].sort()).toEqual(Object.keys(STARTERS));
  });
});

describe('files', () => {
  const written = [...sources, ...listFiles('test'), ...listFiles('deploy')];

  it(`have at most ${MAX_LINES} lines`, () => {
    const long = written.map((file) => [file, read(file).split('\n').length - 1] as const);
    expect(long.filter(([, lines]) => lines > MAX_LINES)).toEqual([]);
  });

  // `for (const of of [` is one that it does not read, though compilers do.
  it('are such as Node.js runs without a compiler', () => {
    const unread = written.filter((file) => {
      if (/\.test\.ts$|\.tsx$/.test(file)) return false;
      try {
        return stripTypeScriptTypes(read(file)) === undefined;
      } catch {
        return true;
      }
    });
    expect(unread).toEqual([]);
  });

  it('are named after one thing, in kebab-case', () => {
    const stem = (file: string) => path.basename(file).split('.')[0]!;
    expect(written.filter((file) => BANNED_NAMES.includes(stem(file)))).toEqual([]);
    expect(written.filter((file) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem(file)))).toEqual([]);
  });
});

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const part = Object.keys(ALLOWED)
    .filter((start) => from.startsWith(start))
    .sort((a, b) => b.length - a.length)[0];
  if (part === undefined) return false;
  // Within a part everything may be imported; that adapters keep to their folders is checked on its own.
  if (to.startsWith(part)) return true;
  return ALLOWED[part]!.some((entry) => {
    if (entry === 'node') return to.startsWith('node:');
    if (entry === 'packages') return isPackage(to);
    if (entry.startsWith('type ')) return typeOnly && to.startsWith(entry.slice(5));
    return to.startsWith(entry);
  });
}

function isPackage(to: string): boolean {
  return !to.startsWith('src/') && !to.startsWith('node:') && to !== 'package.json';
}

/** `src/adapters/etcd/`, or the file itself where a single file is the part; `src/cli/` and the like otherwise. */
function doorOf(file: string): string {
  const [src, part, ...rest] = file.split('/');
  if (part === 'adapters' && rest.length > 1) return `${src}/${part}/${rest[0]}/`;
  return rest.length === 0 || part === 'adapters' ? file : `${src}/${part}/`;
}

function listFiles(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

function readImports(file: string): Import[] {
  const text = read(file);
  const statements = text.matchAll(/^(?:import|export)\s(?:(type)\s)?(?:[^'";]*?\sfrom\s)?'([^']+)'/gm);
  const dynamic = text.matchAll(/\bimport\((?:\s*)'([^']+)'/g);
  const found = [
    ...[...statements].map(([, type, to]) => ({ to: to!, typeOnly: type !== undefined })),
    ...[...dynamic].map(([, to]) => ({ to: to!, typeOnly: false })),
  ];
  return found.map(({ to, typeOnly }) => ({ from: file, to: resolveImport(file, to), typeOnly }));
}

function resolveImport(file: string, to: string): string {
  if (to.startsWith('.')) return path.join(path.dirname(file), to);
  if (to.startsWith('node:')) return to;
  return to
    .split('/')
    .slice(0, to.startsWith('@') ? 2 : 1)
    .join('/');
}
