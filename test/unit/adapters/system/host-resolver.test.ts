import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createHostResolver } from '../../../../src/adapters/system/host-resolver.ts';

let folder: string;
let socket: string;
/** What resolved says of the link, by what is asked. */
let told: Record<string, string>;
let refusal: string | undefined;
let set: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'overlayd-test-'));
  socket = join(folder, 'resolved');
  await writeFile(socket, '');
  told = { dns: '', domain: '', 'default-route': 'no' };
  refusal = undefined;
  set = [];
});
afterEach(() => rm(folder, { recursive: true }));

async function run([program = '', what = '', link = '', ...values]: readonly string[]) {
  if (refusal !== undefined) return { code: 1, stdout: '', stderr: `${refusal}\n` };
  if (values.length > 0 || what === 'revert') set.push([program, what, link, ...values].join(' '));
  if (values.length > 0) told[what] = values.join(' ');
  return { code: 0, stdout: values.length > 0 ? '' : `Link 7 (${link}): ${told[what]}\n`, stderr: '' };
}
const resolver = () => createHostResolver({ run, socket });
const ask = () => resolver().ask('ovl4096', ['10.0.0.1', 'fd00::1'], 'web.overlayd.internal', ['0.0.10.in-addr.arpa']);

test('is told whom to ask for which names, once', async () => {
  expect(await ask()).toBe(true);
  expect(set).toEqual([
    'resolvectl dns ovl4096 10.0.0.1 fd00::1',
    'resolvectl domain ovl4096 web.overlayd.internal ~0.0.10.in-addr.arpa',
  ]);
  expect(await ask()).toBe(true);
  expect(set).toHaveLength(2);
});

test('is told again what somebody changed', async () => {
  await ask();
  told['default-route'] = 'yes';
  told.dns = '192.0.2.53';
  await ask();
  expect(set.slice(2)).toEqual(['resolvectl dns ovl4096 10.0.0.1 fd00::1', 'resolvectl default-route ovl4096 no']);
});

test('is not told where it is not there', async () => {
  await rm(socket);
  expect(await ask()).toBe(false);
  await resolver().forget('ovl4096');
  expect(set).toEqual([]);
  await writeFile(socket, '');
});

test('a refusal is told in its own words; a link that is gone is forgotten all the same', async () => {
  refusal = 'Failed to resolve interface "ovl4096": No such device';
  await expect(ask()).rejects.toThrow(/resolvectl dns ovl4096: Failed to resolve interface .*No such device/);
  await resolver().forget('ovl4096');
});
