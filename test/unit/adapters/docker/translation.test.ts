import { expect, test } from 'vitest';
import type { RunProgram } from '../../../../src/adapters/docker/forwarding.ts';
import { missingTranslation } from '../../../../src/adapters/docker/translation.ts';

const OURS = `table inet overlayd {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @subnets oifname != @uplinks masquerade comment "overlayd:1"
	}
}
`;

/** A host on which programs say what is given for them; those that are not named fail. */
function host(says: Readonly<Record<string, string>>): RunProgram {
  const all: Readonly<Record<string, string>> = {
    'link show': '[{"ifname":"veth12"}]\n',
    'addr show': '5: docker_gwbridge    inet 172.18.0.1/16 brd 172.18.255.255 scope global docker_gwbridge\n',
    iptables: '-P POSTROUTING ACCEPT\n',
    nft: OURS,
    ...says,
  };
  return async (argv) => {
    const key = Object.keys(all).find((name) => argv.join(' ').includes(name));
    const stdout = key === undefined ? undefined : all[key];
    return stdout === undefined ? { code: 1, stdout: '', stderr: 'no' } : { code: 0, stdout, stderr: '' };
  };
}

test('containers that publish ports are said to have no way out, with the rule that gives them one', async () => {
  expect(await missingTranslation(host({}))).toContain(
    'iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE',
  );
});

test.each([
  ['no container has such a link', { 'link show': '[]\n' }],
  ['iptables translates', { iptables: '-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.18.0.0/16 -j MASQUERADE\n' }],
  ['a table of the user translates', { nft: `${OURS}table ip nat {\n\tchain out {\n\t\tmasquerade\n\t}\n}\n` }],
  [
    'one that is listed before ours does',
    { nft: `table ip nat {\n\tchain out {\n\t\tsnat to 192.0.2.1\n\t}\n}\n${OURS}` },
  ],
])('nothing is said where %s', async (_, says) => {
  expect(await missingTranslation(host(says))).toBeUndefined();
});

test('nor where there is no such bridge, or no program to ask', async () => {
  const failing: RunProgram = async () => ({ code: 1, stdout: '', stderr: 'Device "docker_gwbridge" does not exist.' });
  expect(await missingTranslation(failing)).toBeUndefined();
  expect(await missingTranslation(() => Promise.reject(new Error('not here')))).toBeUndefined();
});
