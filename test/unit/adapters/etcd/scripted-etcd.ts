import { Server, ServerCredentials, type ServerDuplexStream, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  ClusterService,
  KVService,
  LeaseService,
  MaintenanceService,
  type MemberListResponse,
  RangeResponse,
  StatusResponse,
  type TxnRequest,
  TxnResponse,
  type WatchRequest,
  WatchResponse,
  WatchService,
} from '../../../../src/gen/etcd/rpc.ts';

/** One endpoint that speaks etcd's protocol and does what a test wants of it. */
export class ScriptedEtcd {
  readonly #server = new Server();
  #port = 0;
  /** Calls of `Txn` that reached it. */
  txns = 0;
  ranges = 0;
  /** How many asked how it is: one for each connection. */
  hellos = 0;
  leader = '1';
  /** Of its store, as it says when it is asked how it is. */
  revision = 1;
  isLearner = false;
  isSilent = false;
  /** Only root is told how it is, as by etcd 3.5.28 to 3.5.31: by one that has a leader, as our calls ask for one. */
  hidesStatus = false;
  /** What `MemberList` is answered with. */
  onMembers: (answer: sendUnaryData<MemberListResponse>) => void = (answer) =>
    answer(null, { header: undefined, members: [] });
  /** What `Txn` is answered with: nothing, when it is undefined. */
  onTxn: (answer: sendUnaryData<TxnResponse>) => void = (answer) =>
    answer(null, TxnResponse.fromPartial({ succeeded: true }));
  /** What each request of a watch is answered with. */
  onWatch: () => WatchResponse = () => WatchResponse.fromPartial({ header: { revision: 1 } });
  readonly watches = new Set<ServerDuplexStream<WatchRequest, WatchResponse>>();

  static async start(): Promise<ScriptedEtcd> {
    const etcd = new ScriptedEtcd();
    etcd.#serve();
    await new Promise<void>((resolve, reject) => {
      etcd.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        etcd.#port = port;
        if (error) reject(error);
        else resolve();
      });
    });
    return etcd;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  refuse(code: status, details: string): void {
    this.onTxn = (answer) => answer({ code, details });
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #serve(): void {
    const unused = (_: unknown, answer: sendUnaryData<never>) => answer({ code: status.UNIMPLEMENTED });
    const all = (service: object) => Object.fromEntries(Object.keys(service).map((name) => [name, unused]));
    this.#server.addService(MaintenanceService, {
      ...all(MaintenanceService),
      status: (_: unknown, answer: sendUnaryData<StatusResponse>) => {
        this.hellos++;
        const { leader, isLearner } = this;
        if (this.hidesStatus) {
          answer(
            leader === '0'
              ? { code: status.UNAVAILABLE, details: 'etcdserver: no leader' }
              : { code: status.PERMISSION_DENIED, details: 'etcdserver: permission denied' },
          );
          return;
        }
        if (!this.isSilent)
          answer(null, StatusResponse.fromPartial({ header: { revision: this.revision }, leader, isLearner }));
      },
    });
    this.#server.addService(KVService, {
      ...all(KVService),
      range: (_: unknown, answer: sendUnaryData<RangeResponse>) => {
        this.ranges++;
        if (this.leader === '0') answer({ code: status.UNAVAILABLE, details: 'etcdserver: no leader' });
        else if (!this.isSilent) answer(null, RangeResponse.fromPartial({ header: { memberId: '10' } }));
      },
      txn: (_: { request: TxnRequest }, answer: sendUnaryData<TxnResponse>) => {
        this.txns++;
        if (!this.isSilent) this.onTxn(answer);
      },
    });
    this.#server.addService(WatchService, {
      watch: (stream: ServerDuplexStream<WatchRequest, WatchResponse>) => {
        this.watches.add(stream);
        stream.on('data', () => {
          if (!this.isSilent) stream.write(this.onWatch());
        });
        const gone = () => this.watches.delete(stream);
        stream.on('cancelled', gone).on('end', gone).on('error', gone);
      },
    });
    this.#server.addService(ClusterService, {
      ...all(ClusterService),
      memberList: (_: unknown, answer: sendUnaryData<MemberListResponse>) => this.onMembers(answer),
    });
    this.#server.addService(LeaseService, all(LeaseService) as never);
  }
}
