/** What is asked of a host before anything is done there, by scripts of sh that change nothing, and what their answers mean. */

/** Whether root can be had: `uid`, `connection` (of sshd) and, for another user than root, `sudo`. */
export const ASK_WHO = `
echo "uid=$(id -u)"
echo "connection=$SSH_CONNECTION"
[ "$(id -u)" = 0 ] || echo "sudo=$(sudo -n id -u 2>/dev/null)"`;

/** As root. What follows the dashes is the agent's status, in JSON. */
export const ASK_WHAT = `
PATH="$PATH:/usr/local/bin:/usr/sbin:/sbin"
echo "arch=$(uname -m)"
echo "kernel=$(uname -r)"
echo "name=$(uname -n)"
[ -r /etc/os-release ] && . /etc/os-release
echo "system=$PRETTY_NAME"
echo "libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1)"
if command -v apt-get >/dev/null && command -v dpkg >/dev/null; then echo apt=yes; fi
if [ -d /run/systemd/system ]; then echo systemd=yes; fi
if command -v overlayd >/dev/null; then
  echo "version=$(overlayd --version)"
  echo ---
  overlayd status --format json 2>/dev/null
fi
true`;

export interface Who {
  /** How a script is made root's; undefined: not at all. */
  readonly asRoot: 'root' | 'sudo' | undefined;
  /** The host's own address that ssh came in by; undefined: sshd does not tell. */
  readonly address: string | undefined;
}

export function parseWho(text: string): Who {
  const { uid, sudo, connection = '' } = pairsOf(text);
  const address = connection.split(' ')[2];
  return {
    asRoot: uid === '0' ? 'root' : sudo === '0' ? 'sudo' : undefined,
    // With a zone it is link-local.
    address:
      address === undefined || address === '' || address.includes('%')
        ? undefined
        : address.replace(/^::ffff:(?=\d+\.)/, ''),
  };
}

export interface RemoteFacts {
  /** As `uname -m` says it, e.g. `x86_64`. */
  readonly machine: string;
  readonly kernel: string;
  /** The host name. */
  readonly name: string;
  /** In words, e.g. `Debian GNU/Linux 13 (trixie)`; empty: it does not say. */
  readonly system: string;
  /** e.g. `glibc 2.41`, `musl libc (x86_64)`. */
  readonly libc: string;
  readonly hasApt: boolean;
  readonly hasSystemd: boolean;
  /** Of overlayd; undefined: there is none. */
  readonly version: string | undefined;
  /** Undefined: no agent answers. */
  readonly agent: RemoteAgent | undefined;
}

export interface RemoteAgent {
  /** Empty: the host is no member of any cluster. */
  readonly clusterId: string;
  readonly nodeId: string;
  readonly nodeName: string;
}

export function parseFacts(text: string): RemoteFacts {
  const [facts = '', status = ''] = text.split(/^---$/m);
  const { arch = '', kernel = '', name = '', system = '', libc = '', ...found } = pairsOf(facts);
  return {
    ...{ machine: arch, kernel, name, system, libc },
    ...{ hasApt: found.apt === 'yes', hasSystemd: found.systemd === 'yes' },
    version: found.version || undefined,
    agent: parseAgent(status),
  };
}

function parseAgent(text: string): RemoteAgent | undefined {
  try {
    const { ClusterID = '', Self } = JSON.parse(text);
    return { clusterId: String(ClusterID), nodeId: String(Self?.ID ?? ''), nodeName: String(Self?.Name ?? '') };
  } catch {
    return undefined;
  }
}

function pairsOf(text: string): Readonly<Record<string, string | undefined>> {
  const pairs = text.split('\n').flatMap((line) => {
    const [, name, value] = /^([a-z]+)=(.*)$/.exec(line.trim()) ?? [];
    return name === undefined ? [] : [[name, value!] as const];
  });
  return Object.fromEntries(pairs);
}
