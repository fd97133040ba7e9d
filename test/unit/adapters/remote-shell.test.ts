import { describe, expect, it } from 'vitest';
import { sshFailure } from '../../../src/adapters/remote-shell.ts';

const target = { destination: 'root@host2', interactive: false };
const failure = (said: string, more: object = {}) => sshFailure({ ...target, ...more }, said);

describe('what ssh says', () => {
  it.each([
    [
      'root@host2: Permission denied (publickey).',
      'permission-denied',
      /refuses this user's keys .*ssh-copy-id root@host2.*terminal/,
    ],
    ['Received disconnect: Too many authentication failures', 'permission-denied', /--identity/],
    [
      'No ED25519 host key is known for host2.\nHost key verification failed.',
      'permission-denied',
      /accept it once by `ssh root@host2`/,
    ],
    [
      '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.',
      'permission-denied',
      /another one than this host knows/,
    ],
    [
      'ssh: Could not resolve hostname host2: Name or service not known',
      'peer-unreachable',
      /does not find root@host2/,
    ],
    ['ssh: connect to host 10.0.0.2 port 22: Connection refused', 'peer-refused', /install openssh-server there/],
    ['ssh: connect to host 10.0.0.2 port 22: Connection timed out', 'peer-unreachable', /is it up/],
    ['ssh: connect to host 10.0.0.2 port 22: No route to host', 'peer-unreachable', /is it up/],
    ['Bad configuration option: x', 'peer-unreachable', /failed: Bad configuration option: x; `ssh root@host2`/],
    ['', 'peer-unreachable', /it says nothing/],
  ])('%s', (said, code, message) => {
    expect(failure(said)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('names the port in what is to be typed', () => {
    expect(failure('?', { port: 2222 }).message).toContain('`ssh -p 2222 root@host2`');
  });

  it('does not ask for a terminal in one', () => {
    expect(failure('Permission denied (publickey,password).', { interactive: true }).message).not.toMatch(/terminal/);
  });
});
