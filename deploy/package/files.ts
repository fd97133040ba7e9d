/** What the package and the archive hold, as a table: nothing here reads or writes a file. */

/** Below the root of what is made. One of `from` (a file of the checkout), `text` and `link`. */
export interface Entry {
  readonly path: string;
  readonly from?: string;
  readonly text?: string;
  readonly link?: string;
  /** 0644 unless it says otherwise. */
  readonly mode?: number;
}

export type Arch = 'x64' | 'arm64';

export const DEBIAN_ARCH: Readonly<Record<Arch, string>> = { x64: 'amd64', arm64: 'arm64' };

export interface Made {
  /** Page (`overlayd.1`) to text. */
  readonly manual: ReadonlyMap<string, string>;
  /** Shell to script. */
  readonly completions: Readonly<Record<'bash' | 'zsh' | 'fish', string>>;
  /** Of deploy/docker-setup.ts. */
  readonly dockerSetup: string;
  /** Of deploy/overlayd.service. */
  readonly unit: string;
  readonly copyright: string;
  /** In Debian's form. */
  readonly changelog: string;
}

/** Where npm has put what differs by processor. */
export interface NativeFiles {
  readonly node: string;
  readonly koffi: string;
}

const EXECUTABLE = 0o755;
/** Compiled code is of one processor; without it the programs start slower. */
const PROGRAMS = [
  'agent.cjs',
  'agent.bundle.cjs',
  'cli.cjs',
  'cli.bundle.cjs',
  'control.cjs',
  'execa.cjs',
  'kernel-worker.cjs',
  'names.cjs',
  'ui.cjs',
  'x509.cjs',
];
const PAGE = ['index.html', 'page.js', 'page.css', 'favicon.svg'];
const COMPILED = ['agent.bundle.code', 'cli.bundle.code'];
const DOCKER_UNITS = [
  'overlayd.socket',
  'overlayd-unavailable.socket',
  'overlayd-unavailable@.service',
  'overlayd-again.timer',
  'overlayd-docker.conf',
];
/** For who watches hosts: alerts for Prometheus with what to do, a dashboard for Grafana. */
const WATCHING = {
  'prometheus/alerts.yml': 'deploy/prometheus/alerts.yml',
  'prometheus/alerts.md': 'docs/alerts.md',
  'grafana/overlayd.json': 'deploy/grafana/overlayd.json',
};
const KOFFI = ['package.json', 'index.cjs', 'src/koffi/index.cjs', 'src/koffi/src/static.cjs'];

/** As in a checkout: the programs find each other, Node.js and koffi by where they lie. */
export function programFiles(root: string, arch: Arch, native: NativeFiles, made: Made): readonly Entry[] {
  const at = (path: string, from: string, mode?: number): Entry => ({
    ...{ path: `${root}/${path}`, from },
    ...(mode !== undefined && { mode }),
  });
  const libraries = [...PROGRAMS, ...(arch === 'x64' ? COMPILED : [])];
  const addon = `@koromix/koffi-linux-${arch}`;
  const binary = `linux_${arch}/koffi.node`;
  return [
    at('dist/overlayd', 'dist/overlayd', EXECUTABLE),
    ...libraries.map((name) => at(`dist/lib/${name}`, `dist/lib/${name}`)),
    ...PAGE.map((name) => at(`dist/lib/page/${name}`, `dist/lib/page/${name}`)),
    at('dist/lib/overlayd.pl', 'dist/lib/overlayd.pl', EXECUTABLE),
    at('node_modules/node/bin/node', native.node, EXECUTABLE),
    ...KOFFI.map((name) => at(`node_modules/koffi/${name}`, `node_modules/koffi/${name}`)),
    ...['package.json', 'index.js', binary].map((name) =>
      at(`node_modules/${addon}/${name}`, `${native.koffi}/${name}`),
    ),
    at('deploy/docker-setup.sh', 'deploy/docker-setup.sh', EXECUTABLE),
    { path: `${root}/deploy/docker-setup.cjs`, text: made.dockerSetup },
    ...DOCKER_UNITS.map((name) => at(`deploy/${name}`, `deploy/${name}`)),
  ];
}

const LIBRARY = 'usr/lib/overlayd';

/** `/` of a host that has the package. Manual pages and the changelog are compressed when they are written. */
export function packageFiles(arch: Arch, native: NativeFiles, made: Made): readonly Entry[] {
  return [
    ...programFiles(LIBRARY, arch, native, made),
    { path: 'usr/bin/overlayd', link: '../lib/overlayd/dist/overlayd' },
    { path: 'usr/sbin/overlayd-docker-setup', link: '../lib/overlayd/deploy/docker-setup.sh' },
    { path: 'usr/lib/systemd/system/overlayd.service', text: packagedUnit(made.unit, '/usr/bin/overlayd') },
    { path: 'usr/share/bash-completion/completions/overlayd', text: made.completions.bash },
    { path: 'usr/share/zsh/vendor-completions/_overlayd', text: made.completions.zsh },
    { path: 'usr/share/fish/vendor_completions.d/overlayd.fish', text: made.completions.fish },
    ...[...made.manual].map(([page, text]) => ({ path: `usr/share/man/man1/${page}.gz`, text })),
    { path: 'usr/share/doc/overlayd/NEWS.gz', from: 'CHANGELOG.md' },
    { path: 'usr/share/doc/overlayd/changelog.gz', text: made.changelog },
    { path: 'usr/share/doc/overlayd/copyright', text: made.copyright },
    { path: 'usr/share/doc/overlayd/examples/overlayd.toml', from: 'deploy/overlayd.toml.example' },
    ...Object.entries(WATCHING).map(([name, from]) => ({ path: `usr/share/overlayd/${name}`, from })),
    { path: 'usr/share/lintian/overrides/overlayd', from: 'deploy/package/lintian-overrides' },
  ];
}

/** One folder, which stays where it is unpacked: `install` links to it. */
export function archiveFiles(root: string, arch: Arch, native: NativeFiles, made: Made): readonly Entry[] {
  return [
    ...programFiles(root, arch, native, made),
    { path: `${root}/install`, from: 'deploy/package/install.sh', mode: EXECUTABLE },
    { path: `${root}/deploy/overlayd.service`, text: packagedUnit(made.unit, '/usr/local/bin/overlayd') },
    ...Object.entries(made.completions).map(([shell, text]) => ({ path: `${root}/completions/${shell}`, text })),
    ...[...made.manual].map(([page, text]) => ({ path: `${root}/man/${page}`, text })),
    { path: `${root}/overlayd.toml.example`, from: 'deploy/overlayd.toml.example' },
    ...Object.entries(WATCHING).map(([name, from]) => ({ path: `${root}/${name}`, from })),
    { path: `${root}/LICENSE`, from: 'LICENSE' },
    { path: `${root}/copyright`, text: made.copyright },
  ];
}

/** The checkout's, with its own program, and in the group that may use the socket. */
export function packagedUnit(unit: string, program: string): string {
  const head = unit.slice(unit.indexOf('[Unit]'));
  const started = head.replace(/^ExecStart=.*$/m, `ExecStart=${program} agent`);
  return `# The agent of this host.\n${started.replace(
    /^CapabilityBoundingSet=/m,
    `# Who is in it may use the agent's socket, and so the whole cluster.\nSupplementaryGroups=overlayd\n$&`,
  )}`;
}
