/** Members of one cluster with nothing but their certificates, over an etcd in memory; the first keeps the store. */

import { progressOf, waitingWords } from '../../../../src/agent/cluster/ca-rotation.ts';
import { Certification, type CertificationDeps } from '../../../../src/agent/cluster/certification.ts';
import type { Identity, IdentityState } from '../../../../src/agent/cluster/identity.ts';
import { createKeeperService } from '../../../../src/agent/cluster/keeper-service.ts';
import { OwnIdentity } from '../../../../src/agent/cluster/own-identity.ts';
import { isOverlaydError, OverlaydError } from '../../../../src/core/errors.ts';
import type { AgentVersion } from '../../../../src/core/levels.ts';
import { decodeCluster, decodeNode, encodeRecord } from '../../../../src/core/record-codec.ts';
import { type ClusterRecord, keys, type NodeRecord, PREFIX } from '../../../../src/core/records.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { ADMISSION, ClusterFixture, memoryFile, pki } from './cluster-fixture.ts';

export const AGENT: AgentVersion = { version: '0.4.0', levels: { from: 1, to: 4 } };

export class CertificationFixture {
  readonly cluster = new ClusterFixture();
  readonly members: CertifiedMember[] = [];
  token = '';

  /** `n1`, which keeps the store, and so many others. */
  async start(others: number, agent = AGENT): Promise<void> {
    const { token, identity } = await this.cluster.found(agent);
    this.token = token;
    this.members.push(new CertifiedMember(this, { ...identity, store: { ...identity.store, bundled: true } }));
    await this.keepers([identity.nodeId]);
    for (let i = 2; i <= others + 1; i++) await this.join(`n${i}`, `10.0.0.${i}`);
  }

  async join(name: string, address: string): Promise<CertifiedMember> {
    const { agent } = this.cluster;
    this.cluster.member = this.members[0]!.own.current;
    const { identity } = await this.cluster.host(name, address, agent).join(this.token);
    const member = new CertifiedMember(this, identity);
    this.members.push(member);
    return member;
  }

  async keepers(nodeIds: readonly string[]): Promise<void> {
    await this.put(keys.storeKeepers, { nodeIds });
  }

  async put(key: string, record: object): Promise<void> {
    this.cluster.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(record) }]);
    await this.seeAll();
  }

  /** Etcd tells all that run. */
  async seeAll(): Promise<void> {
    for (const member of this.members) await member.see();
  }

  async record(): Promise<ClusterRecord> {
    return decodeCluster((await this.cluster.store.get(keys.cluster))!.value)!;
  }

  async node(nodeId: string): Promise<NodeRecord> {
    return decodeNode((await this.cluster.store.get(keys.node(nodeId)))!.value)!;
  }

  async change(nodeId: string, parts: Partial<NodeRecord>): Promise<void> {
    await this.put(keys.node(nodeId), { ...(await this.node(nodeId)), ...parts });
  }

  /** Signing takes real time: virtual time goes on until it is so. */
  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isSo())) await this.cluster.clock.advance(500);
  }

  /** Who is waited for, in words. */
  progress(): string {
    const [{ view }] = this.members as [CertifiedMember];
    return waitingWords(progressOf(pki, view.cluster()!, view.nodes()), (nodeId) =>
      this.members.find(({ id }) => id === nodeId)?.isRunning ? 'ready' : 'down',
    );
  }

  stop(): void {
    for (const member of this.members) member.stop();
  }
}

export class CertifiedMember {
  readonly file = memoryFile<IdentityState>();
  own: OwnIdentity;
  /** What listeners were given, in order. */
  readonly taken: Identity[] = [];
  /** As it was made. */
  readonly first: Identity;
  died = false;
  /** It is not reached as a keeper. */
  away = false;
  certification!: Certification;
  readonly #fixture: CertificationFixture;
  #view = toldView();
  #stop = new AbortController();

  constructor(fixture: CertificationFixture, identity: Identity) {
    this.#fixture = fixture;
    this.first = identity;
    this.file.content = identity;
    this.own = new OwnIdentity(this.file, identity);
  }

  get view() {
    return this.#view.view;
  }

  get isRunning(): boolean {
    return !this.#stop.signal.aborted;
  }

  get id(): string {
    return this.own.current.nodeId;
  }

  get service() {
    return createKeeperService(
      {
        ...this.#fixture.cluster.admitDeps(),
        identity: () => this.own.current,
        rotateCa: () => this.certification.rotate(),
      },
      ADMISSION,
    );
  }

  /** As its file has it: after a crash too. */
  async run(parts: Partial<CertificationDeps> = {}): Promise<void> {
    const { cluster, members } = this.#fixture;
    this.#stop.abort();
    this.#stop = new AbortController();
    const saved = this.file.content as Identity;
    this.own = new OwnIdentity(this.file, saved);
    this.#view = toldView();
    const askOthers: CertificationDeps['keepers']['askOthers'] = async (method, asked) => {
      // Whoever cannot do it is asked before one that can.
      const hasKey = ({ caKey, next }: Identity) => (caKey ?? next?.caKey) !== undefined;
      const keepers = members.filter((other) => other !== this && !other.away && hasKey(other.own.current));
      for (const keeper of keepers.reverse()) {
        try {
          return (await keeper.service[method](asked as never, this.id)) as never;
        } catch (error) {
          if (!isOverlaydError(error, 'keeper-unreachable')) throw error;
        }
      }
      throw new OverlaydError('keeper-unreachable', 'no keeper', { retryable: true });
    };
    this.certification = new Certification(
      {
        ...{ own: this.own, pki, clock: cluster.clock, logger: cluster.logger, keepers: { askOthers } },
        random: seededRandom(1),
        view: () => this.#view.view,
        liveness: () => 'ready',
        take: async (identity) => void this.taken.push(identity),
        onTaken: () => void this.#fixture.change(this.id, this.certification.trust ?? {}),
        rotation: {
          ...{ own: this.own, pki, clock: cluster.clock, logger: cluster.logger, keepers: { askOthers } },
          store: cluster.store,
          commit: async (compares, changes) => {
            const committed = await cluster.commit(compares, changes);
            await this.#fixture.seeAll();
            return committed;
          },
        },
        ...parts,
      },
      saved,
      ADMISSION,
    );
    await this.see();
    void this.certification.run(this.#stop.signal).catch(() => undefined);
  }

  /** Etcd tells. */
  async see(): Promise<void> {
    if (!this.certification) return;
    this.#view.tell((await this.#fixture.cluster.store.list(PREFIX)).entries);
    this.certification.look();
  }

  /** What the member itself is asked by nobody. */
  async askKeeper(method: 'rotateCa'): Promise<void> {
    const keeper = this.#fixture.members.find((other) => !other.away && other.own.current.caKey !== undefined);
    await keeper!.service[method]({}, this.id);
  }

  /** Killed at the moment at which its file has been written so often. */
  dieAfterSaves(count: number): void {
    const { save } = this.file;
    let left = count;
    this.file.save = async (state) => {
      await save(state);
      if (--left > 0) return;
      this.file.save = save;
      this.died = true;
      this.stop();
      await new Promise<never>(() => undefined);
    };
  }

  stop(): void {
    this.#stop.abort();
    this.certification?.look();
  }
}
