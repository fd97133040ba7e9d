/** `ipam check`, `repair` and `release`: what is asked, printed, and ended with. */
import { describe, expect, it } from 'vitest';
import { NETWORK_ID, run } from './fake-agent.ts';

describe('ipam', () => {
  const finding = {
    ...{ kind: 'leaked', key: '/overlayd/v2/addresses/n/10.0.0.9', networkId: NETWORK_ID, networkName: 'web' },
    ...{ what: '10.0.0.9 is claimed for nobody', owner: 'h9, which is no member', mend: 'deletes the claim' },
  };
  const answering = (outcome: string) => () => ({ revision: 42, findings: [{ ...finding, outcome }] });

  it('check says that nothing was found', async () => {
    const { code, out, asked } = await run('ipam check');
    expect([code, out]).toEqual([0, 'Nothing found at revision 42 of etcd.\n']);
    expect(asked).toEqual([['checkIpam', { network: '' }]]);
  });

  it('check says what was found, and fails', async () => {
    const { code, out, error } = await run('ipam check --network web', {
      answers: { checkIpam: answering('repairable') },
    });
    expect([code, error]).toEqual([1, '']);
    expect(out).toBe(
      `leaked:  /overlayd/v2/addresses/n/10.0.0.9
what:    10.0.0.9 is claimed for nobody
owner:   h9, which is no member
repair:  deletes the claim

1 found at revision 42 of etcd, \`overlayd ipam repair\` mends 1.
`,
    );
  });

  it('check prints JSON', async () => {
    const { code, out } = await run('ipam check --format json', { answers: { checkIpam: answering('found') } });
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual({
      Revision: 42,
      Findings: [
        {
          ...{ Kind: 'leaked', Key: finding.key, Network: 'web', NetworkID: NETWORK_ID, What: finding.what },
          ...{ Owner: finding.owner, Repair: finding.mend, Outcome: 'found' },
        },
      ],
    });
  });

  it('repair that leaves nothing is done; a dry run only checks', async () => {
    const answers = { repairIpam: answering('repaired'), checkIpam: answering('repairable') };
    const { code, out, asked } = await run('ipam repair', { answers });
    expect([code, asked[0]![0]]).toEqual([0, 'repairIpam']);
    expect(out).toContain('\ndone:    yes\n\n1 found at revision 42 of etcd, 1 repaired.\n');
    const dry = await run('ipam repair --dry-run', { answers });
    expect([dry.code, dry.asked]).toEqual([1, [['checkIpam', { network: '' }]]]);
    const changed = await run('ipam repair', { answers: { repairIpam: answering('changed') } });
    expect([changed.code, changed.out]).toEqual([1, expect.stringContaining('not done, as it has changed meanwhile')]);
  });

  it('release prints what was kept for the name', async () => {
    const kept = [
      { name: 'db', addresses: ['10.0.0.5', 'fd00::5'] },
      { name: 'db', addresses: ['10.0.0.9'] },
    ];
    const { code, out, asked } = await run('ipam release web db', { answers: { releaseKept: () => ({ kept }) } });
    expect([code, out]).toEqual([0, '10.0.0.5\nfd00::5\n10.0.0.9\n']);
    expect(asked).toEqual([['releaseKept', { network: 'web', ref: 'db' }]]);
  });
});
