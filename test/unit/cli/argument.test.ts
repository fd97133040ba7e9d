import { expect, it } from 'vitest';
import { parseNodeName, parseSshOption } from '../../../src/cli/argument.ts';

it.each(['ProxyJump=host1', 'Port 2222', 'ForwardX11=no', 'PKCS11Provider = /usr/lib/p.so'])(
  'takes %s for an option of ssh',
  (text) => {
    expect(parseSshOption(text)).toBe(text);
  },
);

it('takes an empty node name for one that is not given', () => {
  expect(parseNodeName('')).toBe('');
  expect(parseNodeName('host7')).toBe('host7');
});
