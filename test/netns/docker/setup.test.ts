/** `deploy/docker-setup.sh` on a host that seems to run systemd: what it asks of it, and in which order. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Host, PATH, ROOT } from '../../lab/host.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 1, agents: false });

/** Writes down what it is asked; the agent runs. */
function installSystemctl(host: Host): { readonly path: string; calls(): string[] } {
  const directory = join(host.directory, 'bin');
  const log = join(host.directory, 'systemctl.log');
  mkdirSync(directory);
  writeFileSync(
    join(directory, 'systemctl'),
    `#!/bin/sh
echo "$*" >> ${log}
`,
  );
  chmodSync(join(directory, 'systemctl'), 0o755);
  const calls = () => {
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    writeFileSync(log, '');
    return lines;
  };
  return { path: directory, calls };
}

it('puts the socket below an agent that runs, and restarts Docker when it is told to', async () => {
  const host = lab().host(1);
  await host.must(['mkdir', '-p', '/run/systemd/system', '/etc/systemd/system', '/etc/docker']);
  await host.must([
    'rm',
    '-rf',
    '/etc/docker/daemon.json',
    '/etc/default/docker',
    '/etc/systemd/system/docker.service.d',
  ]);
  const systemctl = installSystemctl(host);
  const setup = (...flags: readonly string[]) =>
    host.must(['sh', `${ROOT}/deploy/docker-setup.sh`, ...flags], { env: { PATH: `${systemctl.path}:${PATH}` } });

  await setup('--restart');
  expect(systemctl.calls()).toEqual([
    'is-active --quiet overlayd.service',
    'is-active --quiet overlayd.socket',
    'daemon-reload',
    'stop overlayd.service',
    'start overlayd.service',
    'cat overlayd.service',
    'restart docker.service',
  ]);
  const unit = await host.must(['cat', '/etc/systemd/system/overlayd.socket']);
  expect(unit).toBe(readFileSync(`${ROOT}/deploy/overlayd.socket`, 'utf8'));
  expect(await setup('--restart')).toContain('nothing to do');

  await setup('--undo');
  expect(systemctl.calls().slice(-4)).toEqual([
    'is-active --quiet overlayd.service',
    'stop overlayd.socket overlayd-unavailable.socket',
    'daemon-reload',
    'restart overlayd.service',
  ]);
  expect(await host.must(['ls', '/etc/docker', '/etc/systemd/system'])).not.toMatch(/overlayd|daemon\.json/);

  // As a version before left it: systemd refuses to stop what it does not know.
  await host.must(['sh', '-c', "echo '[Socket]' >/etc/systemd/system/overlayd.socket"]);
  await setup('--undo');
  expect(systemctl.calls()).toContain('stop overlayd.socket');
});
