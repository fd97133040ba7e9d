import { describe, expect, it } from 'vitest';
import { isNewer, parseRelease } from '../../../src/cli/host/release.ts';
import { parseRemote } from '../../../src/cli/host/remote.ts';

describe('names', () => {
  it.each([
    ['host2', 'host2', undefined],
    ['root@10.0.0.2', 'root@10.0.0.2', undefined],
    ['root@10.0.0.2:2222', 'root@10.0.0.2', 2222],
    ['ssh://root@host2.example:2222/', 'root@host2.example', 2222],
    ['root@[2001:db8::2]:2222', 'root@2001:db8::2', 2222],
    ['2001:db8::2', '2001:db8::2', undefined],
  ])('%s is a host', (text, destination, port) => {
    expect(parseRemote(text)).toEqual({ destination, port });
  });

  it('of packages and archives say what they are', () => {
    expect(parseRelease('/x/overlayd_0.1.0_arm64.deb')).toMatchObject({ kind: 'deb', version: '0.1.0', arch: 'arm64' });
    expect(parseRelease('overlayd-0.1.0-linux-x64.tar.gz')).toMatchObject({ kind: 'archive', arch: 'x64' });
    expect(parseRelease("overlayd_0.1.0';x_amd64.deb")).toBeUndefined();
  });

  it('of releases are compared by their numbers', () => {
    expect(isNewer('0.1.0', '0.0.9')).toBe(true);
    expect(isNewer('0.10.0', '0.9.0')).toBe(true);
    expect(isNewer('0.1.0', '0.1.0-next')).toBe(false);
    expect(isNewer('0.1.0-next', '0.1.0')).toBe(false);
    expect(isNewer('0.1.0', '1.0.0')).toBe(false);
  });
});
