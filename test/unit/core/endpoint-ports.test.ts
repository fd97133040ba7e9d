import { describe, expect, it } from 'vitest';
import { containerPorts, declarations, parseEndpointPort, samePorts } from '../../../src/core/endpoint-ports.ts';
import { decodeEndpoint, encodeRecord } from '../../../src/core/record-codec.ts';
import { endpointRecord } from '../../fixtures/records.ts';

describe('a port', () => {
  it.each([
    ['http=8080', { port: 8080, protocol: 'tcp', name: 'http' }],
    ['DNS=53/UDP', { port: 53, protocol: 'udp', name: 'dns' }],
    ['8080', { port: 8080, protocol: 'tcp' }],
    ['80', { port: 80, protocol: 'tcp', name: 'http' }],
    ['80/udp', { port: 80, protocol: 'udp' }],
    ['5432/tcp', { port: 5432, protocol: 'tcp', name: 'postgresql' }],
    ['h-2=65535/sctp', { port: 65_535, protocol: 'sctp', name: 'h-2' }],
  ])('%s is read', (text, expected) => {
    expect(parseEndpointPort(text)).toEqual(expected);
  });

  it.each([
    ['', 'is not [NAME=]PORT[/tcp|udp]'],
    ['0', 'from 1 to 65535'],
    ['65536', 'from 1 to 65535'],
    ['http=', 'is not [NAME=]PORT'],
    ['80/tcp/udp', 'is not [NAME=]PORT'],
    ['8080:80', 'is not [NAME=]PORT'],
    ['80-90', 'one port each'],
    ['80/', 'the protocol is tcp, udp, sctp, like 80/udp'],
    ['80/icmp', 'the protocol is tcp, udp, sctp'],
    ['=80', 'the name of a service has 1 to 15 letters'],
    ['_http=80', 'without "_" in front, like http=80'],
    ['80=80', 'a letter among them'],
    ['a.b=80', 'the name of a service'],
    ['web-=80', 'the name of a service'],
    [`${'x'.repeat(16)}=80`, '1 to 15 letters'],
  ])('%j is refused', (text, message) => {
    expect(() => parseEndpointPort(text)).toThrow(message);
  });
});

describe('what an endpoint declares', () => {
  it('is nothing where nothing is said', () => {
    expect(Object.keys(declarations([], {}))).toEqual([]);
  });

  it('has each port once, and none without its name', () => {
    expect(declarations(['8080', 'http=8080', 'api=8080/tcp', 'HTTP=8080'], { team: 'a' })).toEqual({
      ports: [
        { port: 8080, protocol: 'tcp', name: 'http' },
        { port: 8080, protocol: 'tcp', name: 'api' },
      ],
      labels: { team: 'a' },
    });
  });

  it('is as much as a record may hold', () => {
    const ports = Array.from({ length: 33 }, (_, i) => String(7000 + i));
    expect(() => declarations(ports, {})).toThrow('--port: an endpoint declares at most 32 ports');
    expect(() => declarations([], { big: 'x'.repeat(2048) })).toThrow('at most 32 labels of 2,048 characters together');
    expect(() => declarations([], { '': 'x' })).toThrow('--label: the key is missing');
  });

  it('goes through its record, and what is none of it is refused', () => {
    const record = { ...endpointRecord({}), ...declarations(['http=8080', '9000/udp'], { team: 'a' }) };
    expect(decodeEndpoint(encodeRecord(record))).toEqual(record);
    expect(decodeEndpoint(encodeRecord({ ...record, ports: [{ port: 'x', protocol: 'tcp' }] }))).toBe(undefined);
    expect(decodeEndpoint(encodeRecord({ ...record, labels: { a: 1 } }))).toBe(undefined);
  });
});

describe('the ports of a container', () => {
  it('are exposed, have the names that labels give, and those of the registry', () => {
    const labels = {
      'overlayd.port.API': '80',
      'overlayd.port.rpc': '7000/udp',
      'overlayd.port.bad_name': '1',
      x: '2',
    };
    expect(containerPorts(['9000/udp', '80/tcp', '443/tcp', 'odd'], labels)).toEqual([
      { port: 80, protocol: 'tcp', name: 'api' },
      { port: 443, protocol: 'tcp', name: 'https' },
      { port: 7000, protocol: 'udp', name: 'rpc' },
      { port: 9000, protocol: 'udp' },
    ]);
  });

  it('are the same in whatever order the engine lists them, and not too many', () => {
    const many = Array.from({ length: 100 }, (_, i) => `${1000 + i}/tcp`);
    const ports = containerPorts(many, { 'overlayd.port.last': '1099' });
    expect(samePorts(containerPorts(many.toReversed(), { 'overlayd.port.last': '1099' }), ports)).toBe(true);
    expect(ports).toHaveLength(32);
    expect(ports[0]).toEqual({ port: 1099, protocol: 'tcp', name: 'last' });
    expect(samePorts(undefined, [])).toBe(true);
    expect(samePorts(undefined, ports)).toBe(false);
  });
});
