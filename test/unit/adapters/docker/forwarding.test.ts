import { describe, expect, it } from 'vitest';
import {
  allowForwarding,
  ensureForwarding,
  type RunProgram,
  removeForwarding,
} from '../../../../src/adapters/docker/forwarding.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';

// What iptables 1.8.9 prints after Docker 20.10 and 28 have started.
const POLICIES = '-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER\n';
const DOCKER_20 = `${POLICIES}-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n`;
const DOCKER_28 = `${POLICIES}-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n`;
const OURS = `-N OVERLAYD-FORWARD
-A OVERLAYD-FORWARD -i ovl+ -o docker+ -j RETURN
-A OVERLAYD-FORWARD -i ovl+ -o br-+ -j RETURN
-A OVERLAYD-FORWARD -i ovl+ -j ACCEPT
-A OVERLAYD-FORWARD -o ovl+ -j ACCEPT
`;
const CHAIN = `:OVERLAYD-FORWARD - [0:0]\n${OURS.split('\n').slice(1).join('\n')}`;

interface Recorded {
  readonly argv: string;
  readonly input: string | undefined;
}

function record(listing: string, restore: { code: number; stderr: string } = { code: 0, stderr: '' }) {
  const ran: Recorded[] = [];
  const run: RunProgram = async (argv, { input } = {}) => {
    ran.push({ argv: argv.join(' '), input });
    return argv[0] === 'iptables' ? { code: 0, stdout: listing, stderr: '' } : { stdout: '', ...restore };
  };
  return { ran, run };
}

async function restored(listing: string, act = ensureForwarding): Promise<string | undefined> {
  const { ran, run } = record(listing);
  expect(await act(run)).toEqual({ kind: 'changed' });
  expect(ran.map(({ argv }) => argv)).toEqual(['iptables -w 5 -S', 'iptables-restore -w 5 --noflush']);
  return ran[1]?.input;
}

describe('forwarding', () => {
  it("is let through before Docker's return, and after the user's rules", async () => {
    const jump = (at: number) => `*filter\n${CHAIN}-I DOCKER-USER ${at} -j OVERLAYD-FORWARD\nCOMMIT\n`;
    expect(await restored(DOCKER_20)).toBe(jump(1));
    const drop = '-A DOCKER-USER -i eth1 -j DROP\n';
    expect(await restored(DOCKER_20.replace('-A DOCKER-USER', `${drop}-A DOCKER-USER`))).toBe(jump(2));
  });

  it('is let through at the end of a chain that has no return', async () => {
    const expected = `*filter\n${CHAIN}-A DOCKER-USER -j OVERLAYD-FORWARD\nCOMMIT\n`;
    expect(await restored(DOCKER_28)).toBe(expected);
    expect(await restored(`${DOCKER_28}-A DOCKER-USER -i eth1 -j DROP\n`)).toBe(expected);
  });

  it('of IPv4 is let through on a host that has no IPv6, which is said', async () => {
    const { ran, run } = record(DOCKER_28);
    const why = 'Address family not supported by protocol';
    const withoutIpv6: RunProgram = async (argv, options) =>
      argv[0] === 'ip6tables' ? { code: 3, stdout: '', stderr: why } : run(argv, options);
    const nothing = async () => undefined;
    expect(await allowForwarding(withoutIpv6, true, nothing)).toBe(`ip6tables: ${why}`);
    expect(ran.map(({ argv }) => argv.split(' ')[0])).toEqual(['iptables', 'iptables-restore']);
    expect(await allowForwarding(withoutIpv6, false, nothing)).toBeUndefined();
  });

  it('is left alone where it is let through', async () => {
    const { ran, run } = record(`${DOCKER_28}-A DOCKER-USER -j OVERLAYD-FORWARD\n-A DOCKER-USER -j RETURN\n${OURS}`);
    expect(await ensureForwarding(run)).toEqual({ kind: 'unchanged' });
    expect(ran.length).toBe(1);
  });

  it('is mended where a rule is gone, or the way to the rules', async () => {
    const jump = '-A DOCKER-USER -j OVERLAYD-FORWARD\n';
    const without = OURS.replace(/^.*-i ovl\+ -j ACCEPT\n/m, '');
    expect(await restored(`${DOCKER_28}${jump}${without}`)).toBe(`*filter\n${CHAIN}COMMIT\n`);
    expect(await restored(`${DOCKER_28}${OURS}`)).toBe(`*filter\n${jump}COMMIT\n`);
    expect(await restored(`${DOCKER_20}${jump}${OURS}`)).toBe(
      '*filter\n-D DOCKER-USER -j OVERLAYD-FORWARD\n-I DOCKER-USER 1 -j OVERLAYD-FORWARD\nCOMMIT\n',
    );
  });

  it('is taken out again', async () => {
    expect(await restored(`${DOCKER_28}-A DOCKER-USER -j OVERLAYD-FORWARD\n${OURS}`, removeForwarding)).toBe(
      '*filter\n-D DOCKER-USER -j OVERLAYD-FORWARD\n-F OVERLAYD-FORWARD\n-X OVERLAYD-FORWARD\nCOMMIT\n',
    );
    expect(await removeForwarding(record(DOCKER_20).run)).toEqual({ kind: 'unchanged' });
  });
});

describe('a host without that firewall', () => {
  it('needs nothing', async () => {
    const { ran, run } = record(POLICIES);
    expect(await ensureForwarding(run)).toEqual({
      kind: 'not-needed',
      reason: 'iptables has no chain DOCKER-USER',
    });
    expect(ran.length).toBe(1);
    const absent = () =>
      Promise.reject(new OverlaydError('tool-missing', 'the program "iptables" is not on this host'));
    expect(await ensureForwarding(absent)).toMatchObject({
      kind: 'not-needed',
      reason: expect.stringContaining('not on'),
    });
  });
});

describe('what goes wrong', () => {
  it("is told in the program's words", async () => {
    const { run } = record(DOCKER_20, { code: 4, stderr: 'Another app is currently holding the xtables lock.\n' });
    expect(await ensureForwarding(run)).toEqual({
      kind: 'failed',
      reason: 'iptables-restore: Another app is currently holding the xtables lock.',
    });
    const denied: RunProgram = async () => ({ code: 4, stdout: '', stderr: 'Permission denied (you must be root)\n' });
    expect(await ensureForwarding(denied)).toEqual({
      kind: 'failed',
      reason: 'iptables: Permission denied (you must be root)',
    });
    expect(await ensureForwarding(() => Promise.reject(new Error('no more processes')))).toEqual({
      kind: 'failed',
      reason: 'no more processes',
    });
  });
});
