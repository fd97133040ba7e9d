import { expect, test } from 'vitest';
import { caProgress, followCa, type OwnCas, shownCertificate, trustedCas } from '../../../src/core/ca-rotation.ts';
import type { NodeRecord } from '../../../src/core/records.ts';
import { nodeRecord } from '../../fixtures/records.ts';

const DIGESTS = { current: 'o', next: 'n' };
const node = (name: string, parts: Partial<NodeRecord> = {}) => nodeRecord({ id: name, name, ...parts });
const trusting = { trusts: ['o', 'n'] };
const certified = { ...trusting, certifiedBy: 'n' };
const phase = (...nodes: NodeRecord[]) => {
  const progress = caProgress(DIGESTS, nodes);
  return [progress.phase, progress.nodes.filter(({ isAwaited }) => isAwaited).map((each) => each.node.name)];
};

test('a step ends when all members have done it, and whoever has not is named', () => {
  expect(caProgress({ current: 'o', next: undefined }, [node('a')]).phase).toBeUndefined();
  expect(phase(node('b'), node('c', trusting), node('a', { trusts: ['o'] }))).toEqual(['trust', ['a', 'b']]);
  expect(phase(node('a', trusting), node('b', certified))).toEqual(['certify', ['a']]);
  expect(phase(node('a', certified), node('b', { left: true }))).toEqual(['retire', []]);
});

test('one that joins meanwhile and trusts one alone has to follow', () => {
  expect(phase(node('a', certified), node('b'))).toEqual(['trust', ['b']]);
});

const OWN: OwnCas = { caCertificate: 'O', caKey: 'ko', certificate: 'co' };
const BOTH: OwnCas = { ...OWN, next: { caCertificate: 'N', caKey: 'kn', certificate: 'cn' } };

test('a member follows what the record of the cluster says', () => {
  expect(followCa(OWN, { caCertificate: 'O' })).toBe(OWN);
  const told = followCa(OWN, { caCertificate: 'O', nextCaCertificate: 'N' });
  expect(told).toEqual({ ...OWN, next: { caCertificate: 'N' } });
  expect(followCa(told!, { caCertificate: 'O', nextCaCertificate: 'N' })).toBe(told);
  expect(followCa(BOTH, { caCertificate: 'O', nextCaCertificate: 'M' })).toEqual({
    ...OWN,
    next: { caCertificate: 'M' },
  });
  expect(followCa(BOTH, { caCertificate: 'O' })).toEqual(OWN);
  expect(followCa(BOTH, { caCertificate: 'N' })).toEqual({ caCertificate: 'N', caKey: 'kn', certificate: 'cn' });
  expect(followCa({ ...BOTH, next: { caCertificate: 'N', certificate: 'cn' } }, { caCertificate: 'N' })).toEqual({
    ...{ caCertificate: 'N', certificate: 'cn' },
  });
});

test('it follows to no CA that it was not told of before', () => {
  expect(followCa(BOTH, { caCertificate: 'M' })).toBeUndefined();
  expect(followCa(OWN, { caCertificate: 'N' })).toBeUndefined();
});

test('it shows the certificate of the next one as soon as it has it, and trusts both', () => {
  expect(trustedCas(OWN)).toBe('O');
  expect(trustedCas(BOTH)).toBe('O\nN');
  expect(shownCertificate(OWN)).toEqual({ certificate: 'co', caCertificate: 'O' });
  expect(shownCertificate(BOTH)).toEqual({ certificate: 'cn', caCertificate: 'N' });
});
