import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createIncus } from '../../../../src/adapters/incus/incus.ts';
import { systemClock } from '../../../../src/adapters/system/time.ts';
import { FakeIncus } from './fake-incus.ts';

let directory: string;
let socketPath: string;
let server: FakeIncus;
let incus: ReturnType<typeof createIncus>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-incus-'));
  socketPath = join(directory, 'unix.socket');
  server = new FakeIncus();
  await server.listen(socketPath);
  mkdirSync(join(directory, 'root/etc'), { recursive: true });
  incus = createIncus({ clock: systemClock }, { socketPath, rootOf: () => join(directory, 'root') });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

it('tells the instances of all projects, with what their profiles say', async () => {
  server.instances.push(
    {
      name: 'db',
      status: 'Running',
      config: { 'user.overlayd.web': 'yes' },
      inherited: { 'user.overlayd.lan': 'ip=10.0.0.9' },
    },
    { name: 'vm', project: 'team', type: 'virtual-machine', status: 'Stopped' },
  );
  expect(await incus.instances()).toMatchObject([
    { name: 'db', project: 'default', kind: 'container', isRunning: true },
    { name: 'vm', project: 'team', kind: 'virtual-machine', isRunning: false },
  ]);
  const { wishes } = (await incus.instances())[0]!;
  expect(Object.fromEntries(wishes)).toEqual({ web: 'yes', lan: 'ip=10.0.0.9' });
});

it('leaves out what runs on other members of Incus’ own cluster', async () => {
  server.instances.push(
    { name: 'a', status: 'Running', location: 'here' },
    { name: 'b', status: 'Running', location: 'there' },
  );
  expect((await incus.instances()).map(({ name }) => name)).toEqual(['a']);
});

it('takes no answer for no instances, and one of which Incus does not know how it is for one that runs', async () => {
  server.instances.push({ name: 'db', status: 'Error' });
  expect(await incus.instances()).toMatchObject([{ name: 'db', isRunning: true }]);
  server.saysNothing = true;
  await expect(incus.instances()).rejects.toMatchObject({ code: 'engine-refused' });
});

it('writes a key, and takes it away', async () => {
  server.instances.push({ name: 'db', status: 'Running' });
  const db = { project: 'default', name: 'db' };
  await incus.setWish(db, 'web', 'alias=sql');
  expect(server.instances[0]!.config).toEqual({ 'user.overlayd.web': 'alias=sql' });
  await incus.setWish(db, 'web', undefined);
  expect((await incus.instance(db)).wishes.size).toBe(0);
});

it('knows the first process of one that runs', async () => {
  server.instances.push(
    { name: 'db', project: 'team', status: 'Running', pid: 4711 },
    { name: 'off', status: 'Stopped' },
  );
  expect(await incus.processOf('team/db')).toBe(4711);
  await expect(incus.processOf('off')).rejects.toThrow(/incus:off: it does not run; `incus start off`/);
  await expect(incus.processOf('bd')).rejects.toMatchObject({
    code: 'namespace-not-found',
    message: expect.stringContaining('incus list'),
  });
});

it('writes the resolver’s file where there is none or its own, and takes its own away', async () => {
  server.instances.push({ name: 'db', status: 'Running', pid: 4711 });
  const files = () => server.instances[0]!.files!;
  expect(await incus.configureResolver('db', ['10.0.0.1'])).toBeUndefined();
  expect(files().get('/etc/resolv.conf')).toMatch(/^# .*overlayd.*\nnameserver 10.0.0.1\n/);
  expect(await incus.configureResolver('db', ['10.0.1.1'])).toBeUndefined();
  expect(await incus.configureResolver('db', [])).toBeUndefined();
  expect(files().size).toBe(0);
});

it('leaves somebody’s own file as it is, and says what it would have', async () => {
  const present = 'nameserver 192.0.2.53\n';
  const files = new Map([['/etc/resolv.conf', present]]);
  server.instances.push({ name: 'db', status: 'Running', pid: 4711, files });
  expect(await incus.configureResolver('db', ['10.0.0.1'])).toContain('nameserver 10.0.0.1');
  expect(await incus.configureResolver('db', [])).toBeUndefined();
  expect(files.get('/etc/resolv.conf')).toBe(present);
});

it.each([
  ['a link', 'ln -s ../run/systemd/resolve/stub-resolv.conf "$0"'],
  ['a pipe', 'mkfifo "$0"'],
  ['a directory', 'mkdir "$0"'],
  ['a huge file', 'truncate -s 1G "$0"'],
  ['a link in the place of its directory', 'etc=$(dirname "$0"); rm -r "$etc"; ln -s /etc "$etc"'],
])('has Incus not open %s, and says what it would have', async (_, make) => {
  const etc = join(directory, 'root/etc');
  expect(spawnSync('sh', ['-c', make, join(etc, 'resolv.conf')]).status).toBe(0);
  const before = readdirSync(etc);
  server.instances.push({ name: 'db', status: 'Running', pid: 4711 });
  expect(await incus.configureResolver('db', ['10.0.0.1'])).toContain('nameserver 10.0.0.1; what is there was left');
  expect(await incus.configureResolver('db', [])).toBeUndefined();
  expect(server.asked.filter((each) => each.endsWith('/files'))).toEqual([]);
  expect(readdirSync(etc)).toEqual(before);
});

it('says what to do where nobody answers', async () => {
  const nowhere = createIncus({ clock: systemClock }, { socketPath: join(directory, 'nothing') });
  await expect(nowhere.instances()).rejects.toMatchObject({
    code: 'engine-unavailable',
    message: expect.stringContaining('--incus-socket'),
    retryable: true,
  });
});

it('tells of changes: at first, of each that matters, and when Incus is back', async () => {
  const quit = new AbortController();
  const changes = incus.changes(quit.signal)[Symbol.asyncIterator]();
  await changes.next();
  expect(server.listeners).toBe(1);
  const next = changes.next();
  server.tell('instance-exec');
  server.tell('instance-file-pushed');
  server.tell('instance-started');
  await next;
  const again = changes.next();
  await server.close();
  server = new FakeIncus();
  rmSync(socketPath, { force: true });
  await server.listen(socketPath);
  await again;
  expect(server.listeners).toBe(1);
  const last = changes.next();
  quit.abort();
  expect((await last).done).toBe(true);
});

it('does not take what is said of files and commands for a change', async () => {
  const { isChange } = await import('../../../../src/adapters/incus/messages.ts');
  const event = (action: string) => JSON.stringify({ type: 'lifecycle', metadata: { action } });
  const all = [
    'instance-started',
    'instance-restarted',
    'instance-updated',
    'profile-updated',
    'instance-exec',
    'image-created',
  ];
  expect(all.filter((action) => isChange(event(action)))).toEqual(all.slice(0, 4));
  expect(isChange('{')).toBe(false);
});
