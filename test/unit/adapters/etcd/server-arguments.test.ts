import { expect, test } from 'vitest';
import { renderServerArguments, sameArguments } from '../../../../src/adapters/etcd/server-arguments.ts';
import type { EtcdServerSettings, StoreMember } from '../../../../src/ports/store.ts';

const SETTINGS: EtcdServerSettings = {
  name: 'n2',
  advertiseAddress: '10.0.0.2',
  listenAddress: '0.0.0.0',
  material: { certificate: '', key: '', caCertificate: '' },
};

function render(changes: Partial<EtcdServerSettings> = {}): readonly string[] {
  return renderServerArguments('/var/lib/etcd', { ...SETTINGS, ...changes }, { client: 2379, peer: 2380 });
}

/** Of an option that has a value of its own. */
const given = (args: readonly string[], name: string) => args[args.indexOf(`--${name}`) + 1];

const member = (name: string, peerUrl: string): StoreMember => ({
  ...{ id: `id-${peerUrl}`, name, peerUrls: [peerUrl], clientUrls: [], isLearner: false },
});

test('clients and members are told the address of the host, of either family', () => {
  const args = render();
  expect(given(args, 'advertise-client-urls')).toBe('https://10.0.0.2:2379');
  expect(given(args, 'initial-advertise-peer-urls')).toBe('https://10.0.0.2:2380');
  const six = render({ advertiseAddress: '2001:db8::2', listenAddress: '::' });
  expect(given(six, 'advertise-client-urls')).toBe('https://[2001:db8::2]:2379');
  expect(given(six, 'listen-peer-urls')).toBe('https://[::]:2380');
});

test('it listens where the agent does, and where this host asks', () => {
  expect(given(render(), 'listen-client-urls')).toBe('https://0.0.0.0:2379');
  const one = render({ listenAddress: '10.0.0.2' });
  expect(given(one, 'listen-client-urls')).toBe('https://10.0.0.2:2379,https://127.0.0.1:2379');
  expect(given(one, 'listen-peer-urls')).toBe('https://10.0.0.2:2380,https://127.0.0.1:2380');
  expect(given(render({ listenAddress: '127.0.0.1' }), 'listen-peer-urls')).toBe('https://127.0.0.1:2380');
});

test('what it begins with: alone, each time as another store; or as the member that was added for its address', () => {
  const alone = render({ begin: 'alone' });
  expect(given(alone, 'initial-cluster')).toBe('n2=https://10.0.0.2:2380');
  expect(given(alone, 'initial-cluster-state')).toBe('new');
  expect(given(alone, 'initial-cluster-token')).not.toBe(given(render({ begin: 'alone' }), 'initial-cluster-token'));
  const begin = [member('n1', 'https://10.0.0.1:2380'), member('', 'https://10.0.0.2:2380')];
  const joining = render({ begin });
  expect(given(joining, 'initial-cluster')).toBe('n1=https://10.0.0.1:2380,n2=https://10.0.0.2:2380');
  expect(given(joining, 'initial-cluster-state')).toBe('existing');
});

test('a server that began otherwise is the same, one that listens or serves otherwise is another', () => {
  const now = render();
  expect(sameArguments(render({ begin: [member('n1', 'https://10.0.0.1:2380')] }), now)).toBe(true);
  expect(sameArguments(render({ begin: 'alone' }), now)).toBe(true);
  expect(sameArguments(render({ advertiseAddress: '10.0.0.3' }), now)).toBe(false);
  expect(sameArguments(render({ listenAddress: '10.0.0.2' }), now)).toBe(false);
  expect(sameArguments(render({ revocationList: '' }), now)).toBe(false);
});
