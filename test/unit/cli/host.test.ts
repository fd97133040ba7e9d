import { describe, expect, it } from 'vitest';
import type { HostPrograms } from '../../../src/cli/session.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { Diagnosis, Status } from '../../../src/gen/overlayd/v1/control.ts';
import type { RemoteShell, RemoteTarget } from '../../../src/ports/remote.ts';
import { memoryFiles, NODE_ID, type RunOptions, run, status, TOKEN } from './fake-agent.ts';

const DEBIAN = {
  ...{ arch: 'x86_64', kernel: '6.12.57+deb13-amd64', name: 'host2', system: 'Debian GNU/Linux 13 (trixie)' },
  ...{ libc: 'glibc 2.41', apt: 'yes', systemd: 'yes' },
};
const PACKAGE = '/usr/lib/overlayd/release/overlayd_0.1.0_amd64.deb';

interface Remote {
  readonly facts?: Readonly<Record<string, string>>;
  readonly who?: string;
  /** What its agent says, where one answers. */
  readonly agent?: object;
  readonly joining?: { readonly code: number; readonly stderr: string } | OverlaydError;
  /** Files of this host. */
  readonly files?: Map<string, string>;
  readonly programs?: Partial<HostPrograms>;
  /** The way to it, from the first look on; the last one stays. */
  readonly paths?: readonly string[];
  readonly checks?: readonly { name: string; outcome: string; detail: string }[];
  readonly peerState?: string;
}

/** A host behind ssh, and what is done on it, in words. */
function remote(options: Remote = {}) {
  const done: string[] = [];
  const targets: RemoteTarget[] = [];
  const sent: unknown[] = [];
  const said = (stdout: string, code = 0, stderr = '') => ({ code, stdout, stderr });
  const facts = Object.entries({ ...DEBIAN, ...options.facts }).map(([name, value]) => `${name}=${value}`);
  const answer = (script: string) => {
    if (script.includes('uid=')) return said(options.who ?? 'uid=0\nconnection=10.9.0.1 40000 10.9.0.2 22\n');
    if (script.includes('uname -m')) {
      const agent = options.agent === undefined ? '' : `---\n${JSON.stringify(options.agent, null, 4)}\n`;
      return said(`${facts.join('\n')}\n${agent}`);
    }
    if (script.includes('apt-get install')) return note('installed by apt', said(''));
    if (script.includes('/install'))
      return note('installed from the archive', said('install: etcd is missing, which…\n'));
    if (script.includes('systemctl start')) return note('started', said(''));
    if (script.includes('overlayd join')) {
      const { joining = { code: 0, stderr: '' } } = options;
      if (joining instanceof OverlaydError) throw joining;
      const { code, stderr } = joining;
      return note(/overlayd join .*$/.exec(script)![0], said('', code, stderr));
    }
    throw new Error(`nobody answers ${script}`);
  };
  const note = <T>(what: string, end: T): T => {
    done.push(what);
    return end;
  };
  const shell: RemoteShell = {
    run: async (script, { input } = {}) => {
      if (input !== undefined) sent.push(typeof input === 'string' ? input : input.file);
      if (typeof input === 'object') input.onSent?.(40 * 2 ** 20);
      return answer(script);
    },
    close: async () => void done.push('closed'),
  };
  const paths = [...(options.paths ?? ['passes'])];
  const files = options.files ?? new Map([[PACKAGE, '']]);
  let looks = 0;
  const running: RunOptions = {
    answers: {
      getStatus: () =>
        Status.fromPartial({
          ...status,
          self: { ...status.self!, joinPort: 2377 },
          peers: ['host2', 'two'].map((name) => ({
            ...{ name, state: options.peerState ?? 'alive' },
            path: { state: paths[Math.min(Math.max(looks - 1, 0), paths.length - 1)]!, roundTripMs: 0.4, mtu: 1450 },
          })),
        }),
      diagnose: () => {
        looks++;
        const text = 'no packet comes from host2';
        return Diagnosis.fromPartial({
          checks: [...(options.checks ?? [{ name: 'data path', outcome: 'ok', detail: '' }])],
          findings: [{ code: 'data-path-lost', subject: 'host2', text, mend: 'open the port', certain: true }],
        });
      },
      revokeToken: () => {
        done.push('revoked');
        return { ref: 'abcdefgh' };
      },
    },
    surroundings: {
      files: { ...memoryFiles(files), size: async () => 40 * 2 ** 20 },
      openRemote: async (target) => {
        targets.push(target);
        return shell;
      },
      programs: {
        ...{ agent: ['overlayd', 'agent'], root: '/usr/lib/overlayd' },
        run: async () => ({ code: undefined, output: '' }),
        startAgent: async () => {
          throw new OverlaydError('agent-not-running', 'none');
        },
        temporaryDirectory: async () => '/tmp/made',
        removeTree: async (path) => note(`removed ${path}`, true),
        ...options.programs,
      },
    },
  };
  return { done, targets, sent, add: (line: string) => run(`host add ${line}`, running), running };
}

/** As an agent says it. */
const member = (clusterId: string, name = 'host2') => ({ ClusterID: clusterId, Self: { ID: NODE_ID, Name: name } });

describe('host add', () => {
  it('installs the package, has the host join with a token of its own, and waits for a packet', async () => {
    const { add, done, sent, targets } = remote();
    const { code, out, asked } = await add('root@10.9.0.2');
    expect(code).toBe(0);
    expect(targets).toEqual([
      { destination: 'root@10.9.0.2', port: undefined, identity: undefined, options: [], interactive: false },
    ]);
    expect(done).toEqual([
      'installed by apt',
      'started',
      'overlayd join --token-file - --advertise-addr 10.9.0.2 10.9.0.1:2377',
      'closed',
    ]);
    expect(sent).toEqual([PACKAGE, TOKEN]);
    expect(asked.find(([method]) => method === 'createToken')).toEqual([
      'createToken',
      { ttlMs: 900_000, uses: 1, node: 'host2' },
    ]);
    expect(out).toBe(`root@10.9.0.2 is host2 (Debian GNU/Linux 13 (trixie), x86_64, no overlayd)
  copied overlayd_0.1.0_amd64.deb there (40.0 MiB)
  installed overlayd 0.1.0
  its agent runs
  joined as host2, at 10.9.0.2
  a packet has gone to host2 and come back by the data path (0.4 ms there and back, packets of 1450 bytes pass)
Node host2 is a member now.
`);
  });

  it('leaves out what is done already', async () => {
    const { add, done } = remote({ facts: { version: '0.1.0' }, agent: member('c1d2') });
    const { code, out, asked } = await add('root@10.9.0.2');
    expect([code, done]).toEqual([0, ['closed']]);
    expect(out).toMatch(/overlayd is installed\n.*it is a member already, as host2\n/);
    expect(asked.map(([method]) => method)).not.toContain('createToken');
  });

  it('goes on after a run that broke off before the host joined', async () => {
    const { add, done } = remote({ facts: { version: '0.1.0' }, agent: member('') });
    expect((await add('--name two root@10.9.0.2')).code).toBe(0);
    expect(done[0]).toBe('overlayd join --token-file - --name two --advertise-addr 10.9.0.2 10.9.0.1:2377');
  });

  it('installs in place of an older release, and leaves a newer one', async () => {
    const older = remote({ facts: { version: '0.0.9' }, agent: member('') });
    expect((await older.add('root@10.9.0.2')).out).toContain('installed overlayd 0.1.0 in place of 0.0.9');
    const newer = remote({ facts: { version: '0.2.0' }, agent: member('') });
    await newer.add('root@10.9.0.2');
    expect(newer.done[0]).toMatch(/^overlayd join/);
  });

  it('starts an agent that does not answer', async () => {
    const { add, done } = remote({ facts: { version: '0.1.0' } });
    await add('root@10.9.0.2');
    expect(done.slice(0, 2)).toEqual(['started', expect.stringMatching(/^overlayd join/)]);
  });

  it('promotes or demotes the node where that is asked for', async () => {
    const asked = async (flag: string) => (await remote().add(`${flag} root@10.9.0.2`)).asked;
    expect(await asked('--store')).toContainEqual(['promoteNode', { ref: 'host2' }]);
    expect(await asked('--plain')).toContainEqual(['demoteNode', { ref: 'host2' }]);
  });

  it('takes sudo for another user than root, where it asks for no password', async () => {
    const who = 'uid=1000\nconnection=10.9.0.1 1 10.9.0.2 22\nsudo=';
    expect((await remote({ who: `${who}0\n` }).add('admin@10.9.0.2')).code).toBe(0);
    const { code, error } = await remote({ who: `${who}\n` }).add('admin@10.9.0.2');
    expect(code).toBe(1);
    expect(error).toMatch(/admin@10\.9\.0\.2 is not root there, and sudo asks for a password/);
  });

  it.each([
    ['10.9.0.1 1 10.9.0.2 22', '--advertise-addr 10.9.0.2'],
    ['10.9.0.1 1 ::ffff:10.9.0.2 22', '--advertise-addr 10.9.0.2'],
    // Those of members are of IPv4.
    ['2001:db8::1 1 2001:db8::2 22', undefined],
    ['fe80::1%eth0 1 fe80::2%eth0 22', undefined],
    ['127.0.0.1 1 127.0.0.1 22', undefined],
    ['', undefined],
  ])('has it join at the address that ssh came in by: %s', async (connection, words) => {
    const { add, done } = remote({ who: `uid=0\nconnection=${connection}\n` });
    await add('root@host2');
    const line = done.find((each) => each.startsWith('overlayd join'))!;
    expect(line).toBe(`overlayd join --token-file - ${words === undefined ? '' : `${words} `}10.9.0.1:2377`);
  });

  it.each([
    [{ arch: 'riscv64' }, /processor is of the kind riscv64; overlayd is made for x86_64 and aarch64/],
    [{ libc: 'glibc 2.27' }, /glibc 2\.27 is too old; overlayd needs 2\.28/],
    [{ libc: 'ldd (Debian GLIBC 2.19-18) 2.19' }, /glibc 2\.19 is too old/],
    [{ libc: 'musl libc (x86_64)' }, /C library is musl libc/],
    [{ kernel: '5.10.0-30-amd64' }, /kernel 5\.10\.0-30-amd64 is too old; overlayd needs 5\.18/],
    [{ systemd: '' }, /systemd does not run there/],
  ])('refuses a host on which overlayd does not run: %o', async (facts, message) => {
    const { add, done } = remote({ facts });
    const { code, error } = await add('root@10.9.0.2');
    expect(code).toBe(1);
    expect(error).toMatch(message);
    expect(done).toEqual(['closed']);
  });

  it('refuses a member of another cluster, or of another name', async () => {
    const facts = { version: '0.1.0' };
    expect((await remote({ facts, agent: member('ffee', 'b7') }).add('root@10.9.0.2')).error).toMatch(
      /node b7 of another cluster \(ffee\): `overlayd leave` there first/,
    );
    expect((await remote({ facts, agent: member('c1d2') }).add('--name x root@10.9.0.2')).error).toMatch(
      /it is a member as host2, not x/,
    );
  });

  it('revokes the token when the host cannot join, and passes on why', async () => {
    const stderr = 'warning: x\noverlayd: 10.9.0.1:2377 does not answer; is the port open?\n';
    const { add, done } = remote({ joining: { code: 1, stderr } });
    const { code, error } = await add('root@10.9.0.2');
    expect(code).toBe(1);
    expect(error).toMatch(/^warning: x$/m);
    expect(error).toMatch(/^overlayd: it could not join: 10\.9\.0\.1:2377 does not answer/m);
    expect(done.slice(-2)).toEqual(['revoked', 'closed']);
  });

  it('revokes the token when the connection is lost while the host joins', async () => {
    const { add, done } = remote({ joining: new OverlaydError('peer-unreachable', 'ssh does not reach it') });
    const { code, error } = await add('root@10.9.0.2');
    expect([code, error]).toEqual([1, 'overlayd: ssh does not reach it\n']);
    expect(done.slice(-2)).toEqual(['revoked', 'closed']);
  });

  it('lets nothing that the other host says command the terminal', async () => {
    const stderr = 'warning: \x1b[2Jx\noverlayd: \x1b]0;title\x07 is what it says\n';
    const { error } = await remote({ joining: { code: 1, stderr } }).add('root@10.9.0.2');
    expect(error).toBe('warning: ?[2Jx\noverlayd: it could not join: ?]0;title? is what it says\n');
  });

  it('says in the doctor’s words that nothing comes back', async () => {
    const { add } = remote({ paths: ['lost'] });
    const { code, error } = await add('root@10.9.0.2');
    expect(code).toBe(1);
    expect(error).toMatch(/it is a member, but no packet comes from host2 \(open the port\)/);
  });

  it('waits for a path that comes up, and says why one is not looked at', async () => {
    expect((await remote({ paths: ['unknown', 'unknown', 'passes'] }).add('root@10.9.0.2')).code).toBe(0);
    const checks = [{ name: 'data path', outcome: 'skipped', detail: 'all networks are encrypted' }];
    const { code, out } = await remote({ checks, paths: ['unknown'] }).add('root@10.9.0.2');
    expect(code).toBe(0);
    expect(out).toMatch(/not looked at: all networks are encrypted/);
  });

  it('gives up a member that is not heard', async () => {
    let now = 0;
    const { running } = remote({ peerState: 'down' });
    const sleep = async (ms: number) => {
      now += ms;
    };
    const surroundings = { ...running.surroundings, now: () => now, sleep };
    const { code, error } = await run('host add root@10.9.0.2', { ...running, surroundings });
    expect(code).toBe(1);
    expect(error).toMatch(/has not heard it: open 7946\/tcp/);
  });

  it('shows with --print what it would do, and does nothing', async () => {
    const { add, done } = remote();
    const { code, out, asked } = await add('--print --store root@10.9.0.2');
    expect([code, done]).toEqual([0, ['closed']]);
    expect(asked.map(([method]) => method)).toEqual(['getStatus']);
    expect(out).toMatch(/1\. copy the package of overlayd 0\.1\.0 \(x64\) there, and install it: apt-get install/);
    expect(out).toMatch(/overlayd token create --ttl 15m --uses 1 --node host2/);
    expect(out).toMatch(/overlayd join --token-file - --advertise-addr 10\.9\.0\.2 10\.9\.0\.1:2377/);
    expect(out).toMatch(/overlayd node promote host2/);
    expect(out).toMatch(/Nothing was changed\.\n$/);
  });

  it('answers in JSON, with the steps on the other stream', async () => {
    const { out, error } = await remote().add('--format json root@10.9.0.2');
    expect(JSON.parse(out)).toEqual([
      {
        ...{ Host: 'root@10.9.0.2', NodeName: 'host2', Installed: '0.1.0', Joined: true },
        ...{ DataPath: { RoundTripMs: 0.4, Mtu: 1450 }, DataPathSkipped: '' },
      },
    ]);
    expect(error).toMatch(/installed overlayd 0\.1\.0/);
  });

  it('is refused on a host that is no member', async () => {
    const { running } = remote();
    const { code, error } = await run('host add root@10.9.0.2', {
      ...running,
      answers: { getStatus: () => Status.fromPartial({ state: 'waiting' }) },
    });
    expect(code).toBe(1);
    expect(error).toMatch(/`overlayd init` first/);
  });

  it.each([
    ['root@', /no host that ssh reaches/],
    ['-oProxyCommand=x', /unknown option/],
    ['-- -oProxyCommand=x', /no host that ssh reaches/],
    ['--store --plain root@h', /opposite/],
    ['--name a root@h root@i', /of one host/],
    ['--package x.deb root@h', /overlayd_0\.1\.0_amd64\.deb/],
  ])('%s: a wrong command line asks nobody', async (line, message) => {
    const { add, targets } = remote();
    const { code, error } = await add(line);
    expect(code).toBe(2);
    expect(error).toMatch(message);
    expect(targets).toEqual([]);
  });
});

describe('the package for another host', () => {
  const made = (root: string, installed: boolean) => {
    const ran: string[] = [];
    const programs: Partial<HostPrograms> = {
      root,
      run: async (argv) => {
        ran.push(argv.at(-1)!);
        if (argv[0] === 'dpkg-query')
          return installed
            ? { code: 0, output: 'Status: install ok installed\nVersion: 0.1.0\n' }
            : { code: 1, output: '' };
        return { code: 0, output: '' };
      },
    };
    return { ran, programs };
  };

  it('is put together of what this host’s own package installed, and removed afterwards', async () => {
    const { programs, ran } = made('/usr/lib/overlayd', true);
    const { add, done, sent } = remote({ files: new Map(), programs });
    expect((await add('root@10.9.0.2')).code).toBe(0);
    expect(ran.at(-1)).toBe('/tmp/made/overlayd_0.1.0_amd64.deb');
    expect(sent[0]).toBe('/tmp/made/overlayd_0.1.0_amd64.deb');
    expect(done).toContain('removed /tmp/made');
  });

  it('is the folder that the archive was unpacked to', async () => {
    const { programs } = made('/opt/overlayd-0.1.0', false);
    const files = new Map([['/opt/overlayd-0.1.0/installed', '/usr/local/bin/overlayd\n']]);
    const { add, done, sent } = remote({ files, programs });
    const { error } = await add('root@10.9.0.2');
    expect(sent[0]).toBe('/tmp/made/overlayd-0.1.0-linux-x64.tar.gz');
    expect(done).toContain('installed from the archive');
    expect(error).toMatch(/^warning: etcd is missing/m);
  });

  it('has to be named where there is none', async () => {
    const { add } = remote({ files: new Map() });
    expect((await add('root@10.9.0.2')).error).toMatch(
      /no overlayd_0\.1\.0_amd64\.deb on this host .*`npm run package`, and name it with --package/,
    );
    const arm = remote({
      files: new Map(),
      facts: { arch: 'aarch64' },
      programs: made('/usr/lib/overlayd', true).programs,
    });
    expect((await arm.add('root@10.9.0.2')).error).toMatch(
      /overlayd_0\.1\.0_arm64\.deb .*`npm run package -- --arch arm64`/,
    );
  });

  it('that is named has to fit the host', async () => {
    const add = (file: string, facts = {}) => remote({ facts }).add(`--package ${file} root@10.9.0.2`);
    expect((await add('/a/overlayd_0.1.0_arm64.deb')).error).toMatch(/it is for arm64, the host is x64/);
    expect((await add('/a/overlayd_0.1.0_amd64.deb', { apt: '' })).error).toMatch(/has no apt/);
    expect((await add('/a/overlayd-0.2.0-linux-x64.tar.gz')).out).toMatch(/installed overlayd 0\.2\.0/);
  });
});
