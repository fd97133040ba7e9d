/**
 * The package for another host: the file that was named, one that lies where `npm run package` puts it or apt keeps it, or the one that
 * this host came from, put together again of what it installed. Then nothing has to be fetched, and both hosts run the same.
 */
import { OverlaydError } from '../../core/errors.ts';
import { VERSION } from '../../version.ts';
import type { Session } from '../session.ts';
import { type Arch, fileNameOf, type Release } from './release.ts';

export interface FoundPackage extends Release {
  readonly path: string;
  /** Whether it was made for this and is to be removed afterwards. */
  readonly isMade: boolean;
}

/** A Debian package of what one installed: its files, its scripts, its fields. `$1`: where to write it. */
const REPACK_DEB = `set -e
umask 022
work=
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
work=$(mktemp -d)
mkdir -p "$work/root/DEBIAN"
chmod 755 "$work/root" "$work/root/DEBIAN"
dpkg-query -L overlayd | while IFS= read -r path; do
  if [ -L "$path" ] || [ -f "$path" ]; then
    mkdir -p "$work/root\${path%/*}"
    cp -a "$path" "$work/root$path"
  fi
done
dpkg-query -s overlayd | grep -v '^Status:' >"$work/root/DEBIAN/control"
for name in md5sums preinst postinst prerm postrm; do
  from=/var/lib/dpkg/info/overlayd.$name
  [ ! -e "$from" ] || cp -a "$from" "$work/root/DEBIAN/$name"
done
dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/root" "$1" >/dev/null`;

/** The archive that a folder was unpacked from. `$1`: the folder; `$2`: its name inside; `$3`: where to write it. */
const REPACK_ARCHIVE = `set -e
cd "$1"
tar --exclude=./installed --transform "s,^\\\\.,$2,S" --owner=root:0 --group=root:0 -I 'gzip -1' -cf "$3" .`;

export async function findPackage(
  session: Session,
  wanted: { readonly arch: Arch; readonly kind: 'deb' | 'archive' },
  report: (text: string) => void,
): Promise<FoundPackage> {
  const { files, programs } = session.surroundings;
  const sought = { ...wanted, version: VERSION };
  const fileName = fileNameOf(sought);
  for (const directory of [`${programs.root}/release`, '/var/cache/apt/archives']) {
    if ((await files.list(directory)).includes(fileName)) {
      return { ...sought, fileName, path: `${directory}/${fileName}`, isMade: false };
    }
  }
  if (wanted.arch === process.arch) {
    report('putting the package together of what is installed here');
    const made = (await repackDeb(session, wanted.kind)) ?? (await repackArchive(session));
    if (made) return made;
  }
  throw new OverlaydError(
    'package-missing',
    `there is no ${fileName} on this host (looked for in ${programs.root}/release and /var/cache/apt/archives): make it in a checkout by \`npm run package${
      wanted.arch === 'x64' ? '' : ` -- --arch ${wanted.arch}`
    }\`, and name it with --package`,
  );
}

/** Undefined where overlayd is installed otherwise. */
async function repackDeb(session: Session, kind: 'deb' | 'archive'): Promise<FoundPackage | undefined> {
  const { run } = session.surroundings.programs;
  const query = ['dpkg-query', '-s', 'overlayd'];
  const { output } = await run(query);
  const isInstalled = /^Status: .* installed$/m.test(output);
  const [, version] = (isInstalled && /^Version: (\S+)$/m.exec(output)) || [];
  if (kind !== 'deb' || version === undefined || session.surroundings.programs.root !== '/usr/lib/overlayd')
    return undefined;
  const release = { kind, version, arch: process.arch as Arch };
  return make(session, release, (file) => ['sh', '-c', REPACK_DEB, 'repack', file]);
}

/** Also for hosts with apt: the folder is what runs here. */
async function repackArchive(session: Session): Promise<FoundPackage | undefined> {
  const { files, programs } = session.surroundings;
  if ((await files.read(`${programs.root}/installed`)) === undefined) return undefined;
  const release = { kind: 'archive', version: VERSION, arch: process.arch as Arch } as const;
  const name = fileNameOf(release).replace(/\.tar\.gz$/, '');
  return make(session, release, (file) => ['sh', '-c', REPACK_ARCHIVE, 'repack', programs.root, name, file]);
}

async function make(
  session: Session,
  release: Omit<Release, 'fileName'>,
  argvOf: (file: string) => readonly string[],
): Promise<FoundPackage> {
  const { run, temporaryDirectory } = session.surroundings.programs;
  const fileName = fileNameOf(release);
  const path = `${await temporaryDirectory()}/${fileName}`;
  const { code, output } = await run(argvOf(path));
  if (code === 0) return { ...release, fileName, path, isMade: true };
  await removePackage(session, { path, isMade: true });
  const [why = 'it says nothing'] = output.trim().split('\n').slice(-1);
  throw new OverlaydError(
    'package-missing',
    `the package could not be put together of what is installed here: ${why}; name one with --package`,
  );
}

export async function removePackage(
  session: Session,
  { path, isMade }: Pick<FoundPackage, 'path' | 'isMade'>,
): Promise<void> {
  if (isMade) await session.surroundings.programs.removeTree(path.slice(0, path.lastIndexOf('/')));
}
