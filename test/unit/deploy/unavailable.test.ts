/** What tells Docker that the agent does not start: the shell of a unit, as systemd would run it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { createRoutes } from '../../../src/adapters/docker/driver-routes.ts';
import type { DriverHandlers } from '../../../src/ports/engine.ts';

const read = (name: string) => readFileSync(path.resolve(import.meta.dirname, '../../../deploy', name), 'utf8');
const UNIT = read('overlayd-unavailable@.service');
const plain = (text: string) => text.replaceAll('%%', '%').replaceAll('\\r', '\r').replaceAll('\\n', '\n');

function ask(method: string): { readonly head: string; readonly body: Record<string, unknown> } {
  const environment = [...UNIT.matchAll(/^Environment='(\w+)=(.*)'$/gm)].map(([, name, value]) => [
    name,
    plain(value!),
  ]);
  const [, script = ''] = /^ExecStart=\/bin\/sh -c '(.*)'$/m.exec(UNIT) ?? [];
  const { stdout, status } = spawnSync('sh', ['-c', plain(script).replaceAll('$$', '$')], {
    input: `POST /${method} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`,
    env: { PATH: process.env.PATH, ...Object.fromEntries(environment) },
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  const [head = '', body = ''] = stdout.split('\r\n\r\n');
  expect(head).toContain(`Content-Length: ${Buffer.byteLength(body)}`);
  return { head, body: JSON.parse(body) };
}

it('says what the driver is as the agent does, so that the engine goes on with the agent later', () => {
  for (const [url, route] of createRoutes({} as DriverHandlers)) {
    if (!/Activate|Capabilities|AddressSpaces/.test(url) || route.kind !== 'fixed') continue;
    expect(ask(url.slice(1)).body).toMatchObject(route.answer);
    expect(ask(url.slice(1)).body).not.toHaveProperty('Err');
  }
});

it.each(['IpamDriver.RequestPool', 'IpamDriver.RequestAddress', 'NetworkDriver.CreateEndpoint', 'NetworkDriver.Leave'])(
  'refuses %s with where to look',
  (method) => {
    const { head, body } = ask(method);
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const text = expect.stringMatching(/does not start.*journalctl -u overlayd.*\(agent-not-running\)$/);
    expect(body).toEqual({ Err: text, Error: text });
  },
);

it('does so however many calls come at once: at a limit of systemd the socket would fail', () => {
  expect(read('overlayd-unavailable.socket')).toMatch(/^TriggerLimitIntervalSec=0$/m);
});
