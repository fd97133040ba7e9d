/** What `overlayd events` tells: every type there is, and what it is about. docs/events.md says each in words. Pure. */
export const ABOUT = [
  'address',
  'agent',
  'certificate',
  'data-path',
  'endpoint',
  'member',
  'network',
  'store',
] as const;
export type About = (typeof ABOUT)[number];

export const EVENT_TYPES = {
  'agent-started': 'agent',
  'agent-stopped': 'agent',
  'host-lacks': 'agent',
  'level-raised': 'agent',
  'names-lost': 'agent',

  'join-admitted': 'member',
  'join-refused': 'member',
  'token-created': 'member',
  'token-revoked': 'member',
  'member-back': 'member',
  'member-contradicted': 'member',
  'member-down': 'member',
  'member-left': 'member',
  'member-moved': 'member',
  'member-removed': 'member',
  'member-suspected': 'member',
  'record-refused': 'member',

  'ca-followed': 'certificate',
  'ca-key-given': 'certificate',
  'ca-key-given-up': 'certificate',
  'ca-key-held': 'certificate',
  'ca-rotation': 'certificate',
  'certificate-issued': 'certificate',
  'certificate-renewed': 'certificate',

  'address-changed': 'address',
  'address-lost': 'address',
  'address-returned': 'address',

  'network-created': 'network',
  'network-removed': 'network',
  'service-created': 'network',
  'service-removed': 'network',
  'subnet-added': 'network',

  'claim-restored': 'endpoint',
  'claim-stolen': 'endpoint',
  'endpoint-attached': 'endpoint',
  'endpoint-corrected': 'endpoint',
  'endpoint-detached': 'endpoint',
  'endpoint-renamed': 'endpoint',
  'ipam-repaired': 'endpoint',

  'firewall-in-the-way': 'data-path',
  'firewall-passed': 'data-path',
  'kernel-refused': 'data-path',
  'kernel-repaired': 'data-path',
  'key-exchange': 'data-path',
  'relay-avoided': 'data-path',
  'relayed-by-another': 'data-path',
  relaying: 'data-path',
  'sent-in-clear': 'data-path',
  'wireguard-ended': 'data-path',
  'wireguard-made': 'data-path',
  'wireguard-removed': 'data-path',

  'etcd-ended': 'store',
  'etcd-moved': 'store',
  'record-unreadable': 'store',
  'store-answers': 'store',
  'store-away': 'store',
  'store-change-given-up': 'store',
  'store-compact': 'store',
  'store-connections-ended': 'store',
  'store-defragment': 'store',
  'store-disarm': 'store',
  'store-followed': 'store',
  'store-hand-over': 'store',
  'store-member-begun': 'store',
  'store-member-ended': 'store',
  'store-member-joining': 'store',
  'store-member-learner': 'store',
  'store-member-leaving': 'store',
  'store-member-promoted': 'store',
  'store-member-removed': 'store',
  'store-member-voter': 'store',
  'store-move-asked': 'store',
  'store-move-taken-back': 'store',
  'store-not-what-it-was': 'store',
  'store-place-refused': 'store',
  'store-restore-asked': 'store',
  'store-user-removed': 'store',
  'store-users-in-force': 'store',
  'store-went-back': 'store',
} as const satisfies Readonly<Record<string, About>>;

export type EventType = keyof typeof EVENT_TYPES;

/** What it is about; undefined: a type of another release. */
export function aboutOf(type: string): About | undefined {
  return Object.hasOwn(EVENT_TYPES, type) ? EVENT_TYPES[type as EventType] : undefined;
}
