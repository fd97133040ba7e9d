#!/usr/bin/env bash
# Node.js 24.21.0: a TLS server with `requestCert` and `rejectUnauthorized` that refuses an expired client certificate
# closes the connection without an alert. Under TLS 1.3 the client has seen `secureConnect` by then and gets an end, or
# ECONNRESET: nothing tells it that its certificate has expired, and the server hears of no reason either.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . node@24.21.0 @peculiar/x509@1.14.0 >/dev/null
cat >make.cjs <<'JS'
const x509 = require('@peculiar/x509');
const fs = require('node:fs');
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
(async () => {
  x509.cryptoProvider.set(globalThis.crypto);
  const day = 86400000, now = Date.now();
  const pair = () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const pem = async (key) => x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
  const ca = await pair();
  const from = (days) => new Date(now + days * day);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=lab', notBefore: from(-20), notAfter: from(20), keys: ca, signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  fs.writeFileSync('ca.pem', root.toString('pem'));
  for (const [name, end] of [['server', 10], ['valid', 10], ['expired', -1]]) {
    const keys = await pair();
    const cert = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`, issuer: 'CN=lab', notBefore: from(-10), notAfter: from(end), publicKey: keys.publicKey,
      signingKey: ca.privateKey, signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'lab' }])],
    });
    fs.writeFileSync(`${name}.pem`, cert.toString('pem'));
    fs.writeFileSync(`${name}.key`, await pem(keys.privateKey));
  }
})();
JS
cat >try.cjs <<'JS'
const tls = require('node:tls');
const fs = require('node:fs');
const read = (name) => ({ cert: fs.readFileSync(`${name}.pem`), key: fs.readFileSync(`${name}.key`), ca: fs.readFileSync('ca.pem') });
const server = tls.createServer({ ...read('server'), requestCert: true, rejectUnauthorized: true }, (s) => s.end('welcome'));
let told = '';
server.on('tlsClientError', (e) => { told = e.code ?? e.message; });
const connect = (name, maxVersion) => new Promise((resolve) => {
  const seen = [];
  const s = tls.connect({ ...read(name), port: server.address().port, host: '127.0.0.1', servername: 'lab', maxVersion });
  s.on('secureConnect', () => seen.push('secureConnect'));
  s.on('data', (d) => seen.push(String(d)));
  s.on('error', (e) => seen.push(e.code ?? e.message));
  s.on('close', () => resolve(seen.join(', ')));
});
server.listen(0, '127.0.0.1', async () => {
  console.log(`node ${process.version}, openssl ${process.versions.openssl}`);
  const good = await connect('valid', 'TLSv1.3');
  const bad13 = await connect('expired', 'TLSv1.3');
  const bad12 = await connect('expired', 'TLSv1.2');
  console.log(`valid certificate, client saw:            ${good}`);
  console.log(`expired certificate, TLS 1.3, client saw: ${bad13}`);
  console.log(`expired certificate, TLS 1.2, client saw: ${bad12}`);
  console.log(`the server's tlsClientError:              ${told || 'none'}`);
  const silent = [bad13, bad12].every((each) => !/ALERT|expired/i.test(each));
  process.exit(good.includes('welcome') && silent ? 0 : 1);
});
JS
node_modules/.bin/node make.cjs
node_modules/.bin/node try.cjs
