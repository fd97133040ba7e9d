import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** Takes port 53 of UDP at an address as soon as nobody has it. */
const PROGRAM = `
use Socket;
$| = 1;
my $address = sockaddr_in(53, inet_aton($ARGV[0]));
socket(my $socket, PF_INET, SOCK_DGRAM, 0) or die $!;
select(undef, undef, undef, 0.0002) until bind($socket, $address);
print "bound\n";
sleep 1 while 1;
`;

/**
 * Something that was there first: it waits for the port, and the process that answers names is killed. `namespace`: by name, or the
 * host's own.
 */
export async function squatOn(host: Host, address: string, namespace?: string): Promise<HostProcess> {
  const inside = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
  const squatter = host.spawn([...inside, 'perl', '-e', PROGRAM, address]);
  await until('port 53 to be taken', async () => {
    if (squatter.output.includes('bound')) return true;
    const pid = (await host.run(['cat', '/run/overlayd/names.sock.lock'])).stdout.trim();
    if (pid !== '') await host.run(['kill', '-KILL', pid]);
    return false;
  });
  return squatter;
}
