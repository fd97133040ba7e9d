/** Releases of overlayd as files: the package and the archive that `npm run package` makes, by their names. Pure. */
import { UsageError } from '../exit.ts';

export type Arch = 'x64' | 'arm64';

export interface Release {
  readonly kind: 'deb' | 'archive';
  readonly version: string;
  readonly arch: Arch;
  /** Of the file, without its directory. */
  readonly fileName: string;
}

const DEBIAN: Readonly<Record<string, Arch>> = { amd64: 'x64', arm64: 'arm64' };
const MACHINES: Readonly<Record<string, Arch>> = { x86_64: 'x64', aarch64: 'arm64', arm64: 'arm64' };

/** Undefined: it is none of those that there are packages for. */
export function archOfMachine(machine: string): Arch | undefined {
  return Object.hasOwn(MACHINES, machine) ? MACHINES[machine] : undefined;
}

/** Undefined: the file is none. */
export function parseRelease(path: string): Release | undefined {
  const fileName = path.split('/').at(-1)!;
  const deb = /^overlayd_([0-9][\w.+~-]*)_(amd64|arm64)\.deb$/.exec(fileName);
  if (deb) return { kind: 'deb', version: deb[1]!, arch: DEBIAN[deb[2]!]!, fileName };
  const archive = /^overlayd-([0-9][\w.+~-]*)-linux-(x64|arm64)\.tar\.gz$/.exec(fileName);
  return archive ? { kind: 'archive', version: archive[1]!, arch: archive[2] as Arch, fileName } : undefined;
}

export function requireRelease(path: string): Release {
  const release = parseRelease(path);
  if (release) return release;
  throw new UsageError(
    `--package ${path}: write the file that \`npm run package\` makes under the name that it has, like overlayd_0.1.0_amd64.deb or overlayd-0.1.0-linux-x64.tar.gz`,
  );
}

export function fileNameOf({ kind, version, arch }: Omit<Release, 'fileName'>): string {
  if (kind === 'archive') return `overlayd-${version}-linux-${arch}.tar.gz`;
  return `overlayd_${version}_${arch === 'x64' ? 'amd64' : arch}.deb`;
}

/** By the three numbers alone: of two builds of one release none is newer. */
export function isNewer(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) =>
    text
      .split(/[.+~-]/)
      .slice(0, 3)
      .map(Number),
  );
  const at = a!.findIndex((number, i) => number !== (b![i] ?? 0));
  return at >= 0 && a![at]! > (b![at] ?? 0);
}
