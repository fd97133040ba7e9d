import { expect, test } from 'vitest';
import { parseEngineMemory } from '../../../../src/agent/engine/memory.ts';

const binding = { networkId: 'n1', origin: 'offered' };

test.each(['offered', 'created', 'bound'])('a binding that was %s is remembered', (origin) => {
  const memory = { version: 1, networks: { e1: { ...binding, origin } } };
  expect(parseEngineMemory(structuredClone(memory))).toEqual(memory);
});

test('the placeholders for subnets are remembered', () => {
  const memory = { version: 1, networks: { e1: { ...binding, pool: '240.1.2.0/24', pool6: 'e000::/64' } } };
  expect(parseEngineMemory(structuredClone(memory))).toEqual(memory);
});

test('it is remembered of a binding that the agent had its network removed', () => {
  const memory = { version: 1, networks: { e1: { ...binding, withdrawn: true } } };
  expect(parseEngineMemory(structuredClone(memory))).toEqual(memory);
});

test.each([
  [undefined, 'its version is undefined'],
  [null, 'its version is undefined'],
  [{ version: 2, networks: {} }, 'its version is 2, this overlayd knows version 1'],
  [{ version: 1 }, 'networks is not an object'],
  [{ version: 1, networks: null }, 'networks is not an object'],
  [{ version: 1, networks: { e1: null } }, 'networks.e1 is not a binding'],
  [{ version: 1, networks: { e1: { ...binding, origin: 'found' } } }, 'networks.e1 is not a binding'],
  [{ version: 1, networks: { e1: { ...binding, pool: 7 } } }, 'networks.e1 is not a binding'],
  [{ version: 1, networks: { e1: { ...binding, pool6: 7 } } }, 'networks.e1 is not a binding'],
  [{ version: 1, networks: { e1: { ...binding, withdrawn: 7 } } }, 'networks.e1 is not a binding'],
  [{ version: 1, networks: { e1: { ...binding, networkId: 7 } } }, 'networks.e1 is not a binding'],
])('%j is refused: %s', (value, message) => {
  expect(() => parseEngineMemory(value)).toThrow(message);
});
