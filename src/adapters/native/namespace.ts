/**
 * Network namespaces (network_namespaces(7)). A thread is in one; a socket stays in the one in which it was opened,
 * wherever its thread goes. So a thread enters, opens and comes back, in one synchronous piece: 0.05 ms.
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { abortNow } from './exit.ts';
import { AF, closeDescriptor, openSocket, SOCK } from './socket.ts';
import { call, libc, type SystemCallError } from './system-call.ts';

const CLONE = { FS: 0x200, NEWNS: 0x2_0000, NEWNET: 0x4000_0000 } as const;
const MS = { BIND: 0x1000, REC: 0x4000, SHARED: 1 << 20 } as const;
const UMOUNT = { DETACH: 2, NOFOLLOW: 8 } as const;
/** `linux/sockios.h`: a descriptor of the namespace that a socket is in. */
const SIOCGSKNS = 0x894c;
/** `linux/nsfs.h`: which kind a namespace is of, as a `CLONE_NEW*`. */
const NS_GET_NSTYPE = 0xb703;
/** Numbers of system calls that are the same on every architecture; C libraries have no function for them yet. */
const SYS = { open_tree: 428, move_mount: 429 } as const;
const OPEN_TREE = { CLONE: 1, CLOEXEC: 0o2000000 } as const;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
/** `asm-generic/fcntl.h` */
const O_PATH = 0o10000000;
const AT = { FDCWD: -100, EMPTY_PATH: 0x1000 } as const;

const native = {
  setns: libc('int setns(int fd, int nstype)'),
  unshare: libc('int unshare(int flags)'),
  mount: libc('int mount(const char *source, const char *target, const char *type, uint64_t flags, const void *data)'),
  umount2: libc('int umount2(const char *target, int flags)'),
  ioctl: libc('int ioctl(int fd, uint64_t request, uint64_t argument)'),
  openTree: libc('int64_t syscall(int64_t number, int directory, const char *path, uint64_t flags)'),
  moveMount: libc(
    'int64_t syscall(int64_t number, int from, const char *path, int to, const char *target, uint64_t flags)',
  ),
};

/** Where this thread belongs, and comes back to. */
let home: number | undefined;

/**
 * Makes this thread one of the host that a process is in: its network, and its files with what is mounted there. There is no
 * way back. So tests act in a host that is made of namespaces.
 */
export function joinHost(pid: number): void {
  const [net, files] = ['net', 'mnt'].map((name) => openSync(`/proc/${pid}/ns/${name}`, 'r')) as [number, number];
  // Threads of a process have one working directory otherwise, which is somewhere in their files.
  call('unshare', native.unshare, [CLONE.FS]);
  call('setns', native.setns, [net, CLONE.NEWNET], `net of process ${pid}`);
  call('setns', native.setns, [files, CLONE.NEWNS], `mnt of process ${pid}`);
  closeSync(files);
  home = net;
}

/**
 * Runs the task with this thread inside the namespace at the path; undefined: where it is. The task must be synchronous.
 * Throws as opening the file does (`ENOENT`), `EINVAL` where the path is no namespace's, and what the task throws.
 */
export function insideNamespace<T>(path: string | undefined, task: () => T): T {
  if (path === undefined) return task();
  const fd = openSync(path, 'r');
  try {
    return away(() => call('setns', native.setns, [fd, CLONE.NEWNET], path), task);
  } finally {
    closeSync(fd);
  }
}

/** Whether the namespace whose file it is (`/proc/PID/ns/…`, or where one is mounted) is one of networks. Throws as opening does. */
export function isOfNetworks(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    return call('ioctl', native.ioctl, [fd, NS_GET_NSTYPE, 0], path) === CLONE.NEWNET;
  } finally {
    closeSync(fd);
  }
}

/** Runs the task inside a namespace that is new, and ends with it unless something else holds it. */
export function insideNewNamespace<T>(task: () => T): T {
  return away(() => call('unshare', native.unshare, [CLONE.NEWNET]), task);
}

/** Descriptor of the namespace of networks that this thread belongs to; it stays open. */
export function homeNamespace(): number {
  home ??= openSync('/proc/thread-self/ns/net', 'r');
  return home;
}

function away<T>(leave: () => void, task: () => T): T {
  const own = homeNamespace();
  leave();
  try {
    return task();
  } finally {
    comeBack(own);
  }
}

/** A thread that is lost in a namespace of a container would do there what is meant for the host. */
function comeBack(home: number): void {
  try {
    call('setns', native.setns, [home, CLONE.NEWNET], 'back');
  } catch (error) {
    abortNow(`a thread cannot come back from a network namespace, and the process ends: ${(error as Error).message}`);
  }
}

/**
 * Makes a namespace and gives it the name, as `ip netns add` does: a file below the directory (`/run/netns`), on which the
 * namespace is mounted; the directory's mounts are shared with all mount namespaces that were made from this one. Throws
 * `EEXIST` when there is such a file. One that was interrupted leaves a file that is no namespace.
 */
export function addNamespace(path: string): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  shareMounts(directory);
  closeSync(openSync(path, 'wx', 0o000));
  try {
    insideNewNamespace(() => mountNamespace(path));
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

/** Removes a namespace's name. It ends when nothing else holds it. Throws `ENOENT` when there is no such name. */
export function deleteNamespace(path: string): void {
  try {
    call('umount2', native.umount2, [path, UMOUNT.DETACH | UMOUNT.NOFOLLOW], path);
  } catch (error) {
    // A file that is no mount, such as the rest of an addition that was interrupted.
    if ((error as SystemCallError).code !== 'EINVAL') throw error;
  }
  unlinkSync(path);
}

function shareMounts(directory: string): void {
  const share = () => mount('', directory, MS.SHARED | MS.REC);
  try {
    share();
  } catch (error) {
    // Only a mount can be shared.
    if ((error as SystemCallError).code !== 'EINVAL') throw error;
    makeMount(directory);
    share();
  }
}

/**
 * Mounts the directory on itself, with what is mounted in it: that is there twice then, and who takes its name away could not
 * (`EBUSY`) for what stays below. Below a mount that is shared, as systemd has them, both go together; elsewhere the lower one
 * goes now.
 */
function makeMount(directory: string): void {
  const below = openSync(directory, O_PATH | constants.O_DIRECTORY);
  try {
    const together = isInSharedMount(below);
    mount(directory, directory, MS.BIND | MS.REC);
    for (const name of together ? [] : readdirSync(directory)) {
      try {
        const path = `/proc/thread-self/fd/${below}/${name}`;
        call('umount2', native.umount2, [path, UMOUNT.DETACH | UMOUNT.NOFOLLOW], path);
      } catch (error) {
        // Nothing is mounted there, or it has just gone.
        if (!['EINVAL', 'ENOENT'].includes((error as SystemCallError).code)) throw error;
      }
    }
  } finally {
    closeSync(below);
  }
}

/**
 * Whether the mount that an open directory is of is shared; where `/proc` is not of this thread, it is taken for that. Sources: `mnt_id` of
 * proc_pid_fdinfo(5), proc_pid_mountinfo(5).
 */
function isInSharedMount(fd: number): boolean {
  if (!existsSync(`/proc/thread-self/fdinfo/${fd}`)) return true;
  const [, id] = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/thread-self/fdinfo/${fd}`, 'utf8')) ?? [];
  const mounts = readFileSync('/proc/thread-self/mountinfo', 'utf8').split('\n');
  return mounts.some((line) => line.startsWith(`${id} `) && / shared:\d/.test(line));
}

/** Mounts the namespace in which this thread is. */
function mountNamespace(path: string): void {
  const socket = openSocket(AF.NETLINK, SOCK.RAW);
  const namespace = call('ioctl', native.ioctl, [socket, SIOCGSKNS, 0], 'SIOCGSKNS');
  closeDescriptor(socket);
  const flags = OPEN_TREE.CLONE | OPEN_TREE.CLOEXEC | AT.EMPTY_PATH;
  const tree = call('open_tree', native.openTree, [SYS.open_tree, namespace, '', flags], path);
  closeDescriptor(namespace);
  try {
    call('move_mount', native.moveMount, [SYS.move_mount, tree, '', AT.FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH], path);
  } finally {
    closeDescriptor(tree);
  }
}

function mount(source: string, target: string, flags: number): void {
  call('mount', native.mount, [source, target, 'none', flags, null], target);
}
