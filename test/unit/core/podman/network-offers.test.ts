import { describe, expect, it } from 'vitest';
import { boundNetwork, offeredNetwork, type PodmanNetwork } from '../../../../src/core/podman/network-file.ts';
import { type PodmanOffersInput, planPodmanOffers } from '../../../../src/core/podman/network-offers.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { networkRecord } from '../../../fixtures/records.ts';

const web = networkRecord({ name: 'web' });
const named = (name: string): PodmanNetwork => ({ name, id: 'f'.repeat(64), driver: 'overlayd' });
const bridge: PodmanNetwork = { name: 'web', id: 'b'.repeat(64), driver: 'bridge' };

function plan(input: Partial<PodmanOffersInput>) {
  const none = { networks: [web], provesAbsence: true, found: [], before: [], beingCreated: new Set<string>() };
  return planPodmanOffers({ ...none, ...input });
}

describe('what Podman is offered', () => {
  it("is every network of the cluster, with addresses that are none of Podman's to choose", () => {
    const { add } = plan({});
    expect(add).toEqual([offeredNetwork(web)]);
    expect(add[0]).toMatchObject({ id: web.id, driver: 'overlayd', ipam_options: { driver: 'none' } });
    expect(plan({ found: add })).toEqual({ add: [], change: [], remove: [], unwanted: [], problems: [] });
  });

  it('is not one that a person is making by Podman at this moment', () => {
    expect(plan({ beingCreated: new Set(['web']) }).add).toEqual([]);
  });

  it("goes with the cluster's network, once it is known that there is none", () => {
    const found = [offeredNetwork(web)];
    expect(plan({ networks: [], found, provesAbsence: false }).remove).toEqual([]);
    expect(plan({ networks: [], found }).remove).toEqual(found);
  });

  it("is written anew when the cluster's network has another subnet, with what a person said of it", () => {
    const more = { cidr: '10.9.0.0/24', gateway: '10.9.0.1', auxAddresses: {} };
    const grown: NetworkRecord = { ...web, subnets: [...web.subnets, more] };
    const asked = { ...named('mine'), labels: { a: 'b' } };
    const { change } = plan({ networks: [grown], found: [offeredNetwork(web), boundNetwork(asked, web, 'bound')] });
    expect(change).toEqual([offeredNetwork(grown), boundNetwork(asked, grown, 'bound')]);
  });

  it('leaves a network of the same name alone, and says so', () => {
    const { add, problems } = plan({ found: [bridge] });
    expect(add).toEqual([]);
    expect(problems).toEqual([expect.stringContaining('Podman has another network named web (driver bridge)')]);
  });

  it('is not one whose name means something else to Podman', () => {
    const { add, problems } = plan({ networks: [networkRecord({ name: 'podman' })] });
    expect(add).toEqual([]);
    expect(problems).toEqual([expect.stringContaining('-o net=podman')]);
  });

  it('is not one whose name, as some host wrote it, leads out of the folder', () => {
    for (const name of ['../../passwd', '.hidden', 'a/b', '']) {
      const { add, problems } = plan({ networks: [networkRecord({ name })] });
      expect([add, problems]).toEqual([[], [expect.stringContaining('is no name of a network')]]);
    }
  });
});

describe('a network that is gone from Podman', () => {
  const created = boundNetwork(named('web'), web, 'created');

  it('is to go from the cluster when Podman had made it on this host', () => {
    expect(plan({ before: [created] })).toMatchObject({ unwanted: [web], add: [] });
  });

  it('comes back when it was offered, or bound', () => {
    for (const before of [offeredNetwork(web), boundNetwork(named('web'), web, 'bound')]) {
      expect(plan({ before: [before] })).toMatchObject({ unwanted: [], add: [offeredNetwork(web)] });
    }
  });

  it("is nobody's word when nobody saw it go", () => {
    expect(plan({ before: [] })).toMatchObject({ unwanted: [], add: [offeredNetwork(web)] });
  });

  it('stays when it was removed and made again between two looks, or is just being made', () => {
    const again = boundNetwork({ ...named('web'), id: 'e'.repeat(64) }, web, 'bound');
    expect(plan({ before: [created], found: [again] })).toMatchObject({ unwanted: [], remove: [] });
    expect(plan({ before: [created], beingCreated: new Set(['web']) })).toMatchObject({ unwanted: [], add: [] });
  });

  it('goes when only another name of it is there', () => {
    const other = boundNetwork({ ...named('mine'), id: 'e'.repeat(64) }, web, 'bound');
    expect(plan({ before: [created, other], found: [other] })).toMatchObject({ unwanted: [web] });
  });
});
