import { expect, test } from 'vitest';
import { missingTranslation, type TranslationDeps } from '../../../../src/adapters/docker/translation.ts';

const OURS = `table inet overlayd {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @subnets oifname != @uplinks masquerade comment "overlayd:1"
	}
}
`;

interface Says {
  /** Of the one link beside the bridge. */
  readonly master?: string;
  readonly iptables?: string;
  readonly nft?: string;
}

function host({ master = 'docker_gwbridge', iptables = '-P POSTROUTING ACCEPT\n', nft = OURS }: Says) {
  const asked: string[] = [];
  const deps: TranslationDeps = {
    run: async (argv) => {
      asked.push(argv[0] ?? '');
      return { code: 0, stdout: iptables, stderr: '' };
    },
    routing: async () => ({
      links: [
        { name: 'docker_gwbridge', mtu: 1500 },
        { name: 'veth12', mtu: 1500, master },
      ],
      addresses: [
        { link: 'docker_gwbridge', address: 'fd00:18::1', prefix: 64, flags: 0 },
        { link: 'docker_gwbridge', address: '172.18.0.1', prefix: 16, flags: 0 },
      ],
      routes: [],
      ways: [],
    }),
    ruleset: async () => nft,
  };
  return { deps, asked };
}

test('containers that publish ports are said to have no way out, with the rule that gives them one', async () => {
  const { deps, asked } = host({});
  expect(await missingTranslation(deps)).toContain(
    'iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE',
  );
  expect(asked).toEqual(['iptables']);
});

test.each<[string, Says]>([
  ['no container has such a link', { master: 'docker0' }],
  ['iptables translates', { iptables: '-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.18.0.0/16 -j MASQUERADE\n' }],
  ['a table of the user translates', { nft: `${OURS}table ip nat {\n\tchain out {\n\t\tmasquerade\n\t}\n}\n` }],
  [
    'one that is listed before ours does',
    { nft: `table ip nat {\n\tchain out {\n\t\tsnat to 192.0.2.1\n\t}\n}\n${OURS}` },
  ],
])('nothing is said where %s', async (_, says) => {
  expect(await missingTranslation(host(says).deps)).toBeUndefined();
});

test('nor where there is no such bridge, or nobody to ask', async () => {
  const { deps } = host({});
  const nothing = { links: [], addresses: [], routes: [], ways: [] };
  expect(await missingTranslation({ ...deps, routing: async () => nothing })).toBeUndefined();
  const fails = () => Promise.reject(new Error('not here'));
  expect(await missingTranslation({ run: fails, routing: fails, ruleset: fails })).toBeUndefined();
});
