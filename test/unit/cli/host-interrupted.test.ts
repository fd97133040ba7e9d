import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRemoteShell } from '../../../src/adapters/remote-shell.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { Status } from '../../../src/gen/overlayd/v1/control.ts';
import type { RemoteEnd } from '../../../src/ports/remote.ts';
import { memoryFiles, type RunOptions, run, status } from './fake-agent.ts';

const INTERRUPTED = 'interrupted; typed again, it goes on where it ended';
const FACTS = 'arch=x86_64\nkernel=6.12.1\nname=host2\nsystem=Debian\nlibc=glibc 2.41\napt=yes\nsystemd=yes\n';

/** `host add` of two hosts, interrupted when the first one is given a script with that word. */
function interruptedAt(word: string) {
  const done: string[] = [];
  const ended = new AbortController();
  const answer = (script: string): RemoteEnd => {
    if (script.includes(word)) {
      done.push(`interrupted at ${word}`);
      ended.abort(new OverlaydError('cancelled', INTERRUPTED));
    }
    ended.signal.throwIfAborted();
    const stdout = script.includes('uid=') ? 'uid=0\nconnection=10.9.0.1 40000 10.9.0.2 22\n' : FACTS;
    return { code: 0, stdout, stderr: '' };
  };
  const options: RunOptions = {
    answers: {
      getStatus: () => Status.fromPartial({ ...status, self: { ...status.self!, joinPort: 2377 } }),
      revokeToken: () => {
        done.push('token revoked');
        return { ref: 'abcdefgh' };
      },
    },
    surroundings: {
      files: { ...memoryFiles(new Map()), size: async () => 40 },
      untilInterrupted: (work) => work(ended.signal),
      openRemote: async ({ destination }, signal) => {
        signal.throwIfAborted();
        done.push(`to ${destination}`);
        return { run: async (script) => answer(script), close: async () => void done.push('closed') };
      },
      programs: {
        ...{ agent: ['overlayd', 'agent'], root: '/usr/lib/overlayd' },
        run: async () => ({ code: 0, output: 'Status: install ok installed\nVersion: 0.1.0\n' }),
        startAgent: async () => {
          throw new OverlaydError('agent-not-running', 'none');
        },
        temporaryDirectory: async () => '/tmp/made',
        removeTree: async (path) => done.push(`removed ${path}`) > 0,
      },
    },
  };
  return { done, add: () => run('host add root@10.9.0.2 root@10.9.0.3', options) };
}

describe('host add that is interrupted', () => {
  it.each([
    ['uname -m', ['closed']],
    ['apt-get install', ['removed /tmp/made', 'closed']],
    ['systemctl start', ['removed /tmp/made', 'closed']],
    ['overlayd join', ['removed /tmp/made', 'token revoked', 'closed']],
  ])('at %s leaves nothing here, and begins with no other host', async (word, after) => {
    const { add, done } = interruptedAt(word);
    const { code, error } = await add();
    expect([code, error]).toEqual([1, `overlayd: ${INTERRUPTED}\n`]);
    expect(done.filter((line) => !line.startsWith('interrupted'))).toEqual(['to root@10.9.0.2', ...after]);
  });
});

describe('a connection to another host', () => {
  let directory = '';
  const before = { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR };
  const target = { destination: 'root@host2', options: [], interactive: false };

  beforeEach(() => {
    directory = mkdtempSync(`${tmpdir()}/overlayd-interrupted-`);
    for (const name of ['tmp', 'bin']) mkdirSync(`${directory}/${name}`);
    Object.assign(process.env, { PATH: `${directory}/bin:${before.PATH}`, TMPDIR: `${directory}/tmp` });
  });

  afterEach(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(directory, { recursive: true });
  });

  function ssh(script: string): void {
    writeFileSync(`${directory}/bin/ssh`, `#!/bin/sh\n${script}\n`);
    chmodSync(`${directory}/bin/ssh`, 0o755);
  }

  it('that waits for a password ends when that is interrupted', async () => {
    ssh(`echo asked >${directory}/tmp/asked; exec sleep 1000`);
    const ended = new AbortController();
    const opening = openRemoteShell(target, ended.signal);
    while (!readdirSync(`${directory}/tmp`).includes('asked')) await new Promise((resolve) => setTimeout(resolve, 5));
    ended.abort(new OverlaydError('cancelled', INTERRUPTED));
    await expect(opening).rejects.toThrow(INTERRUPTED);
    expect(readdirSync(`${directory}/tmp`)).toEqual(['asked']);
  });

  it('ends what it runs there when that is interrupted, and leaves no socket', async () => {
    // The last word is what is to be run there.
    ssh('for word; do :; done\ncase $word in sh*) exec sh -c "exec $word" ;; esac\nexec sh -c "$word"');
    const ended = new AbortController();
    const shell = await openRemoteShell(target, ended.signal);
    const running = shell.run(`echo $$ >${directory}/pid; exec sleep 1000`);
    running.catch(() => undefined);
    while (!readdirSync(directory).includes('pid')) await new Promise((resolve) => setTimeout(resolve, 5));
    ended.abort(new OverlaydError('cancelled', INTERRUPTED));
    await expect(running).rejects.toThrow(INTERRUPTED);
    await expect(shell.run('true')).rejects.toThrow(INTERRUPTED);
    await shell.close();
    expect(readdirSync(`${directory}/tmp`)).toEqual([]);
  });
});
