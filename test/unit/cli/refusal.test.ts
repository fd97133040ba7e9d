import { describe, expect, it } from 'vitest';
import { run, TOKEN } from './fake-agent.ts';

/** Each wrong command line and what is said about it, without the agent being asked. */
const REFUSED: readonly (readonly [line: string, message: string])[] = [
  ['netwrok ls', "overlayd: unknown command 'netwrok'\n(Did you mean network?)"],
  ['netwrok --help', "unknown command 'netwrok'\n(Did you mean network?)\nSee 'overlayd --help'."],
  ['network del web --help', "unknown command 'del'\n(Did you mean rm?)\nSee 'overlayd network --help'."],
  ['--run-dir /run/x lss', "unknown command 'lss'"],
  ['network constructor', "unknown command 'constructor'\nSee 'overlayd network --help'."],
  ['help network creat', "unknown command 'creat'\n(Did you mean create?)\nSee 'overlayd network --help'."],
  ['stop', '(The agent is a service: systemctl stop overlayd)'],
  ['attach web c1', '(Did you mean network connect?)'],
  ['connect web c1', '(Did you mean network connect?)'],
  ['create web', '(Did you mean network create?)'],
  ['logs -f', '(Did you mean events?)'],
  ['revoke x', '(Did you mean token revoke?)'],
  ['resize 3', '(Did you mean store resize?)'],
  ['node add host2', '(Did you mean one of token create, join?)'],
  ['network show web', '(Did you mean inspect?)'],
  ['token new', '(Did you mean create?)'],
  ['net ls', "unknown command 'net'\n(Did you mean network?)"],
  ['help net', "unknown command 'net'\n(Did you mean network?)"],
  ['network con web c1', '(Did you mean connect?)'],
  ['network help create', '(Did you mean overlayd help network create?)'],
  ['store resize 2', "overlayd: argument value '2' is invalid for argument 'count'. Write 1, 3 or 5"],
  ['swarm join-token worker', '(Did you mean token create?)'],
  ['swarm leave --force', '(Did you mean leave?)'],
  ['swarm', '(Did you mean one of init, join?)'],
  ['container ls -a', '(Did you mean ps?)'],
  ['container inspect c1', '(Did you mean inspect?)'],
  ['system df', '(Did you mean status?)'],
  ['network lss', "overlayd: unknown command 'lss'\n(Did you mean ls?)"],
  ['network ls -v', "unknown option '-v'"],
  ['network rm --version web', "unknown option '--version'"],
  [
    'network subnet add web 10.44.0.0/33',
    "'10.44.0.0/33' is invalid for argument 'cidr'. Write a CIDR, like 10.0.1.0/24",
  ],
  ['network create --subnett 10.0.0.0/24 web', "overlayd: unknown option '--subnett'\n(Did you mean --subnet?)"],
  ['network create', "missing required argument 'name'"],
  ['network create web db', 'too many arguments'],
  ['network create -bad', "unknown option '-bad'"],
  ['network create we/b', 'network name "we/b" is not valid'],
  ['network create host', 'network name "host" is predefined'],
  [
    'network create --subnet 10.0.1.0 web',
    "argument '10.0.1.0' is invalid. Write a CIDR, like 10.0.1.0/24 or fd00:1::/64.",
  ],
  ['network create --subnet fd00:: web', 'Write a CIDR'],
  [
    'network create --gateway 10.0.1 web',
    "argument '10.0.1' is invalid. Write an IP address, like 10.0.1.5 or fd00:1::5.",
  ],
  ['network create --gateway fd00::1::2 web', 'Write an IP address'],
  ['network create --ip-range 10.0.1.128 web', 'Write a CIDR'],
  ['network create --aux-address 10.0.1.2 web', "argument '10.0.1.2' is invalid. Write it like router=10.0.1.2."],
  ['network create --aux-address r=10.0.1 web', 'Write an IP address'],
  ['network create --aux-address r=10.0.1.2 --aux-address r=10.0.1.3 web', 'The name r is given twice.'],
  ['network create --label =shop web', "argument '=shop' is invalid. The key is missing; write it like team=web."],
  ['network create -o =5 web', 'The key is missing'],
  ['network create -d bridge web', '--driver bridge is not supported: overlayd makes overlay networks'],
  ['network create --ipv6=maybe web', '--ipv6=maybe: write --ipv6=true or --ipv6=false'],
  ['network create --ingress web', '--ingress is not supported'],
  ['network create --scope swarm web', '--scope swarm is not supported: every network is seen on every host'],
  ['network create --ipam-driver dhcp web', '--ipam-driver dhcp is not supported: overlayd gives the addresses'],
  ['network create --ipam-opt a=b web', '--ipam-opt is not supported'],
  ['network create --config-only web', '--config-only is not supported: give the options to each network'],
  ['network create --config-from other web', '--config-from is not supported'],
  ['network create --attachable=maybe web', '--attachable=maybe: write --attachable=true or --attachable=false'],
  ['publish web', '"web" is not [IP:]PORT:NETWORK/NAME:PORT[/tcp|udp|sctp]'],
  ['publish 8080:web/api:80/icmp', 'the protocol is tcp, udp, sctp, like 80/udp'],
  ['publish 1.2.3:80:web/api:80', '1.2.3 is no address'],
  ['publish rm api', '"api" is not [IP:]PORT[/tcp|udp|sctp], like 8080'],
  ['publish rm 8080 70000', '"70000" is not [IP:]PORT[/tcp|udp|sctp]'],
  ['dns add web db MX 10', 'type "MX": there is A, AAAA, CNAME, TXT, SRV'],
  ['dns add web db A 192.0.2.300', '192.0.2.300'],
  ['dns add web db AAAA 192.0.2.3', '192.0.2.3'],
  ['dns add web d*b A 192.0.2.3', 'is a pattern; give each name by itself'],
  ['dns add web _http._tcp.api SRV 0 5 api', 'is not priority, weight, port and host'],
  ['dns rm web db MX', 'type "MX": there is A, AAAA, CNAME, TXT, SRV'],
  ['dns rm web db A nowhere', 'nowhere'],
  ['dns add web db A', "missing required argument 'value'"],
  ['dns add --ttl 100ms web db A 192.0.2.9', 'Write a duration of whole seconds, like 30s or 1h, of at most 1d.'],
  ['dns add --ttl 2d web db A 192.0.2.9', 'of at most 1d'],
  ['network connect web', "missing required argument 'container'"],
  [
    'network connect web /c1',
    '"/c1" is not a container that overlayd can find; write the name or id of a Docker container',
  ],
  ['network connect web pid:0', 'netns:NAME (as `ip netns` lists it), netns:/PATH, pid:NUMBER, machine:NAME'],
  ['network connect web netns:', 'netns:NAME (as `ip netns` lists it)'],
  ['network connect --name a.b web netns:c1', '--name: "a.b" is not valid'],
  ['network connect --alias -x web netns:c1', '--alias: "-x" is not valid'],
  ['network connect --ip 10.0.0.256 web netns:c1', 'Write an IPv4 address'],
  ['network connect --mac 02:42 web netns:c1', 'Write a MAC address, like 02:42:0a:00:01:05.'],
  ['network connect --ifname a-name-too-long0 web netns:c1', 'Write an interface name of at most 15'],
  ['network connect --ip fd00::2 web netns:c1', 'Write an IPv4 address, like 10.0.1.5, and give this one as --ip6.'],
  [
    'network connect --ip6 10.0.0.2 web netns:c1',
    'Write an IPv6 address, like fd00:0:0:1::5, and give this one as --ip.',
  ],
  ['network connect --ip6 fd00::1::2 web netns:c1', 'Write an IPv6 address, like fd00:0:0:1::5.'],
  ['network connect --link db:db web netns:c1', '--link is not supported: names of the network resolve by themselves'],
  ['network connect --driver-opt =b web netns:c1', 'The key is missing'],
  ['network connect --gw-priority first web netns:c1', 'Write a whole number from -2147483648 to 2147483647, like 10.'],
  [
    'network connect --gw-priority 2147483648 web netns:c1',
    'Write a whole number from -2147483648 to 2147483647, like 10.',
  ],
  [
    'network connect --gw-priority=-2147483649 web netns:c1',
    'Write a whole number from -2147483648 to 2147483647, like 10.',
  ],
  [
    'network connect --port http web netns:c1',
    'overlayd: --port: "http" is not [NAME=]PORT[/tcp|udp], like 8080, http=8080 or dns=53/udp; one port each, from 1 to 65535',
  ],
  ['network connect --port 8000-8010 web netns:c1', '--port: "8000-8010" is not [NAME=]PORT[/tcp|udp]'],
  ['network connect --port 80/icmp web netns:c1', '"80/icmp": the protocol is tcp, udp, sctp, like 80/udp'],
  ['network connect --port _http=80 web netns:c1', 'without "_" in front, like http=80'],
  ['network connect --label =x web netns:c1', 'The key is missing; write it like team=web.'],
  ['network rm', "missing required argument 'network'"],
  ['network inspect', "missing required argument 'network'"],
  ['network inspect -f table web', 'inspect has no table'],
  ['network ls --filter name', '--filter name: write it like name=…; there are dangling, driver,'],
  ['node ls --filter label', '--filter label: write it like label=…; there are id, label,'],
  ['network prune -f --filter until=10', 'filter until=10: not a duration or time'],
  ['node ls --filter state=gone', 'write state=ready, state=joining, state=restarting, state=suspect, state=down or'],
  ['token ls --filter expired=maybe', 'write expired=true or expired=false'],
  ['endpoint ls --filter nod=a', 'unknown filter nod; did you mean node? there are address, health, id,'],
  ['dns ls --filter type=MX', 'write type=A, type=AAAA, type=CNAME, type=TXT or type=SRV'],
  ['service ls --filter ip=10.0.0.1', 'unknown filter ip; did you mean id? there are address, alias,'],
  [
    'publish ls --filter container=a',
    'unknown filter container; there are name, network, port, protocol, tool, waiting',
  ],
  ['network ls --filter nam=web', '--filter nam=web: unknown filter nam; did you mean name?'],
  ['network ls --filter type=predefined', 'write type=custom or type=builtin'],
  ['network ls --filter dangling=x', 'write dangling=true or dangling=false'],
  ['network ls --format yaml', '--format "yaml" is neither json, table nor a template'],
  ['network prune', 'there is no terminal to ask for confirmation; add --force'],
  ['network prune -f --filter until=soon', 'filter until=soon: not a duration or time; write it like 24h'],
  ['network prune -f --filter name=web', 'Known filters: until=, label=, label!='],
  ['init --advertise-addr 10.0.0.1:2377', 'Leave the port out, --join-port sets it: 10.0.0.1.'],
  ['init --advertise-addr [2001:db8::1]:2377', 'Leave the port out, --join-port sets it: 2001:db8::1.'],
  ['init --advertise-addr 10.0.0', 'Write an address of this host'],
  ['init --advertise-addr eth/0', 'Write an address of this host or an interface, like 192.0.2.1, 2001:db8::1 or eth0'],
  ['init --join-port 0', 'Write a port from 1 to 65535.'],
  ['init --gossip-port x', 'Write a port from 1 to 65535.'],
  ['init --data-path-port 65536', 'Write a port from 1 to 65535.'],
  ['init --label =x', 'The key is missing'],
  ['init --etcd 10.0.0.5:2379', 'Write URLs with a port, separated by commas'],
  ['init --etcd https://10.0.0.5', 'Write URLs with a port'],
  ['init --etcd https://2001:db8::5:2379', 'Write URLs with a port'],
  ['init --etcd-ca ca.pem', '--etcd-ca, --etcd-cert and --etcd-key need --etcd'],
  ['init --etcd https://a:2379 --etcd-cert c.pem', '--etcd-cert and --etcd-key belong together'],
  ['init --etcd http://a:2379 --etcd-ca ca.pem', '--etcd-ca has no meaning for http://'],
  ['init --default-addr-pool 10.0.0.0', 'Write an IPv4 CIDR'],
  ['init --default-addr-pool fd00::/48', "automatic subnets of IPv6 come from the cluster's own /48"],
  ['init --default-addr-pool-mask-length 33', 'from 1 to 31'],
  ['init now', 'too many arguments'],
  ['join 10.0.0.1', 'give --token or --token-file; `overlayd token create` on a member prints the whole join line'],
  [`join --token ${TOKEN}`, "missing required argument 'address[:port]'"],
  [`join --token ${TOKEN} --token-file t 10.0.0.1`, '--token and --token-file say the same thing twice'],
  [`join --token ${TOKEN} 10.0.0.1:99999`, '"10.0.0.1:99999" is not the address of a member'],
  [`join --token ${TOKEN} 10.0.0:2377`, 'write it like 192.0.2.1, 192.0.2.1:2377 or [2001:db8::1]:2377'],
  ['join --token SWMTKN-1-x 10.0.0.1', 'this is a Docker Swarm token'],
  [`join --token ${TOKEN.slice(0, -3)} 10.0.0.1`, 'the token is cut short: 3 characters are missing'],
  ['token create --ttl 5x', "argument '5x' is invalid. Write a duration, like 30m, 24h or 7d; 0 never expires."],
  ['token create --uses 0', 'Write how often the token may be used'],
  ['token create --format yaml', 'Allowed choices are text, json.'],
  ['node rm', "missing required argument 'node'"],
  ['completion tcsh', 'no completion for tcsh, only for '],
];

describe('a wrong command line', () => {
  it.each(REFUSED)('%s', async (line, message) => {
    const { code, error, out, asked } = await run(line);
    expect(error).toContain(message);
    expect(error).toMatch(/^overlayd: /);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(asked).toEqual([]);
  });

  it('says whose help to read', async () => {
    const { error } = await run('network create --bogus');
    expect(error).toContain("See 'overlayd network create --help'.");
  });
});

describe('files that options name', () => {
  it('must be readable', async () => {
    const { code, error } = await run('init --etcd https://a:2379 --etcd-ca /nowhere/ca.pem');
    expect(error).toBe("overlayd: --etcd-ca: ENOENT: no such file or directory, open '/nowhere/ca.pem'\n");
    expect(code).toBe(1);
  });

  it('must be PEM', async () => {
    const { error } = await run('init --etcd https://a:2379 --etcd-ca ca.der', {
      surroundings: { readFile: async () => '\x30\x82' },
    });
    expect(error).toBe('overlayd: --etcd-ca: ca.der is not a PEM file\n');
  });
});
