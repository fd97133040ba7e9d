#!/usr/bin/env bash
# @peculiar/x509 writes a revocation list in PEM as "BEGIN CRL". RFC 7468, section 6, has "BEGIN X509 CRL" for it, which is the
# only label that openssl looks for: of the file it says that there is no list in it. Node's own TLS, which gives the text to
# openssl, refuses it as well. The same list in DER, or with the label put right, is read.
# Installs the package into a temporary folder. Needs Node.js 20 or newer, npm and openssl.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @peculiar/x509@2.2.0 reflect-metadata@0.2.2 >/dev/null
cat >make.mjs <<'JS'
import 'reflect-metadata';
import { writeFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
const x509 = await import('@peculiar/x509');
const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const { privateKey } = await crypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
const list = await x509.X509CrlGenerator.create({
  issuer: 'CN=an issuer',
  thisUpdate: new Date(),
  entries: [{ serialNumber: '0a', revocationDate: new Date() }],
  signingAlgorithm,
  signingKey: privateKey,
});
const text = list.toString('pem');
writeFileSync('list.pem', text);
writeFileSync('mended.pem', text.replaceAll(' CRL-', ' X509 CRL-'));
writeFileSync('list.der', Buffer.from(list.rawData));
const taken = (crl) => {
  try {
    createSecureContext({ crl });
    return 'taken';
  } catch (error) {
    return `refused (${error.message})`;
  }
};
console.log(`its first line: ${text.split('\n')[0]}`);
console.log(`node:tls: ${taken(text)}; with the other label: ${taken(text.replaceAll(' CRL-', ' X509 CRL-'))}`);
JS
echo "@peculiar/x509 2.2.0, Node.js $(node --version), $(openssl version | cut -d' ' -f1,2)"
said=$(node make.mjs)
echo "$said"
read_by_openssl() { openssl crl -noout -issuer -inform "$2" -in "$1" >/dev/null 2>&1 && echo read || echo 'not read'; }
plain=$(read_by_openssl list.pem PEM) mended=$(read_by_openssl mended.pem PEM) der=$(read_by_openssl list.der DER)
echo "openssl crl: $plain as it is written, $mended with the other label, $der in DER"
[ "$plain $mended $der" = 'not read read read' ] && grep -q 'BEGIN CRL' <<<"$said" && grep -q 'refused' <<<"$said" && grep -q 'other label: taken' <<<"$said"
