import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Arch, archiveFiles, type Made, packagedUnit, packageFiles } from '../../../deploy/package/files.ts';
import { manualPages } from '../../../deploy/package/manual.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const SCRIPTS = path.join(ROOT, 'deploy/package/debian');
const unit = readFileSync(path.join(ROOT, 'deploy/overlayd.service'), 'utf8');
const made: Made = {
  ...{ manual: manualPages('1.2.3'), completions: { bash: 'b', zsh: 'z', fish: 'f' }, dockerSetup: 'd', unit },
  ...{ copyright: 'c', changelog: 'l' },
};
const filesFor = (arch: Arch) => {
  const koffi = path.join(ROOT, 'node_modules/@koromix/koffi-linux-x64');
  const native = { node: path.join(ROOT, 'node_modules/node/bin/node'), koffi };
  return { deb: packageFiles(arch, native, made), archive: archiveFiles('overlayd', arch, native, made) };
};
const { deb, archive } = filesFor('x64');
const pathsOf = (entries: readonly { readonly path: string }[]) => entries.map((entry) => entry.path);

describe('the package', () => {
  it('has all that the launcher, the agent and docker-setup look for', () => {
    expect(pathsOf(deb)).toEqual(
      expect.arrayContaining(
        [
          'dist/overlayd',
          ...['cli', 'agent'].flatMap((name) => [`dist/lib/${name}.cjs`, `dist/lib/${name}.bundle.cjs`]),
          ...[
            'dist/lib/names.cjs',
            'dist/lib/kernel-worker.cjs',
            'dist/lib/ui.cjs',
            'dist/lib/page/page.js',
            'dist/lib/overlayd.pl',
            'dist/lib/cli.bundle.code',
          ],
          ...['node_modules/node/bin/node', 'node_modules/koffi/index.cjs', 'deploy/docker-setup.sh'],
          'node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node',
        ].map((name) => `usr/lib/overlayd/${name}`),
      ),
    );
    const programs = readdirSync(path.join(ROOT, 'dist/lib')).filter((name) => /\.(cjs|code|pl)$/.test(name));
    for (const name of programs) expect(pathsOf(deb)).toContain(`usr/lib/overlayd/dist/lib/${name}`);
    for (const unitName of ['overlayd.socket', 'overlayd-unavailable@.service', 'overlayd-docker.conf']) {
      expect(pathsOf(deb)).toContain(`usr/lib/overlayd/deploy/${unitName}`);
    }
  });

  it('takes files that are there, has each once, and links that lead to one', () => {
    for (const { from } of [...deb, ...archive]) {
      if (from !== undefined && !from.startsWith('dist/'))
        expect(existsSync(path.resolve(ROOT, from)), from).toBe(true);
    }
    expect(new Set(pathsOf(deb)).size).toBe(deb.length);
    for (const { path: name, link } of deb) {
      if (link !== undefined) expect(pathsOf(deb)).toContain(path.join(path.dirname(name), link));
    }
  });

  it('has units, manual, completions and copyright where Debian looks', () => {
    expect(pathsOf(deb)).toEqual(
      expect.arrayContaining([
        'usr/bin/overlayd',
        'usr/sbin/overlayd-docker-setup',
        'usr/lib/systemd/system/overlayd.service',
        'usr/share/bash-completion/completions/overlayd',
        'usr/share/zsh/vendor-completions/_overlayd',
        'usr/share/fish/vendor_completions.d/overlayd.fish',
        'usr/share/man/man1/overlayd.1.gz',
        'usr/share/man/man1/overlayd-network.1.gz',
        'usr/share/doc/overlayd/copyright',
        'usr/share/overlayd/prometheus/alerts.yml',
        'usr/share/overlayd/grafana/overlayd.json',
      ]),
    );
  });

  it('has as much of koffi as that needs to load', () => {
    const root = mkdtempSync(path.join(tmpdir(), 'overlayd-koffi-'));
    try {
      for (const { path: name, from } of deb) {
        if (from === undefined || !/node_modules\/(koffi|@koromix)\//.test(name)) continue;
        mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
        copyFileSync(path.resolve(ROOT, from), path.join(root, name));
      }
      const script = "process.stdout.write(typeof require('koffi').load)";
      const cwd = path.join(root, 'usr/lib/overlayd');
      expect(execFileSync(process.execPath, ['-e', script], { cwd, encoding: 'utf8' })).toBe('function');
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('of another processor has no compiled code of this one', () => {
    const paths = pathsOf(filesFor('arm64').deb);
    expect(paths).toContain('usr/lib/overlayd/node_modules/@koromix/koffi-linux-arm64/linux_arm64/koffi.node');
    expect(paths.filter((name) => name.endsWith('.code') || name.includes('x64'))).toEqual([]);
  });

  it('starts its own program, in the group that may use the socket, and is else the unit of the checkout', () => {
    const packed = packagedUnit(unit, '/usr/bin/overlayd');
    expect(packed).toMatch(/^ExecStart=\/usr\/bin\/overlayd agent$/m);
    const settings = (text: string) => text.split('\n').filter((line) => /^[A-Z]\w+=|^\[/.test(line));
    expect(settings(packed).filter((line) => !settings(unit).includes(line))).toEqual([
      'ExecStart=/usr/bin/overlayd agent',
      'SupplementaryGroups=overlayd',
    ]);
  });

  it.each(['preinst', 'postinst', 'prerm', 'postrm'])('%s is a script that sh takes', (name) => {
    const file = path.join(SCRIPTS, name);
    expect(readFileSync(file, 'utf8')).toMatch(/^#!\/bin\/sh\nset -e\n/);
    expect(execFileSync('sh', ['-n', file], { encoding: 'utf8' })).toBe('');
  });
});

describe('what the package does with Debian’s own etcd', () => {
  let host: string;
  let there = '';
  beforeEach(() => {
    [host, there] = [mkdtempSync(path.join(tmpdir(), 'overlayd-scripts-')), ''];
  });
  afterEach(() => rmSync(host, { recursive: true }));

  const dropIn = () => existsSync(path.join(host, 'etc/systemd/system/etcd.service.d/overlayd.conf'));
  /** With files below `host`, and of programs only what tells of etcd-server. */
  const script = (name: string, action: string) => {
    const text = readFileSync(path.join(SCRIPTS, name), 'utf8').replace(
      /(?<=[\s>])\/(?=etc\/|run\/|var\/)/g,
      `${host}/`,
    );
    const bin = path.join(host, 'bin');
    mkdirSync(bin, { recursive: true });
    const programs = {
      'dpkg-query': `printf '%s' '${there}'`,
      getent: 'exit 2',
      'deb-systemd-helper': '',
      systemctl: '',
    };
    for (const [program, line] of Object.entries(programs))
      writeFileSync(path.join(bin, program), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    execFileSync('sh', ['-c', text, name, action], { env: { PATH: `${bin}:/usr/bin:/bin` } });
  };

  it('is off where it came along, also when the package is removed and installed again, and free after purge', () => {
    script('preinst', 'install');
    expect(dropIn()).toBe(true);
    there = 'installed';
    script('postrm', 'remove');
    script('preinst', 'install');
    expect(dropIn()).toBe(true);
    script('postrm', 'purge');
    expect(existsSync(path.join(host, 'etc/systemd/system/etcd.service.d'))).toBe(false);
  });

  it('is left alone where it was there before', () => {
    there = 'installed';
    script('preinst', 'install');
    expect(dropIn()).toBe(false);
  });
});

describe('the archive', () => {
  it('has in one folder what its `install` links to', () => {
    const paths = pathsOf(archive);
    expect(paths.every((name) => name.startsWith('overlayd/'))).toBe(true);
    const script = readFileSync(path.join(ROOT, 'deploy/package/install.sh'), 'utf8');
    const linked = [...script.matchAll(/^link ([\w/.-]+) /gm)].map(([, name]) => `overlayd/${name}`);
    expect(linked).toHaveLength(5);
    for (const name of linked) expect(paths).toContain(name);
    expect(paths).toEqual(expect.arrayContaining(['overlayd/install', 'overlayd/man/overlayd.1', 'overlayd/LICENSE']));
    expect(paths).toContain('overlayd/deploy/overlayd.service');
  });
});

describe('a manual page', () => {
  it('fills prose as wide as the page is, and leaves examples as they are', () => {
    const page = made.manual.get('overlayd-host.1')!;
    expect(page).toMatch(/^\.SS NOTES\n\.PP\nGoes over the system's ssh/m);
    expect(page).toMatch(/^where it ended\.\n\.PP\n\.nf\nExamples:\n {2}overlayd host add root@192\.0\.2\.2\n[^.]/m);
  });

  it('is there for every command, with all of its options and examples', () => {
    const page = made.manual.get('overlayd-network.1')!;
    expect(page).toMatch(/^\.TH OVERLAYD-NETWORK 1 "" "overlayd 1\.2\.3"/);
    expect(page).toContain('.SH OVERLAYD NETWORK CREATE');
    expect(page).toContain('.B \\-\\-subnet <cidr>');
    expect(page).toMatch(/^ {2}overlayd network create .*web/m);
    expect(made.manual.get('overlayd-agent.1')).toContain('\\-\\-data\\-dir');
    expect(made.manual.get('overlayd.1')).toContain('.B overlayd\\-network(1)');
  });
});
