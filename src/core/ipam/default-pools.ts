/** The pools that automatic subnets of IPv4 come from, as `init` is given them. */
import { canonical, formatCidr, isCanonical, overlaps, requireCidr } from '../cidr.ts';
import { OverlaydError } from '../errors.ts';
import type { ClusterRecord } from '../records.ts';
import { refuseUnusable } from './subnet.ts';

/** The second and third are for where members' hosts have routes to all of the first. */
const DEFAULT_POOLS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

function fits(pool: string, prefix: number): boolean {
  return requireCidr(pool, 'default address pool').prefix <= prefix;
}

/**
 * `asked`: in the order in which they are used; none: the usual ones. `maskLength`: 0 is the usual one. Throws `invalid-address`,
 * `invalid-argument`, `subnet-not-canonical`, `pool-overlaps`.
 */
export function parsePools(asked: readonly string[], maskLength: number): ClusterRecord['pools'] {
  const prefix = maskLength || 24;
  const texts = asked.length > 0 ? asked : DEFAULT_POOLS.filter((pool, i) => i === 0 || fits(pool, prefix));
  const pools = texts.map((base) => ({ base, cidr: requireCidr(base, '--default-addr-pool', 4) }));
  for (const [i, { base, cidr }] of pools.entries()) {
    if (!isCanonical(cidr)) {
      const meant = formatCidr(canonical(cidr));
      throw new OverlaydError('subnet-not-canonical', `--default-addr-pool: ${base} has host bits set; it is ${meant}`);
    }
    if (prefix < cidr.prefix || prefix > 29) {
      throw new OverlaydError(
        'invalid-argument',
        `--default-addr-pool-mask-length: /${prefix} does not fit ${base}; it has to be between /${cidr.prefix} and /29`,
      );
    }
    refuseUnusable(cidr, '--default-addr-pool');
    const clash = pools.slice(0, i).find((other) => overlaps(other.cidr, cidr));
    if (clash) throw new OverlaydError('pool-overlaps', `--default-addr-pool: ${base} overlaps with ${clash.base}`);
  }
  return pools.map(({ base }) => ({ base, prefix }));
}
