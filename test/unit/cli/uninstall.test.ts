import { describe, expect, it } from 'vitest';
import type { HostPrograms } from '../../../src/cli/session.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { memoryFiles, type RunOptions, run } from './fake-agent.ts';

const MARK = '/run/overlayd/last-stop';
const OWN_TOOL = 'calls the overlayd agent';

/** A host with systemd, an archive's installation and what container tools were given. */
function host({ noAgent = false, clearing = 0, manifest = true, uid = 0, undoing = 0, root = '/opt/overlayd-1' } = {}) {
  const files = new Map([
    ['/etc/systemd/system/overlayd.service', 'ExecStart=/usr/local/bin/overlayd agent'],
    ['/opt/cni/bin/overlayd', OWN_TOOL],
    ['/usr/lib/cni/overlayd', 'another program'],
    ['/etc/cni/net.d/87-overlayd-web.conflist', '{}'],
    ['/etc/cni/net.d/10-other.conflist', '{}'],
    ['/usr/local/bin/overlayd', ''],
    ['/run/overlayd/overlayd.sock', ''],
    ...(manifest
      ? [
          [
            `${root}/installed`,
            '/usr/local/share/zsh/\n/usr/local/share/zsh/own/\n/usr/local/bin/overlayd\ngroup overlayd\n',
          ] as const,
        ]
      : []),
  ]);
  const ran: string[] = [];
  /** What is run while other hosts are told not to await the agent. */
  const marked: string[] = [];
  const trees: string[] = [];
  let agents = 0;
  const programs: HostPrograms = {
    ...{ agent: ['overlayd', 'agent'], root },
    run: async (argv) => {
      ran.push(argv.join(' '));
      if (files.has(MARK)) marked.push(argv.join(' '));
      if (argv[0] === 'id') return { code: 0, output: `${uid}\n` };
      if (argv.includes('--undo')) return { code: undoing, output: undoing ? 'daemon.json is no valid JSON\n' : '' };
      const isClearing = argv.some((word) => word.startsWith('--clear-host'));
      return { code: isClearing ? clearing : 0, output: isClearing ? 'info: x\noverlayd: the kernel says no\n' : '' };
    },
    startAgent: async () => {
      agents++;
      ran.push('an agent starts');
      return { stop: async () => void ran.push('it ends') };
    },
    temporaryDirectory: async () => '/tmp/x',
    removeTree: async (path) => {
      trees.push(path);
      return true;
    },
  };
  const surroundings: NonNullable<RunOptions['surroundings']> = { files: memoryFiles(files), programs };
  return {
    ...{ files, ran, marked, trees, surroundings },
    /** Where none runs there is one as soon as one was started. */
    uninstall: (line: string, options: RunOptions = {}) => {
      const given = { ...options, surroundings: { ...surroundings, ...options.surroundings } };
      if (!noAgent) return run(line, given);
      const connect = async () => {
        if (agents === 0) throw new OverlaydError('agent-not-running', 'no agent answers');
        return { leaveCluster: async () => ({ nodeName: 'h1', clusterId: 'c1', warnings: [] }), close() {} } as never;
      };
      return run(line, { ...given, surroundings: { ...given.surroundings, connect } });
    },
  };
}

describe('uninstall', () => {
  it.each([
    ['uninstall --yes --no-leave', 'systemctl disable --now overlayd.service'],
    ['uninstall --yes --keep-data', 'systemctl stop overlayd.service'],
  ])('stops the agent so that no host awaits it: %s', async (line, stopping) => {
    const { uninstall, files, marked } = host();
    expect((await uninstall(line)).code).toBe(0);
    expect(marked).toEqual([stopping]);
    expect(files.has(MARK)).toBe(false);
    const fresh = host();
    fresh.files.delete('/run/overlayd/overlayd.sock');
    await fresh.uninstall(line);
    expect(fresh.marked).toEqual([]);
  });

  it('leaves, stops the service, clears the host and removes what was installed, in this order', async () => {
    const { uninstall, files, ran, trees } = host();
    const { code, out, asked } = await uninstall('uninstall --yes');
    expect(code).toBe(0);
    expect(asked).toEqual([['leaveCluster', { force: true, deleteCluster: false }]]);
    expect(ran).toEqual([
      'id -u',
      'systemctl cat overlayd.service',
      'systemctl disable --now overlayd.service',
      'systemctl stop overlayd.socket',
      'systemctl stop overlayd-unavailable.socket',
      'overlayd agent --clear-host=forget',
      'rmdir --ignore-fail-on-non-empty /etc/netns',
      '/opt/overlayd-1/deploy/docker-setup.sh --undo',
      'groupdel overlayd',
      'rmdir --ignore-fail-on-non-empty /usr/local/share/zsh/own/',
      'rmdir --ignore-fail-on-non-empty /usr/local/share/zsh/',
      'systemctl daemon-reload',
    ]);
    expect([...files.keys()]).toEqual([
      '/usr/lib/cni/overlayd',
      '/etc/cni/net.d/10-other.conflist',
      '/run/overlayd/overlayd.sock',
      '/opt/overlayd-1/installed',
    ]);
    expect(trees).toEqual(['/etc/overlayd', '/opt/overlayd-1']);
    expect(out).toMatch(/removed \/usr\/local\/bin\/overlayd\n/);
  });

  it('has an agent started where none runs, and ended before the host is cleared', async () => {
    const { uninstall, ran } = host({ noAgent: true });
    const { code, out, error } = await uninstall('uninstall --yes');
    expect(code).toBe(0);
    expect(error).toMatch(/no agent runs on this host/);
    expect(out).toMatch(/This node h1 left cluster c1/);
    expect(ran.slice(1, 3)).toEqual(['an agent starts', 'it ends']);
    expect(ran.indexOf('overlayd agent --clear-host=forget')).toBeGreaterThan(2);
  });

  it('--keep-data stays a member and deletes neither data nor programs', async () => {
    const { uninstall, ran, trees, files } = host();
    const { code, asked } = await uninstall('uninstall --yes --keep-data');
    expect(code).toBe(0);
    expect(asked).toEqual([]);
    expect(ran).toContain('systemctl stop overlayd.service');
    expect(ran).toContain('overlayd agent --clear-host');
    expect(trees).toEqual([]);
    expect(files.has('/etc/systemd/system/overlayd.service')).toBe(true);
    expect(files.has('/opt/cni/bin/overlayd')).toBe(false);
  });

  it('of a package or a checkout leaves the programs alone', async () => {
    const { uninstall, trees } = host({ manifest: false });
    expect((await uninstall('uninstall --yes')).code).toBe(0);
    expect(trees).toEqual(['/etc/overlayd']);
  });

  it('changes nothing when the cluster would end by it and that was not said', async () => {
    const { uninstall, ran } = host();
    const leaveCluster = () => {
      throw new OverlaydError('store-holder', 'this node runs the only etcd; --yes-delete-cluster');
    };
    const { code, error } = await uninstall('uninstall --yes', { answers: { leaveCluster } });
    expect(code).toBe(1);
    expect(error).toMatch(/--yes-delete-cluster/);
    expect(ran).toEqual(['id -u']);
  });

  it('goes on where the host is no member, and says --no-leave where no agent starts', async () => {
    const { uninstall, ran } = host();
    const leaveCluster = () => {
      throw new OverlaydError('not-joined', 'this host is no member');
    };
    expect((await uninstall('uninstall --yes', { answers: { leaveCluster } })).code).toBe(0);
    expect(ran).toContain('overlayd agent --clear-host=forget');
    const broken = await run('uninstall --yes', { noAgent: true });
    expect(broken.code).toBe(69);
    expect(broken.error).toMatch(/overlayd uninstall --no-leave/);
  });

  it('says what kept the host from being cleared, and deletes nothing then', async () => {
    const { uninstall, trees } = host({ clearing: 1 });
    const { code, error } = await uninstall('uninstall --yes');
    expect(code).toBe(1);
    expect(error).toMatch(/the kernel says no/);
    expect(trees).toEqual([]);
  });

  it('of a package takes back what the programs alone can, though the host is not cleared wholly', async () => {
    const { uninstall, ran, files } = host({ clearing: 1 });
    const { code, error } = await uninstall('uninstall --yes --keep-data');
    expect(code).toBe(1);
    expect(error).toMatch(/the kernel says no/);
    expect(ran.at(-1)).toBe('/opt/overlayd-1/deploy/docker-setup.sh --undo');
    expect(files.has('/opt/cni/bin/overlayd')).toBe(false);
  });

  it('leaves a folder that is not the archive’s own alone', async () => {
    const { uninstall, trees, files } = host({ root: '/opt' });
    const { code, error } = await uninstall('uninstall --yes');
    expect(code).toBe(0);
    expect(error).toMatch(/delete it yourself: \/opt$/m);
    expect(trees).toEqual(['/etc/overlayd']);
    expect(files.has('/usr/local/bin/overlayd')).toBe(false);
  });

  it('says what was not taken out of Docker’s configuration', async () => {
    const { uninstall } = host({ undoing: 1 });
    const { code, error } = await uninstall('uninstall --yes');
    expect(code).toBe(0);
    expect(error).toMatch(/warning: .* not undone: daemon\.json is no valid JSON/);
  });

  it('is refused to who is not root before anything is done', async () => {
    const { uninstall, ran } = host({ uid: 1000 });
    const { error, asked } = await uninstall('uninstall --yes');
    expect(error).toMatch(/by root alone: run it with sudo/);
    expect(asked).toEqual([]);
    expect(ran).toEqual(['id -u']);
  });

  it('asks before, and does nothing without a yes', async () => {
    const { uninstall, ran } = host();
    expect((await uninstall('uninstall')).code).toBe(2);
    const terminal = { input: true, output: true, error: true };
    expect((await uninstall('uninstall', { surroundings: { terminal } })).error).toMatch(/nothing was done/);
    expect(ran).toEqual([]);
  });
});

describe('leave without an agent', () => {
  it('by force has one started for it', async () => {
    const { uninstall, ran } = host({ noAgent: true });
    const { code, out } = await uninstall('leave --force');
    expect(code).toBe(0);
    expect(out).toMatch(/This node h1 left/);
    expect(ran).toEqual(['an agent starts', 'it ends']);
  });

  it('else says that there is none', async () => {
    const { uninstall, ran } = host({ noAgent: true });
    expect((await uninstall('leave')).code).toBe(69);
    expect(ran).toEqual([]);
  });
});
