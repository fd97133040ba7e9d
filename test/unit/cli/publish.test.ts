import { expect, it } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { Publication } from '../../../src/gen/overlayd/v1/control.ts';
import { run } from './fake-agent.ts';

const published = (hostPort: number, more: Partial<Publication> = {}) =>
  Publication.fromPartial({
    ...{ hostPort, protocol: 'tcp', networkId: 'n', networkName: 'web', name: 'api', port: hostPort - 8_000 },
    ...{ addresses: ['10.0.0.2'], tool: 'podman', hostEnd: `${hostPort}/tcp` },
    ...more,
  });

const ls = (publications: readonly Publication[], options = '') =>
  run(`publish ls ${options}`, { answers: { listPublications: () => ({ publications }) } });

const portsOf = (out: string) =>
  out
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/ {2,}/).filter((cell) => cell !== 'web' && cell !== 'api' && cell !== 'podman'));

it('ports in a row that lead to ports in a row are one line', async () => {
  const udp = (port: number) => published(port, { protocol: 'udp', hostEnd: `${port}/udp` });
  const { out } = await ls([published(8_001), udp(8_001), published(8_002), udp(8_002), published(8_003)]);
  expect(portsOf(out)).toEqual([
    ['8001-8003/tcp', '10.0.0.2:1-3'],
    ['8001-8002/udp', '10.0.0.2:1-2'],
  ]);
});

it('but not where something else is in between, or leads elsewhere', async () => {
  const at = (hostPort: number, hostAddress: string) =>
    published(hostPort, { hostAddress, hostEnd: `[${hostAddress}]:${hostPort}/tcp`, addresses: ['fd00::2'] });
  const { out } = await ls([
    published(8_001),
    published(8_003),
    published(8_004, { port: 80 }),
    at(8_005, '2001:db8::8005'),
    at(8_006, '2001:db8::8005'),
  ]);
  expect(portsOf(out)).toEqual([
    ['8001/tcp', '10.0.0.2:1'],
    ['8003/tcp', '10.0.0.2:3'],
    ['8004/tcp', '10.0.0.2:80'],
    ['[2001:db8::8005]:8005-8006/tcp', '[fd00::2]:5-6'],
  ]);
});

it('each is by itself in JSON, templates and ids', async () => {
  const all = [published(8_001), published(8_002)];
  expect(JSON.parse((await ls(all, '--format json')).out)).toHaveLength(2);
  expect((await ls(all, '-q --no-trunc')).out).toBe('8001/tcp\n8002/tcp\n');
  expect(
    (
      await run(['publish', 'ls', '--format', '{{.HostPort}}'], {
        answers: { listPublications: () => ({ publications: all }) },
      })
    ).out,
  ).toBe('8001\n8002\n');
});

it('takes several ports back, and goes on behind one that is not published', async () => {
  const unpublish = ({ publication }: { publication: string }) => {
    if (publication === '8002') throw new OverlaydError('name-not-found', '8002/tcp is not published');
    return published(Number(publication));
  };
  const { code, out, error } = await run('publish rm 8001 8002 8003', { answers: { unpublish } });
  expect([code, error]).toEqual([1, 'overlayd: 8002/tcp is not published\n']);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
  ).toEqual(['8001/tcp', '8003/tcp']);
});
