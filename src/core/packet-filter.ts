/** Our nftables tables, wanted or seen. */

/**
 * An nftables table. Sets hold what changes, rules are constant text. Each loaded rule carries a digest of its text as
 * comment (`ruleMark`), so that a listing is compared without understanding how nft rewrites rules.
 */
export interface Filter {
  readonly family: 'inet' | 'bridge';
  readonly sets: readonly FilterSet[];
  readonly chains: readonly FilterChain[];
}

/** Ours in a network's namespace; undefined where there is none. */
export interface NetworkTables {
  readonly filter: Filter | undefined;
  /** What chooses among those behind a service. */
  readonly services: Filter | undefined;
}

export interface FilterSet {
  readonly name: string;
  /** Types of the key's parts, e.g. `['ifname', 'ether_addr']`. One of them may be `integer`: see {@link expression}. */
  readonly type: readonly string[];
  /** What the parts are of, where a type alone does not say how long a part is; not told of those that are seen. */
  readonly expression?: string | undefined;
  readonly interval: boolean;
  /** The kernel puts the elements in by itself, and takes them out after so many seconds: they are not compared. */
  readonly timeoutSeconds?: number | undefined;
  /** Each one the key's parts joined by a space. */
  readonly elements: ReadonlySet<string>;
}

export interface FilterChain {
  readonly name: string;
  readonly type: 'filter' | 'nat';
  readonly hook: string;
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** Wanted: the rules' text. Seen: their comments. */
  readonly rules: readonly string[];
}
