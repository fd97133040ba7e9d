/**
 * An upstream server at ADDRESS, port 53 or the given one: every name has the address 198.51.100.7, or 7 behind the given
 * beginning, `big.example` a hundred and twenty (by TCP; cut on UDP). Prints `ready`; ends with its standard input.
 */
import dnsPacket from 'dns-packet';
import { startUpstream } from '../../unit/adapters/dns/upstream.ts';

const [address = '', port = '53', beginning = '198.51.100.'] = process.argv.slice(2);

function answer(query: Buffer, transport: 'udp' | 'tcp'): Buffer {
  const { id, flags, questions } = dnsPacket.decode(query);
  const name = questions?.[0]?.name ?? '';
  const big = name === 'big.example';
  const cut = big && transport === 'udp';
  const count = cut ? 0 : big ? 120 : 1;
  return dnsPacket.encode({
    type: 'response',
    id: id ?? 0,
    flags: (flags ?? 0) | dnsPacket.RECURSION_AVAILABLE | (cut ? dnsPacket.TRUNCATED_RESPONSE : 0),
    questions: questions ?? [],
    answers: Array.from({ length: count }, (_, i) => ({
      name,
      type: 'A' as const,
      ttl: 60,
      data: `${beginning}${i + 7}`,
    })),
  });
}

const upstream = await startUpstream(
  address,
  { udp: (query) => [answer(query, 'udp')], tcp: (query) => answer(query, 'tcp') },
  Number(port),
);
process.stdout.write('ready\n');
process.stdin.resume().on('end', () => upstream.close());
