/** Servers that tell whoever calls which address he has for them, and the calls. */
import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** `PORT`: TCP and UDP, both families. */
const SERVE = `
  const [port] = process.argv.slice(1).map(Number);
  const plain = (address) => address.replace(/^::ffff:/, '');
  require('node:net').createServer((socket) => {
    socket.on('error', () => {});
    socket.end(plain(socket.remoteAddress ?? ''));
  }).listen(port, '::', () => {
    const udp = require('node:dgram').createSocket('udp6');
    udp.on('message', (_, { address, port: from }) => udp.send(plain(address), from, address));
    udp.bind(port, '::', () => console.log('ready'));
  });
`;

/** `PROTOCOL ADDRESS PORT`: prints the answer; fails when it is refused, and after ten seconds. */
const CALL = `
  const [protocol, address, port] = process.argv.slice(1);
  setTimeout(() => process.exit(1), 10_000);
  const tell = (answer) => { console.log(String(answer)); process.exit(0); };
  if (protocol === 'tcp') {
    require('node:net').connect(Number(port), address).on('data', tell).on('error', () => process.exit(1));
  } else {
    const udp = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
    udp.on('message', tell).on('error', () => process.exit(1));
    udp.connect(Number(port), address, () => udp.send('who'));
  }
`;

/** `container` undefined: the host itself serves. */
export async function startEchoing(host: Host, container: string | undefined, port: number): Promise<HostProcess> {
  const inside = container === undefined ? [] : ['ip', 'netns', 'exec', container];
  const server = host.spawn([...inside, 'node', '-e', SERVE, String(port)]);
  await until(`${container ?? host.name} to serve`, () => server.output === 'ready\n');
  return server;
}

/** The caller's address as the server has it; undefined: no answer. `container`: that calls; the host itself without. */
export async function call(
  host: Host,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
  container?: string,
): Promise<string | undefined> {
  const argv = ['node', '-e', CALL, protocol, address, String(port)];
  const { code, stdout } = await (container === undefined ? host.run(argv) : host.exec(container, argv));
  return code === 0 ? stdout.trim() : undefined;
}
