/** All that a host has, one line each: files, users, units, links, rules, settings. What is so before and after was left as it was. */
import type { BootedHost } from './booted-host.ts';

/** What apt, dpkg and every running system write by themselves is left out. */
const LIST = `
find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /packages -o -path /var/log -o -path /var/cache \\
  -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/lib/docker -o -path /var/lib/containerd \\
  -o -path '*/systemd-private-*' \\) -prune -o -printf 'file %p %y %m %u %g %l\\n'
find /run -name '*overlayd*' -printf 'file %p\\n'
find /run/docker/plugins /run/netns -mindepth 1 -printf 'file %p\\n' 2>/dev/null
find /etc -xdev -type f ! -name ld.so.cache -exec md5sum {} + | sed 's/^/contents /'
getent passwd | sed 's/^/user /'
getent group | sed 's/^/group /'
systemctl list-unit-files --no-legend --plain | awk '{ print "unit", $1, $2 }'
systemctl list-units --all --no-legend --plain 'overlayd*' | sed 's/^/running /'
ip -br link | awk '{ print "link", $1 }'
for family in 4 6; do
  ip -$family rule | sed 's/^/rule /'
  ip -$family route show table all | sed 's/expires [0-9a-z]*//; s/^/route /'
done
nft list tables | sed 's/^/rules /'
sysctl -a -r '^net\\.' 2>/dev/null | grep -v -E '\\.(conf|neigh)\\.|random|nf_conntrack_count|_mem |stat_refresh|route\\.flush|dentry|inode|fib_sync' | sed 's/^/setting /'
findmnt -rno TARGET,FSTYPE | grep -v /run/credentials | sed 's/^/mount /'
ps -eo args | grep -E '[o]verlayd|[e]tcd|[w]ireguard' | sed 's/^/process /'
[ ! -S /run/docker.sock ] || docker network ls --format 'network {{.Name}} {{.Driver}}'
true`;

export async function listing(host: BootedHost): Promise<ReadonlySet<string>> {
  return new Set((await host.sh(LIST)).split('\n').map((line) => line.trim()));
}

/** With `+` what has come, with `-` what is gone; `but`: what may be either. */
export function differences(
  before: ReadonlySet<string>,
  after: ReadonlySet<string>,
  but: readonly RegExp[],
): readonly string[] {
  const come = [...after].filter((line) => !before.has(line)).map((line) => `+ ${line}`);
  const gone = [...before].filter((line) => !after.has(line)).map((line) => `- ${line}`);
  return [...come, ...gone].filter((line) => !but.some((each) => each.test(line)));
}
