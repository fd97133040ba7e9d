/** A real sshd in a host of the lab, with a key of its own that lets in whoever has the other half. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, HostProcess } from './host.ts';
import { PATH } from './host.ts';
import { expectSuccess, run } from './process.ts';
import { until } from './until.ts';

/** A private key in `directory`, made when there is none; returns its path. */
export async function clientKey(directory: string, name = 'key'): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, name);
  if (!existsSync(file)) expectSuccess(await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file]));
  return file;
}

/** All of a host's users may read it. */
const KEYS = '/etc/ssh/lab_keys';

/** `user`: a further one, that is not root and may not become it. */
export async function startSshServer(host: Host, key: string, user: string): Promise<HostProcess> {
  const directory = join(host.directory, 'ssh');
  const hostKey = await clientKey(directory, 'host_key');
  const lines = [
    ...['Port 22', `HostKey ${hostKey}`, 'PidFile none', `AuthorizedKeysFile ${KEYS}`, 'StrictModes no'],
    ...['PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'UsePAM no', 'PermitRootLogin yes'],
    `SetEnv PATH=${PATH}`,
  ];
  writeFileSync(join(directory, 'config'), `${lines.join('\n')}\n`);
  // The host's /etc is its own; an account whose password is locked is let in by no key.
  await host.must([
    'sh',
    '-c',
    `usermod -p '*' root; id ${user} 2>/dev/null || useradd -M -d / -s /bin/sh -p '*' ${user}`,
  ]);
  await host.must(['sh', '-c', `mkdir -p /run/sshd /etc/ssh && install -m 644 ${key}.pub ${KEYS}`]);
  const server = host.spawn(['/usr/sbin/sshd', '-D', '-e', '-f', join(directory, 'config')], { log: 'sshd.log' });
  await until(`sshd of ${host.name}`, async () => (await host.must(['ss', '-Hltn', 'sport = :22'])) !== '');
  return server;
}
