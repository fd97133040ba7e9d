import { describe, expect, it } from 'vitest';
import { formatHostPort, formatHttpUrl, parseHostPort, parseHttpUrl } from '../../../src/core/host-port.ts';

describe('host and port', () => {
  it.each([
    ['192.0.2.1:2377', '192.0.2.1', 2377],
    ['host.example:2377', 'host.example', 2377],
    ['[2001:db8::1]:2377', '2001:db8::1', 2377],
    ['[::1]:1', '::1', 1],
  ])('%s is read and written', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatHostPort(host, port)).toBe(text);
  });

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['h1', 'h1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0::1', '2001:db8::1'],
  ])('%s has no port', (text, host) => {
    expect(parseHostPort(text)).toEqual({ host, port: undefined });
  });

  it.each([
    '',
    ':2377',
    'h1:',
    'h1:a',
    'h1:0',
    'h1:65536',
    'h1 :1',
    'a:b:1',
    '[192.0.2.1]:2377',
    '[h1]:2377',
    '[fe80::1%eth0]:2377',
    '[2001:db8::1',
    '2001:db8::1]:2377',
    '[2001:db8::1]2377',
    'user@h1:2377',
    'http://h1:2377',
  ])('%j is refused', (text) => {
    expect(parseHostPort(text)).toBeUndefined();
  });
});

describe('URLs', () => {
  it.each([
    ['https://192.0.2.1:2379', { scheme: 'https', host: '192.0.2.1', port: 2379 }],
    ['https://[2001:db8::1]:2379', { scheme: 'https', host: '2001:db8::1', port: 2379 }],
    ['http://etcd.example', { scheme: 'http', host: 'etcd.example', port: undefined }],
    ['https://[::1]', { scheme: 'https', host: '::1', port: undefined }],
  ] as const)('%s is read and written', (text, url) => {
    expect(parseHttpUrl(text)).toEqual(url);
    expect(parseHttpUrl(`${text}/`)).toEqual(url);
    expect(formatHttpUrl(url)).toBe(text);
  });

  it.each([
    'h1:2379',
    'ftp://h1:2379',
    'https://',
    'https://h1:2379/v3',
    'https://h1:2379?a',
    'https://user@h1:2379',
    'https://2001:db8::1',
    'https://2001:db8::1:2379',
  ])('%j is refused', (text) => {
    expect(parseHttpUrl(text)).toBeUndefined();
  });
});
