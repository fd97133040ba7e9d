/** System calls through the native door, on the running kernel: each test makes the namespaces that it needs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasLibnftables, OUTPUT, runNftables } from '../../../src/adapters/native/libnftables.ts';
import {
  addNamespace,
  deleteNamespace,
  insideNamespace,
  insideNewNamespace,
} from '../../../src/adapters/native/namespace.ts';
import {
  AF,
  bindSocket,
  closeDescriptor,
  connectSocket,
  inetAddress,
  openSocket,
  PollSet,
  receive,
  SOCK,
  send,
  socketAddress,
  unixAddress,
} from '../../../src/adapters/native/socket.ts';

const LOST_THREAD = fileURLToPath(new URL('../../fixtures/lost-thread.ts', import.meta.url));
const NAMESPACE = fileURLToPath(new URL('../../../src/adapters/native/namespace.ts', import.meta.url));
const NAME = `ovn-native-${process.pid}`;
const PATH = `/run/netns/${NAME}`;
const own = () => readlinkSync('/proc/thread-self/ns/net');
const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });

beforeEach(() => addNamespace(PATH));
afterEach(() => {
  if (existsSync(PATH)) deleteNamespace(PATH);
});

describe('a namespace', () => {
  it('that is made is one for everybody, and its name goes', () => {
    expect(ip('netns', 'list')).toContain(NAME);
    expect(ip('-netns', NAME, '-o', 'link')).toContain('lo');
    expect(() => addNamespace(PATH)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    deleteNamespace(PATH);
    expect(ip('netns', 'list')).not.toContain(NAME);
    expect(() => deleteNamespace(PATH)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('whose making was cut off can be removed', () => {
    deleteNamespace(PATH);
    writeFileSync(PATH, '');
    deleteNamespace(PATH);
    expect(existsSync(PATH)).toBe(false);
  });

  /** Where somebody has one mounted already, in a mount namespace of its own. */
  const withAnother = (propagation: string) => `
    mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount --make-${propagation} /run && mkdir /run/netns
    touch /run/netns/other && unshare --net mount --bind /proc/self/ns/net /run/netns/other
    "$0" --input-type=module -e 'import { addNamespace } from "${NAMESPACE}"; addNamespace("/run/netns/ours");'
    ip -netns other link set lo up && ip -netns ours link set lo up
    umount /run/netns/other && rm /run/netns/other && ip netns list
  `;

  it.each(['private', 'shared'])('lets others take away the names of theirs, in a mount that is %s', (propagation) => {
    const argv = ['--mount', 'sh', '-ec', withAnother(propagation), process.execPath];
    const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
    expect({ stdout, stderr }).toEqual({ stdout: 'ours\n', stderr: '' });
  });

  it('out of which a thread does not find back ends the process, whichever thread it is', () => {
    const { signal, stdout, stderr } = spawnSync(process.execPath, [LOST_THREAD], { encoding: 'utf8' });
    expect({ signal, stdout }).toEqual({ signal: 'SIGABRT', stdout: '' });
    expect(stderr).toContain('cannot come back');
  });

  it('is entered and left, whatever happens inside', () => {
    const home = own();
    const inside = insideNamespace(PATH, own);
    expect(inside).not.toBe(home);
    expect(own()).toBe(home);
    const fail = () => {
      throw new Error('inside');
    };
    expect(() => insideNamespace(PATH, fail)).toThrow('inside');
    expect(() => insideNewNamespace(fail)).toThrow('inside');
    expect(own()).toBe(home);
    expect(insideNamespace(undefined, own)).toBe(home);
  });

  it('that is none is told', () => {
    expect(() => insideNamespace('/run/netns/ovn-none', own)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    rmSync('/tmp/ovn-none', { force: true });
    writeFileSync('/tmp/ovn-none', '');
    expect(() => insideNamespace('/tmp/ovn-none', own)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'setns', errno: -22 }),
    );
    rmSync('/tmp/ovn-none');
  });
});

describe('a socket', () => {
  it('stays in the namespace in which it was opened', () => {
    ip('-netns', NAME, 'link', 'set', 'lo', 'up');
    ip('-netns', NAME, 'address', 'add', '10.99.0.1/32', 'dev', 'lo');
    const fd = insideNamespace(PATH, () => openSocket(AF.INET, SOCK.DGRAM));
    bindSocket(fd, inetAddress('10.99.0.1', 5_353));
    expect(Buffer.from(socketAddress(fd))).toEqual(inetAddress('10.99.0.1', 5_353));
    closeDescriptor(fd);
    const here = openSocket(AF.INET, SOCK.DGRAM);
    expect(() => bindSocket(here, inetAddress('10.99.0.1', 5_353))).toThrow(
      expect.objectContaining({ code: 'EADDRNOTAVAIL', syscall: 'bind' }),
    );
    closeDescriptor(here);
  });

  it('that is readable ends a wait', () => {
    const receiver = openSocket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK);
    bindSocket(receiver, unixAddress(`@${NAME}`));
    const sender = openSocket(AF.UNIX, SOCK.DGRAM);
    connectSocket(sender, unixAddress(`@${NAME}`));
    const poll = new PollSet();
    poll.set([receiver]);
    expect(poll.wait(0)).toEqual([]);
    send(sender, Buffer.from('here'));
    expect(poll.wait(-1)).toEqual([0]);
    receive(receiver, Buffer.alloc(16));
    expect(poll.wait(0)).toEqual([]);
    for (const fd of [receiver, sender]) closeDescriptor(fd);
  });
});

describe('libnftables', () => {
  it('does all of a text or nothing, in the namespace that is named', () => {
    expect(hasLibnftables()).toBe(true);
    expect(runNftables(PATH, 'add table inet x\nadd chain inet x a\n')).toEqual({ ok: true, output: '', errors: '' });
    const refused = runNftables(PATH, 'add table inet y\nadd chain inet z b\n');
    expect(refused).toMatchObject({ ok: false, errors: expect.stringContaining('No such file or directory') });
    const { output } = runNftables(PATH, 'list ruleset', OUTPUT.JSON);
    const tables = JSON.parse(output).nftables.flatMap(({ table }: { table?: { name: string } }) => table?.name ?? []);
    expect(tables).toEqual(['x']);
    const listed = execFileSync('ip', ['netns', 'exec', NAME, 'nft', 'list', 'tables'], { encoding: 'utf8' });
    expect(listed).toBe('table inet x\n');
  });

  it('lists ports by their numbers, and rules without what they counted', () => {
    const set = 'add set inet x s { type inet_service; elements = { 8080 } }';
    const chain = 'add chain inet x b { type filter hook output priority 0; }';
    const rules = ['add table inet x', set, chain, 'add rule inet x b counter'];
    expect(runNftables(PATH, rules.join('\n'))).toMatchObject({ ok: true });
    const list = () => runNftables(PATH, 'list table inet x', OUTPUT.JSON | OUTPUT.STATELESS).output;
    expect(list()).toContain('"elem": [8080]');
    const before = list();
    execFileSync('ip', ['netns', 'exec', NAME, 'sh', '-c', 'ip link set lo up; ping -q -c 1 127.0.0.1']);
    expect(list()).toBe(before);
  });
});

it('what is thrown by who waits for a descriptor ends the process, and is not dropped', () => {
  const door = (file: string) => JSON.stringify(new URL(`../../../src/adapters/native/${file}.ts`, import.meta.url));
  const script = `
    const { AF, SOCK, bindSocket, connectSocket, openSocket, send, unixAddress } = await import(${door('socket')});
    const { whenReadable } = await import(${door('system-call')});
    const [receiver, sender] = [openSocket(AF.UNIX, SOCK.DGRAM), openSocket(AF.UNIX, SOCK.DGRAM)];
    bindSocket(receiver, unixAddress('@${NAME}'));
    connectSocket(sender, unixAddress('@${NAME}'));
    whenReadable(receiver, () => { throw new Error('of the waiter'); });
    send(sender, Buffer.from('here'));`;
  const argv = ['--input-type=module', '-e', script];
  const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 30_000 });
  expect([status, stderr]).toEqual([1, expect.stringContaining('of the waiter')]);
});
