import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { takeActivatedSockets } from '../../../src/adapters/socket-activation.ts';
import { callPlugin } from './docker/plugin-caller.ts';

describe('what the service manager says', () => {
  it('names each descriptor, and is said once', () => {
    const environment = { LISTEN_PID: '7', LISTEN_FDS: '3', LISTEN_FDNAMES: 'control:docker:docker', PATH: '/bin' };
    expect([...takeActivatedSockets(environment, 7)]).toEqual([
      ['control', 3],
      ['docker', 4],
    ]);
    expect(environment).toEqual({ PATH: '/bin' });
  });

  it('may be meant for another process', () => {
    const environment = { LISTEN_PID: '8', LISTEN_PIDFDID: '99', LISTEN_FDS: '1', LISTEN_FDNAMES: 'docker' };
    expect(takeActivatedSockets(environment, 7).size).toBe(0);
    expect(environment).toEqual({});
  });

  it('may be nothing, or have no names', () => {
    expect(takeActivatedSockets({}, 7).size).toBe(0);
    expect([...takeActivatedSockets({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7)]).toEqual([['unknown', 3]]);
  });
});

describe('a socket that is passed on', () => {
  const undo: (() => unknown)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  it('keeps callers waiting until the plugin is there, also while it restarts', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'overlayd-activation-'));
    undo.push(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 'overlayd.sock');
    const manager = startManager(path);
    expect(await manager.next()).toBe('listening');

    const early = callPlugin(path, '/Plugin.Activate');
    const first = await manager.startService();
    expect((await early).body).toMatchObject({ Implements: ['NetworkDriver', 'IpamDriver'] });
    // What the service says of itself, as the reason why it does not release a pool.
    const report = await callPlugin(path, '/IpamDriver.ReleasePool', { PoolID: 'p' });
    expect(report.body.Err).toBe('variables: none; sockets of a child: none (internal)');
    await manager.stopService(first);
    expect(existsSync(path)).toBe(true);

    const between = callPlugin(path, '/Plugin.Activate');
    const second = await manager.startService();
    expect((await between).status).toBe(200);
    await manager.stopService(second);
  });

  function startManager(path: string) {
    const program = fileURLToPath(new URL('../../lab/service-manager.ts', import.meta.url));
    const service = fileURLToPath(new URL('./docker/activated-plugin.ts', import.meta.url));
    const child = spawn(process.execPath, [program, path, process.execPath, service], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value as string;
    undo.push(async () => {
      child.stdin.end();
      await exited;
    });
    return {
      next,
      async startService() {
        child.stdin.write('start\n');
        const pid = Number((await next()).replace('service ', ''));
        undo.push(() => {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It has ended.
          }
        });
        return pid;
      },
      async stopService(pid: number) {
        process.kill(pid, 'SIGTERM');
        expect(await next()).toBe('ended 0');
      },
    };
  }
});
