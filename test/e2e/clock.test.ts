import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backdatedCertificate } from '../fixtures/certificate.ts';
import { untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true });
const DAYS_MS = 86_400_000;

const identityPath = (host: Host) => join(host.dataDirectory, 'identity.json');

/** The host's agent, with a certificate that was made when its clock was off by so much. */
async function startWithCertificateOf(host: Host, offsetMs: number): Promise<string> {
  await host.agent.stop();
  const path = identityPath(host);
  const identity = JSON.parse(readFileSync(path, 'utf8'));
  const certificate = await backdatedCertificate(identity, Date.now() + offsetMs);
  writeFileSync(path, JSON.stringify({ ...identity, certificate }));
  await host.agent.start();
  return certificate;
}

test.each([
  ['ahead', 61 * DAYS_MS],
  ['behind, or the host slept', -100 * DAYS_MS],
])('a keeper whose certificate was made by a clock that was %s is back at once', async (_, offsetMs) => {
  const made = await startWithCertificateOf(lab().host(1), offsetMs);
  await untilReady(lab().hosts);
  expect(JSON.parse(readFileSync(identityPath(lab().host(1)), 'utf8')).certificate).not.toBe(made);
});
