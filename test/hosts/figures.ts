/**
 * What it takes from two bare Debians to a container that answers by name from the other one: commands, seconds, megabytes, by overlayd
 * and by Docker Swarm, each typed as its documentation says, on the same booted hosts, in turn. Debian's packages lie on the hosts
 * already; what a mirror takes to give them is measured apart. No container's image is counted: it is the same for all.
 */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';
import { expectSuccess, run } from '../lab/process.ts';
import type { BootedHost } from './booted-host.ts';
import { Fleet, type FleetOptions } from './fleet.ts';

/** A figure is the median of so many. */
const ROUNDS = Number(process.env.OVERLAYD_ROUNDS ?? 3);
const IMAGE = 'busybox-local';
const APT = 'apt-get install -y';

/** A line that a person types. */
type Line = readonly [host: 'one' | 'two', text: string];

interface Way {
  readonly name: string;
  /** Of Debian, on each host. */
  readonly packages: string;
  readonly hasOurs: boolean;
  /** `join`: what the first host's `init` printed. */
  readonly lines: (deb: string, join: () => string) => readonly (Line | (() => Line))[];
}

const IN_NAMESPACES: readonly Line[] = [
  ['one', 'overlayd network create web'],
  ['one', 'ip netns add c1 && overlayd network connect --name api web netns:c1'],
  ['two', 'ip netns add c2 && overlayd network connect --name shop web netns:c2'],
  ['two', 'ip netns exec c2 ping -c 1 api'],
];
const IN_DOCKER: readonly Line[] = [
  ['one', `docker run -d --network web --name api ${IMAGE} sleep 1000000`],
  ['two', `docker run --rm --network web ${IMAGE} ping -c 1 api`],
];

const WAYS: readonly Way[] = [
  {
    ...{ name: 'overlayd, `join` typed', packages: 'libnftables1 etcd-server', hasOurs: true },
    lines: (deb, join) => [
      ['one', `${APT} ${deb}`],
      ['two', `${APT} ${deb}`],
      ['one', 'overlayd init --advertise-addr 192.0.2.1'],
      () => ['two', join()],
      ...IN_NAMESPACES,
    ],
  },
  {
    ...{ name: 'overlayd, `host add`', packages: 'libnftables1 etcd-server', hasOurs: true },
    lines: (deb) => [
      ['one', `${APT} ${deb}`],
      ['one', 'overlayd init --advertise-addr 192.0.2.1'],
      ['one', 'overlayd host add root@192.0.2.2'],
      ...IN_NAMESPACES,
    ],
  },
  {
    ...{ name: 'overlayd with Docker, `host add`', packages: 'libnftables1 etcd-server docker.io', hasOurs: true },
    lines: (deb) => [
      ['one', `${APT} docker.io ${deb}`],
      ['two', `${APT} docker.io`],
      ['one', 'overlayd init --advertise-addr 192.0.2.1'],
      ['one', 'overlayd host add root@192.0.2.2'],
      ['one', 'overlayd-docker-setup && systemctl restart docker'],
      ['two', 'overlayd-docker-setup && systemctl restart docker'],
      ['one', 'overlayd network create web'],
      ...IN_DOCKER,
    ],
  },
  {
    ...{ name: 'Docker Swarm', packages: 'docker.io', hasOurs: false },
    lines: (_, join) => [
      ['one', `${APT} docker.io`],
      ['two', `${APT} docker.io`],
      ['one', 'docker swarm init --advertise-addr 192.0.2.1'],
      () => ['two', join()],
      ['one', 'docker network create -d overlay --attachable web'],
      ...IN_DOCKER,
    ],
  },
];

interface Figure {
  readonly commands: number;
  readonly seconds: number;
  readonly slowest: string;
  readonly diskMiB: number;
}

/** Of a host: what it has beyond the bare one. */
async function diskMiB(host: BootedHost): Promise<number> {
  const places = ['up', 'docker', 'containerd'].map((name) => path.join(host.directory, name));
  const excluded = ['packages', 'var/cache/apt', 'var/lib/apt', 'var/log'].map(
    (name) => `--exclude=${host.directory}/up/${name}`,
  );
  const text = expectSuccess(await run(['du', '-sxcm', ...excluded, ...places]));
  return Number(/^(\d+)\s+total$/m.exec(text)![1]);
}

async function measure(way: Way, options: FleetOptions): Promise<Figure> {
  let figure: Figure | undefined;
  await Fleet.with(options, async (fleet) => {
    await fleet.bootAll();
    await fleet.letIn();
    const before = await Promise.all(fleet.hosts.map(diskMiB));
    let said = '';
    const join = () => /^\s*((?:overlayd|docker swarm) join .*)$/m.exec(said)![1]!;
    const times: [number, string][] = [];
    for (const each of way.lines(fleet.inside(options.made.now), join)) {
      const [on, text] = typeof each === 'function' ? each() : each;
      const host = fleet[on];
      if (/docker run/.test(text))
        await host.sh(
          `docker inspect ${IMAGE} >/dev/null 2>&1 || docker import ${fleet.inside(options.made.image)} ${IMAGE}`,
        );
      const begun = performance.now();
      said += await host.must(['sh', '-c', text], { timeoutMs: 900_000 });
      times.push([(performance.now() - begun) / 1_000, text]);
    }
    assert.match(said, /1 (packets )?received/);
    const after = await Promise.all(fleet.hosts.map(diskMiB));
    const slowest = times.toSorted(([a], [b]) => b - a)[0]!;
    figure = {
      commands: times.length,
      seconds: times.reduce((sum, [seconds]) => sum + seconds, 0),
      slowest: `${slowest[0].toFixed(1)} s: ${slowest[1]}`,
      diskMiB: after.reduce((sum, each, i) => sum + each - before[i]!, 0),
    };
  });
  return figure!;
}

/** From Debian's mirror, onto one host: with the lists that apt wants first. */
const FETCH = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/up,workdir=$1/work" "$1/root"
cp --remove-destination "$(readlink -f /etc/resolv.conf)" "$1/root/etc/resolv.conf"
mount -t proc proc "$1/root/proc"
chroot "$1/root" apt-get clean
begun=$(date +%s.%N)
chroot "$1/root" apt-get update -qq
chroot "$1/root" apt-get install -y -qq --download-only $3 >/dev/null
ended=$(date +%s.%N)
echo "$begun $ended $(du -sb "$1/root/var/cache/apt/archives" | cut -f 1)"`;

async function fetched(way: Way, { root }: FleetOptions, place: string): Promise<{ mib: number; seconds: number }> {
  const text = expectSuccess(
    await run(['unshare', '-m', 'sh', '-c', FETCH, 'fetch', place, root, way.packages], { timeoutMs: 900_000 }),
  );
  const [begun = 0, ended = 0, bytes = 0] = text.trim().split('\n').at(-1)!.split(' ').map(Number);
  return { mib: bytes / 2 ** 20, seconds: ended - begun };
}

/** `place`: a directory for what is fetched. Prints a table. */
export async function figures(options: FleetOptions, place: string): Promise<void> {
  const rounds = new Map<Way, Figure[]>(WAYS.map((way) => [way, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of WAYS) {
      const figure = await measure(way, options);
      rounds.get(way)!.push(figure);
      console.log(`${way.name}: ${figure.seconds.toFixed(1)} s, ${figure.commands} commands; ${figure.slowest}`);
    }
  }
  const ours = statSync(options.made.now).size / 2 ** 20;
  console.log(
    '\n| | commands | seconds (least–most) | fetched per host [MiB] | of it from a mirror, took [s] | on both disks [MiB] |',
  );
  console.log('|---|---:|---:|---:|---:|---:|');
  for (const [way, found] of rounds) {
    const seconds = found.map((each) => each.seconds).toSorted((a, b) => a - b);
    const { mib, seconds: took } = await fetched(way, options, place);
    const median = seconds[Math.floor(seconds.length / 2)]!;
    const cells = [
      ...[way.name, String(found[0]!.commands)],
      `${median.toFixed(1)} (${seconds[0]!.toFixed(1)}–${seconds.at(-1)!.toFixed(1)})`,
      `${(mib + (way.hasOurs ? ours : 0)).toFixed(0)}`,
      `${mib.toFixed(0)} MiB, ${took.toFixed(1)}`,
      String(found[0]!.diskMiB),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
