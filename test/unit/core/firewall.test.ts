import { describe, expect, it } from 'vitest';
import { describeBlocked, follow, type Way, type WayState } from '../../../src/core/firewall.ts';

function blocked(...counts: readonly (readonly [before: number, after: number])[]): boolean[] {
  let state: WayState | undefined;
  return counts.map(([before, after]) => {
    const now: Way = { before, after };
    state = follow(state, now);
    return state.blocked;
  });
}

describe('whether a way is blocked', () => {
  it('is told by many packets of which none passes, in whatever time they come', () => {
    expect(blocked([10, 10], [12, 10], [14, 10], [15, 10])).toEqual([false, false, false, true]);
  });

  it('is not told by some that are dropped, nor by silence', () => {
    expect(blocked([10, 10], [1_000, 11], [1_003, 11], [1_003, 11])).toEqual([false, false, false, false]);
  });

  it('is over when one passes, and not because the counting began anew', () => {
    expect(blocked([0, 0], [9, 0], [9, 0], [2, 0], [3, 1])).toEqual([false, true, true, true, false]);
  });
});

describe('what is said of it', () => {
  it.each([
    ['data', 'ufw', '`ufw allow 4790/udp`'],
    ['data', 'firewalld', '--add-port=4790/udp'],
    ['data', undefined, "this host's firewall drops every VXLAN packet"],
    ['out', 'firewalld', '--zone=trusted --add-interface=ovl+'],
    ['out', 'ufw', 'ufw route allow'],
    ['out', undefined, 'nft list ruleset'],
    ['out', 'docker', '`iptables -I DOCKER-USER -i ovl+ -j ACCEPT && iptables -I DOCKER-USER -o ovl+ -j ACCEPT`'],
    // Docker's drops what is forwarded, and nothing that comes to the host.
    ['data', 'docker', "this host's firewall drops every VXLAN packet"],
    ['data', 'iptables-legacy', '`iptables-legacy -I INPUT -p udp --dport 4790 -j ACCEPT`'],
    ['in', 'iptables-legacy', 'which `iptables -S` and `nft` do not show'],
    ['in', 'ufw', 'ufw route allow out on ovl4096'],
    ['in', undefined, 'published ports of containers here'],
    // Whoever lets containers reach some addresses alone is not told to open the host.
    ['out', 'firewalld', 'where a rule of yours is to do that, nothing is wrong'],
  ] as const)('%s, %s', (way, firewall, words) => {
    expect(describeBlocked(way, firewall, 4790)).toContain(words);
  });
});
