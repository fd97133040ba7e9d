/**
 * Prepares a host with Docker for overlayd: has systemd hold the plugin's socket, and puts the agent first among the name
 * servers of Docker's containers. Changes only what is not so already, and takes it out again with `--undo`.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { SERVICE_ADDRESS } from '../src/core/host-state.ts';

const USAGE = `usage: deploy/docker-setup.sh [--print | --undo] [--restart] [--root DIR]

Prepares this host's Docker Engine for overlayd, as root:
  - has systemd hold the plugin's socket (overlayd.socket), where systemd is, and tell Docker when the agent does not start
  - puts ${SERVICE_ADDRESS} before the name servers of Docker's containers ("dns" in /etc/docker/daemon.json)

  --print      say what would be done, do nothing
  --undo       take both out again
  --restart    restart Docker afterwards; without it you are told to
  --root DIR   the host's files are below DIR, and nothing is started there
`;

/** Docker asks three servers at most. */
const FALLBACKS = 2;
const SERVICE = 'overlayd.service';
const SOCKETS = ['overlayd.socket', 'overlayd-unavailable.socket'] as const;
/** Files beside this one, and where systemd finds them. */
const UNITS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(SOCKETS.map((name) => [name, name])),
  'overlayd-unavailable@.service': 'overlayd-unavailable@.service',
  'overlayd-again.timer': 'overlayd-again.timer',
  'overlayd-docker.conf': `${SERVICE}.d/docker.conf`,
};

type Json = Record<string, unknown>;
/** What was set, so that `--undo` can tell it from what somebody set later. */
interface DnsRecord {
  readonly before: readonly string[] | null;
  readonly after: readonly string[];
}

const values = readArguments();
const below = (file: string) => path.join(values.root, file);
const FILES = {
  daemon: below('/etc/docker/daemon.json'),
  backup: below('/etc/docker/daemon.json.before-overlayd'),
  record: below('/etc/docker/overlayd-dns.json'),
  units: below('/etc/systemd/system'),
  /** Of versions before, whose socket was enabled by itself. */
  wanted: below('/etc/systemd/system/sockets.target.wants/overlayd.socket'),
};

function main(): void {
  if (values.help) return void process.stdout.write(USAGE);
  const changed = values.undo ? [unsetNameServer(), removeSocket()] : [setNameServer(), installSocket()];
  if (!values.undo) warnOfResolver();
  if (changed[0]) restartDocker();
  else if (!changed[1]) say('nothing to do');
}

function readArguments() {
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    print: flag,
    undo: flag,
    restart: flag,
    help: flag,
    root: { type: 'string', default: '/' },
  } as const;
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

// ---------------------------------------------------------------- name server

/** True when Docker has to be restarted. */
function setNameServer(): boolean {
  const daemon = readDaemon();
  const current = serversOf(daemon);
  const others = current.filter((server) => server !== SERVICE_ADDRESS);
  const fallbacks = others.length > 0 ? others : upstreamServers();
  const wanted = [SERVICE_ADDRESS, ...fallbacks.slice(0, FALLBACKS)];
  if (current[0] === SERVICE_ADDRESS) {
    say(`${FILES.daemon} has "dns" ${JSON.stringify(current)} already`);
    return false;
  }
  const flag = nameServerFlag();
  if (flag !== undefined) {
    fail(`${flag} sets --dns: with "dns" in ${FILES.daemon} as well, Docker would not start. Take the flag out first`);
  }
  if (fallbacks.length === 0) {
    warn('no other name server found: while the agent is away, containers resolve no names of the outside');
  }
  if (!current.includes(SERVICE_ADDRESS)) writeRecord({ before: 'dns' in daemon ? current : null, after: wanted });
  if (existsSync(FILES.daemon))
    change(`keep a copy as ${FILES.backup}`, () => copyFileSync(FILES.daemon, FILES.backup));
  writeDaemon({ ...daemon, dns: wanted }, `set "dns" to ${JSON.stringify(wanted)} in ${FILES.daemon}`);
  return true;
}

function unsetNameServer(): boolean {
  const daemon = readDaemon();
  const current = serversOf(daemon);
  if (!current.includes(SERVICE_ADDRESS)) {
    say(`${FILES.daemon} does not name ${SERVICE_ADDRESS}`);
    return false;
  }
  const record = existsSync(FILES.record) ? (readJson(FILES.record) as unknown as DnsRecord) : undefined;
  const untouched = isDeepStrictEqual(record?.after, current);
  const rest = untouched ? (record?.before ?? []) : current.filter((server) => server !== SERVICE_ADDRESS);
  const { dns: _, ...others } = daemon;
  const wanted = rest.length > 0 ? { ...daemon, dns: rest } : others;
  if (Object.keys(wanted).length > 0 || existsSync(FILES.backup)) {
    const what = rest.length > 0 ? `set "dns" back to ${JSON.stringify(rest)} in` : 'take "dns" out of';
    writeDaemon(wanted, `${what} ${FILES.daemon}`);
  } else {
    change(`remove ${FILES.daemon}, which was made for "dns" alone`, () => rmSync(FILES.daemon));
  }
  if (record !== undefined) change(`remove ${FILES.record}`, () => rmSync(FILES.record));
  return true;
}

function writeRecord(record: DnsRecord): void {
  change(`note the former "dns" in ${FILES.record}, for --undo`, () => {
    mkdirSync(path.dirname(FILES.record), { recursive: true });
    writeFileSync(FILES.record, `${JSON.stringify(record)}\n`);
  });
}

function readDaemon(): Json {
  return existsSync(FILES.daemon) ? readJson(FILES.daemon) : {};
}

function readJson(file: string): Json {
  const text = readFileSync(file, 'utf8');
  if (text.trim() === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Json;
    throw new Error('it is no object');
  } catch (error) {
    return fail(`${file} is no valid JSON, nothing was changed: ${(error as Error).message}`);
  }
}

/** Whole or not at all, with the file's own mode and indentation. */
function writeDaemon(daemon: Json, what: string): void {
  change(what, () => {
    const there = existsSync(FILES.daemon);
    const indent = there ? (/^([ \t]+)"/m.exec(readFileSync(FILES.daemon, 'utf8'))?.[1] ?? 2) : 2;
    mkdirSync(path.dirname(FILES.daemon), { recursive: true });
    const temporary = `${FILES.daemon}.${process.pid}`;
    const mode = there ? statSync(FILES.daemon).mode & 0o777 : 0o644;
    writeFileSync(temporary, `${JSON.stringify(daemon, undefined, indent)}\n`, { mode });
    renameSync(temporary, FILES.daemon);
  });
}

function serversOf({ dns = [] }: Json): readonly string[] {
  if (Array.isArray(dns) && dns.every((server) => typeof server === 'string')) return dns;
  return fail(`"dns" in ${FILES.daemon} is no list of addresses, nothing was changed`);
}

/** Of the host. A stub resolver on loopback is out of the containers' reach: systemd-resolved tells whom it asks. */
function upstreamServers(): readonly string[] {
  for (const file of ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']) {
    const servers = [...readResolver(file).matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server]) => server ?? '');
    const reachable = servers.filter((server) => !/^(127\.|::1$|fe80:)/i.test(server) && server !== SERVICE_ADDRESS);
    if (reachable.length > 0) return reachable;
  }
  return [];
}

function warnOfResolver(): void {
  const options = readDaemon()['dns-opts'];
  const source = /^\s*options\s.*\bndots:/m.test(readResolver('/etc/resolv.conf'))
    ? "the host's /etc/resolv.conf"
    : Array.isArray(options) && options.some((option) => String(option).startsWith('ndots:'))
      ? `"dns-opts" in ${FILES.daemon}`
      : undefined;
  if (source === undefined) return;
  warn(
    `${source} has the option ndots: with it Docker forwards no names without a dot, and containers find those of other hosts as NAME.NETWORK.overlayd.internal alone. Take it out`,
  );
}

function readResolver(file: string): string {
  return existsSync(below(file)) ? readFileSync(below(file), 'utf8') : '';
}

/** Where Docker's daemon gets `--dns` from, if it does. */
function nameServerFlag(): string | undefined {
  const isFlag = (word: string) => /^--dns(=|$)/.test(word);
  const processes = existsSync(below('/proc')) ? readdirSync(below('/proc')).filter((name) => /^\d+$/.test(name)) : [];
  for (const pid of processes) {
    const [program = '', ...words] = readQuietly(below(`/proc/${pid}/cmdline`)).split('\0');
    if (path.basename(program) === 'dockerd' && words.some(isFlag) && isOfHost(pid))
      return `the running dockerd (process ${pid})`;
  }
  const dropIns = below('/etc/systemd/system/docker.service.d');
  const files = [
    ...['/etc/default/docker', '/etc/sysconfig/docker', '/etc/systemd/system/docker.service'].map(below),
    ...(existsSync(dropIns) ? readdirSync(dropIns).map((name) => path.join(dropIns, name)) : []),
  ];
  const lines = (file: string) =>
    readQuietly(file)
      .split('\n')
      .filter((line) => !/^\s*#/.test(line));
  return files.find((file) => lines(file).some((line) => line.split(/[\s"'=]+(?=--)|\s+/).some(isFlag)));
}

/** Not one of a container, or of another network namespace: those read files of their own, or are not overlayd's. */
function isOfHost(pid: string): boolean {
  const place = (who: string) => {
    const network = quietly(() => readlinkSync(below(`/proc/${who}/ns/net`)));
    const root = quietly(() => statSync(below(`/proc/${who}/root`)));
    return `${network} ${root?.dev} ${root?.ino}`;
  };
  return place(pid) === place('self');
}

/** Processes end while they are looked at. */
function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

function readQuietly(file: string): string {
  return quietly(() => readFileSync(file, 'utf8')) ?? '';
}

// ---------------------------------------------------------------- socket

/** True when something was to be done. */
function installSocket(): boolean {
  if (!hasSystemd()) {
    say('no systemd here: the agent makes the socket itself, and should be started before Docker');
    return false;
  }
  const outdated = Object.entries(UNITS).filter(([name, installed]) => readQuietly(unit(installed)) !== source(name));
  const running = isActive(SERVICE);
  const unheard = running && !isActive('overlayd.socket');
  const changes = outdated.length > 0 || isThere(FILES.wanted) || unheard;
  if (!changes) say('overlayd.socket is installed already');
  for (const [name, installed] of outdated) {
    change(`install ${unit(installed)}`, () => {
      mkdirSync(path.dirname(unit(installed)), { recursive: true });
      writeFileSync(unit(installed), source(name));
    });
  }
  if (isThere(FILES.wanted)) change(`remove ${FILES.wanted}`, () => rmSync(FILES.wanted));
  if (changes && isLive()) systemctl('daemon-reload');
  if (changes && running) {
    // A socket cannot be started below a service that runs. The agent's networks go on meanwhile.
    systemctl('stop', SERVICE);
    systemctl('start', SERVICE);
  }
  if (!hasService()) {
    warn(
      `${SERVICE} is not installed yet: Docker finds overlayd when it is. Do: install -m 644 deploy/${SERVICE} /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now overlayd`,
    );
  } else if (isLive() && !running) {
    say('overlayd.socket comes with the agent: systemctl enable --now overlayd');
  }
  return changes;
}

function removeSocket(): boolean {
  const present = Object.values(UNITS).filter((installed) => existsSync(unit(installed)));
  if (present.length === 0) return false;
  const running = isActive(SERVICE);
  // Of a version before there is the first alone.
  const sockets = SOCKETS.filter((name) => existsSync(unit(name)));
  if (isLive() && sockets.length > 0) systemctl('stop', ...sockets);
  for (const installed of present) change(`remove ${unit(installed)}`, () => rmSync(unit(installed)));
  const dropIns = path.dirname(unit(UNITS['overlayd-docker.conf']!));
  if (existsSync(dropIns) && !values.print && readdirSync(dropIns).length === 0) rmdirSync(dropIns);
  if (isThere(FILES.wanted)) change(`remove ${FILES.wanted}`, () => rmSync(FILES.wanted));
  if (isLive()) systemctl('daemon-reload');
  // It makes a socket of its own now. It ended with the other one, unless its unit is of a version before.
  if (running) systemctl('restart', SERVICE);
  return true;
}

function unit(installed: string): string {
  return path.join(FILES.units, installed);
}

function source(name: string): string {
  return readFileSync(path.join(import.meta.dirname, name), 'utf8');
}

/** Also a link to nowhere. */
function isThere(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function hasService(): boolean {
  if (isLive()) return spawnSync('systemctl', ['cat', SERVICE]).status === 0;
  return ['/etc', '/usr/lib', '/lib'].some((directory) => existsSync(below(`${directory}/systemd/system/${SERVICE}`)));
}

function isActive(name: string): boolean {
  return isLive() && spawnSync('systemctl', ['is-active', '--quiet', name]).status === 0;
}

function hasSystemd(): boolean {
  return existsSync(below(isLive() ? '/run/systemd/system' : '/etc/systemd/system'));
}

/** Whether it is this running system that is prepared. */
function isLive(): boolean {
  return path.resolve(values.root) === '/';
}

function systemctl(...words: readonly string[]): void {
  change(`systemctl ${words.join(' ')}`, () => {
    const { status, error } = spawnSync('systemctl', words, { stdio: 'inherit' });
    if (status !== 0) fail(`systemctl ${words.join(' ')} failed${error ? `: ${error.message}` : ''}`);
  });
}

function restartDocker(): void {
  if (values.restart && isLive()) systemctl('restart', 'docker.service');
  else say('Docker has to be restarted for its containers to get the name servers: systemctl restart docker');
}

// ---------------------------------------------------------------- words

function change(what: string, make: () => void): void {
  say(values.print ? `would ${what}` : what);
  if (!values.print) make();
}

function say(text: string): void {
  process.stdout.write(`docker-setup: ${text}\n`);
}

function warn(text: string): void {
  process.stderr.write(`docker-setup: warning: ${text}\n`);
}

function fail(text: string): never {
  process.stderr.write(`docker-setup: ${text}\n`);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail((error as Error).message);
}
