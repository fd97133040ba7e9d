import { expect, it } from 'vitest';
import { desertedServices, isSweeper, missingServices, servedAliases } from '../../../src/core/automatic-services.ts';
import type { StaticSet } from '../../../src/core/records.ts';
import type { ServiceRecord } from '../../../src/core/service-records.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../fixtures/records.ts';

const network = networkRecord();
const api = endpointRecord({ name: 'api-1', aliases: ['API', 'web'] });
const service = (name: string, automatic?: true): ServiceRecord => ({
  ...{ id: name.padEnd(64, '0'), name, addresses: [], createdAt: 1 },
  ...(automatic && { automatic }),
});
const view = (services: readonly ServiceRecord[], endpoints = [api], sets: readonly StaticSet[] = []) => ({
  services: () => ({ networkId: network.id, services }),
  staticNames: () => ({ networkId: network.id, sets }),
  endpointsOn: () => endpoints,
});

it('is for aliases, each once, and not for names and what engines add', () => {
  const aliases = ['API', 'api', 'Box', 'box', '0123456789ab', 'abc'];
  expect(servedAliases({ name: 'Box', aliases })).toEqual(['api', 'abc']);
});

it('is made for aliases of this host that have none, nor a static name', () => {
  expect(missingServices(view([]), network, [api])).toEqual(['api', 'web']);
  expect(missingServices(view([service('api')]), network, [api])).toEqual(['web']);
  const sets = [{ name: 'web', type: 'A', values: ['192.0.2.1'] }];
  expect(missingServices(view([service('api', true)], [api], sets), network, [api])).toEqual([]);
  expect(missingServices(view([]), network, [])).toEqual([]);
});

it('is taken away when nobody goes by it, by whatever name, unless a person made it', () => {
  const all = [service('api', true), service('api-1', true), service('db', true), service('by-hand')];
  expect(desertedServices(view(all), network).map(({ name }) => name)).toEqual(['db']);
  expect(desertedServices(view(all, []), network).map(({ name }) => name)).toEqual(['api', 'api-1', 'db']);
});

it('is taken away by the first host that is heard', () => {
  const nodes = () => ['1', '2', '3'].map((id) => nodeRecord({ id, left: id === '1' }));
  const heard = (...ids: string[]) =>
    ['1', '2', '3'].filter((self) => isSweeper({ nodes }, self, (id) => ids.includes(id)));
  expect(heard('1', '2', '3')).toContain('2');
  expect(heard('1', '2', '3')).not.toContain('3');
  expect(heard('1', '3')).toContain('3');
});
