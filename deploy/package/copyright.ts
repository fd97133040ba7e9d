/** Who holds the rights in what is packed: overlayd, Node.js, and the packages of npm that the bundles are made of. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

export function copyright(root: string): string {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const bundled = Object.entries(lock.packages as Record<string, LockEntry>)
    .filter(([directory, { dev, optional }]) => directory !== '' && !dev && !optional)
    .map(([directory, { version, license }]) => {
      const name = directory.replace(/^.*node_modules\//, '');
      return { title: `${name} ${version} (${license ?? 'see below'})`, text: licenceIn(path.join(root, directory)) };
    });
  const node = nodeDirectory(root);
  return [
    'overlayd: Apache License 2.0, /usr/share/common-licenses/Apache-2.0 on Debian.',
    'It brings Node.js, and in its bundles the packages of npm below, each by its own licence.',
    ...bundled.map(({ title, text }) => `${rule(title)}\n\n${text}`),
    `${rule('Node.js')}\n\n${licenceIn(node)}`,
  ]
    .join('\n\n')
    .concat('\n');
}

function nodeDirectory(root: string): string {
  return path.join(root, `node_modules/node/node_modules/node-linux-${process.arch}`);
}

/** Of the licence that Debian has on every host, no copy. */
function licenceIn(directory: string): string {
  const file = existsSync(directory) ? readdirSync(directory).find((name) => /^licen[cs]e/i.test(name)) : undefined;
  if (file === undefined) return 'Its package has no text of its licence.';
  const text = readFileSync(path.join(directory, file), 'utf8').trim();
  const isApache = /^\s*Apache License\s+Version 2\.0/.test(text);
  return isApache ? 'Apache License 2.0, as overlayd: /usr/share/common-licenses/Apache-2.0 on Debian.' : text;
}

function rule(title: string): string {
  return `${'-'.repeat(80)}\n${title}`;
}
