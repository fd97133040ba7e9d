import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const DEPLOY = path.resolve(import.meta.dirname, '../../../deploy');
const SCRIPT = path.join(DEPLOY, 'docker-setup.sh');
const DAEMON = '/etc/docker/daemon.json';
const BACKUP = '/etc/docker/daemon.json.before-overlayd';
const UNIT = '/etc/systemd/system/overlayd.socket';

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'overlayd-setup-'));
  write('/etc/resolv.conf', 'nameserver 10.0.0.53\nnameserver 10.0.1.53\nnameserver 10.0.2.53\n');
});

afterEach(() => rmSync(root, { recursive: true }));

const below = (file: string) => path.join(root, file);
const read = (file: string) => readFileSync(below(file), 'utf8');
const dns = () => JSON.parse(read(DAEMON)).dns;

function write(file: string, text: string): void {
  mkdirSync(path.dirname(below(file)), { recursive: true });
  writeFileSync(below(file), text);
}

function setup(...flags: readonly string[]) {
  const { status, stdout, stderr } = spawnSync('sh', [SCRIPT, '--root', root, ...flags], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${below('/bin')}:${process.env.PATH}` },
  });
  return { status, stdout, stderr };
}

describe("the name servers of Docker's containers", () => {
  it('are the agent and two of the host, in a file that was not there', () => {
    const { status, stdout } = setup();
    expect(status).toBe(0);
    expect(stdout).toContain(`set "dns" to ["169.254.53.53","10.0.0.53","10.0.1.53"] in ${below(DAEMON)}`);
    expect(stdout).toContain('Docker has to be restarted');
    expect(JSON.parse(read(DAEMON))).toEqual({ dns: ['169.254.53.53', '10.0.0.53', '10.0.1.53'] });
  });

  it('come into the file that is there, which keeps everything else, its looks and its mode', () => {
    const former =
      '{\n    "log-driver": "local",\n    "default-address-pools": [{"base":"10.200.0.0/16","size":24}]\n}\n';
    write(DAEMON, former);
    chmodSync(below(DAEMON), 0o600);
    expect(setup().status).toBe(0);
    const { dns: servers, ...others } = JSON.parse(read(DAEMON));
    expect(servers[0]).toBe('169.254.53.53');
    expect(others).toEqual(JSON.parse(former));
    expect(read(DAEMON)).toContain('\n    "log-driver"');
    expect(statSync(below(DAEMON)).mode & 0o777).toBe(0o600);
    expect(read(BACKUP)).toBe(former);
  });

  it("stand before the user's own", () => {
    write(DAEMON, '{"dns":["192.0.2.1"]}');
    setup();
    expect(dns()).toEqual(['169.254.53.53', '192.0.2.1']);
  });

  it('are set once', () => {
    setup();
    const before = read(DAEMON);
    const { status, stdout } = setup();
    expect(status).toBe(0);
    expect(stdout).toContain('already');
    expect(stdout).toContain('nothing to do');
    expect(read(DAEMON)).toBe(before);
  });

  it('are those behind a stub resolver on loopback', () => {
    write('/etc/resolv.conf', 'nameserver 127.0.0.53\n');
    write('/run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.53\nnameserver 2001:db8::53\n');
    setup();
    expect(dns()).toEqual(['169.254.53.53', '192.0.2.53', '2001:db8::53']);
  });

  it('may be the agent alone, which is worth a warning', () => {
    write('/etc/resolv.conf', 'nameserver 127.0.0.1\n');
    const { status, stderr } = setup();
    expect(status).toBe(0);
    expect(stderr).toContain('no other name server found');
    expect(dns()).toEqual(['169.254.53.53']);
  });
});

describe('what is in the way', () => {
  it.each(['{"dns": [', '[]', '{"dns":"10.0.0.1"}'])('%s is left as it is', (text) => {
    write(DAEMON, text);
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain('nothing was changed');
    expect(stderr).not.toContain('    at ');
    expect(read(DAEMON)).toBe(text);
    expect(existsSync(below(BACKUP))).toBe(false);
  });

  it.each([
    ['/proc/77/cmdline', '/usr/bin/dockerd\0-H\0fd://\0--dns=10.0.0.1\0', 'process 77'],
    ['/etc/default/docker', '# --dns 8.8.8.8\nDOCKER_OPTS="--dns 10.0.0.1"\n', '/etc/default/docker'],
    ['/etc/systemd/system/docker.service.d/x.conf', '[Service]\nExecStart=/usr/bin/dockerd --dns 10.0.0.1\n', 'x.conf'],
  ])('a flag in %s, with which Docker would not start', (file, text, named) => {
    write(file, text);
    const { status, stderr } = setup();
    expect(status).toBe(1);
    expect(stderr).toContain(named);
    expect(existsSync(below(DAEMON))).toBe(false);
  });

  it('is no flag of an engine in a container or in another network namespace', () => {
    const processes = { self: 'net:[1]', 76: 'net:[1]', 77: 'net:[2]', 78: 'net:[1]' };
    for (const [pid, network] of Object.entries(processes)) {
      write(`/proc/${pid}/cmdline`, '/usr/bin/dockerd\0--dns=10.0.0.1\0');
      mkdirSync(below(`/proc/${pid}/ns`));
      symlinkSync(network, below(`/proc/${pid}/ns/net`));
      symlinkSync(pid === '78' ? below('/proc') : root, below(`/proc/${pid}/root`));
    }
    expect(setup().stderr).toContain('process 76');
    rmSync(below('/proc/76'), { recursive: true });
    expect(setup().status).toBe(0);
  });

  it('is no flag of another name, and none that is commented out', () => {
    write('/proc/77/cmdline', '/usr/bin/dockerd\0--dns-opt=timeout:1\0--dns-search\0x\0');
    write('/proc/78/cmdline', '/usr/bin/other\0--dns\0x\0');
    write('/etc/default/docker', '#DOCKER_OPTS="--dns 8.8.8.8"\n');
    expect(setup().status).toBe(0);
  });

  it.each([
    ['/etc/resolv.conf', 'nameserver 10.0.0.53\noptions edns0 ndots:2\n'],
    [DAEMON, '{"dns-opts":["ndots:1"]}'],
  ])('ndots in %s is worth a warning', (file, text) => {
    expect(setup('--print').stderr).toBe('');
    write(file, text);
    expect(setup().stderr).toMatch(/warning: .*ndots/);
  });
});

describe('--print', () => {
  it('does nothing', () => {
    write(DAEMON, '{"debug":true}');
    const { status, stdout } = setup('--print');
    expect(status).toBe(0);
    expect(stdout).toContain('would set "dns"');
    expect(read(DAEMON)).toBe('{"debug":true}');
    expect(existsSync(below(BACKUP))).toBe(false);
  });
});

describe('--undo', () => {
  it.each([
    ['a file without them', '{"debug":true}', { debug: true }],
    [
      "the user's own",
      '{"dns":["192.0.2.1","192.0.2.2","192.0.2.3"]}',
      { dns: ['192.0.2.1', '192.0.2.2', '192.0.2.3'] },
    ],
    ['an empty object', '{}', {}],
  ])('brings back %s', (_, text, expected) => {
    write(DAEMON, text);
    setup();
    expect(setup('--undo').status).toBe(0);
    expect(JSON.parse(read(DAEMON))).toEqual(expected);
  });

  it('removes the file that was made', () => {
    setup();
    setup('--undo');
    expect(existsSync(below(DAEMON))).toBe(false);
    expect(setup('--undo').stdout).toContain('nothing to do');
  });

  it('keeps what was set since', () => {
    setup();
    write(DAEMON, '{"dns":["169.254.53.53","192.0.2.9"],"debug":true}');
    setup('--undo');
    expect(JSON.parse(read(DAEMON))).toEqual({ dns: ['192.0.2.9'], debug: true });
  });
});

describe('the units', () => {
  const DROP_IN = '/etc/systemd/system/overlayd.service.d/docker.conf';
  const WANTED = '/etc/systemd/system/sockets.target.wants/overlayd.socket';

  beforeEach(() => {
    write('/etc/systemd/system/overlayd.service', '[Service]\n');
  });

  it('are installed where systemd is, once, and taken out again', () => {
    expect(setup().status).toBe(0);
    expect(read(UNIT)).toBe(readFileSync(path.join(DEPLOY, 'overlayd.socket'), 'utf8'));
    expect(read(DROP_IN)).toBe(readFileSync(path.join(DEPLOY, 'overlayd-docker.conf'), 'utf8'));
    expect(setup().stdout).toContain('nothing to do');
    expect(setup('--undo').status).toBe(0);
    expect([UNIT, DROP_IN].map((file) => existsSync(below(file)))).toEqual([false, false]);
  });

  it('are not enough without the service, and that is said each time', () => {
    rmSync(below('/etc/systemd/system/overlayd.service'));
    for (const { status, stderr } of [setup(), setup()]) {
      expect([status, stderr]).toEqual([0, expect.stringContaining('overlayd.service is not installed yet')]);
    }
  });

  it('take the place of a socket that was enabled by itself', () => {
    setup();
    mkdirSync(path.dirname(below(WANTED)), { recursive: true });
    symlinkSync(UNIT, below(WANTED));
    expect(setup().stdout).toContain(`remove ${below(WANTED)}`);
    expect(setup().stdout).toContain('nothing to do');
  });

  it('is replaced when it is an old one', () => {
    setup();
    write(UNIT, '[Socket]\n');
    expect(setup().stdout).toContain(`install ${below(UNIT)}`);
    expect(read(UNIT)).toContain('FileDescriptorName=docker');
  });

  it('is not touched by --print', () => {
    expect(setup('--print').stdout).toContain(`would install ${below(UNIT)}`);
    expect(existsSync(below(UNIT))).toBe(false);
  });

  it('needs no systemd', () => {
    rmSync(below('/etc/systemd'), { recursive: true });
    const { status, stdout } = setup();
    expect(status).toBe(0);
    expect(stdout).toContain('no systemd here');
  });
});

it('explains itself', () => {
  expect(setup('--help').stdout).toContain('usage: deploy/docker-setup.sh');
  const { status, stderr } = setup('--unknown');
  expect(status).toBe(1);
  expect(stderr).toContain('--unknown');
  expect(stderr).not.toContain('    at ');
});
