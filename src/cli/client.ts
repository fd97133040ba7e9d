/** The agent's control service (`proto/overlayd/v1/control.proto`) as the commands use it. */
import type {
  AddDnsRequest,
  AddSubnetRequest,
  BackUpStoreRequest,
  CaStatus,
  ClusterResult,
  Connected,
  ConnectRequest,
  CreateNetworkRequest,
  CreateServiceRequest,
  CreateTokenRequest,
  DiagnoseRequest,
  Diagnosis,
  DisconnectRequest,
  DnsList,
  DnsQuery,
  DnsSet,
  DriftRequest,
  Empty,
  Endpoint,
  EndpointList,
  EndpointQuery,
  EventsReply,
  EventsRequest,
  Exposed,
  ExposeRequest,
  HostDrift,
  InitRequest,
  IpamReport,
  IpamRequest,
  JoinClusterRequest,
  KeptList,
  LeaveRequest,
  LookRequest,
  MoveStoreRequest,
  Network,
  NetworkList,
  NetworkRemoved,
  Node,
  NodeList,
  Pruned,
  PruneRequest,
  Publication,
  PublicationList,
  Published,
  PublishRequest,
  RecordsPart,
  RecordsRequest,
  Ref,
  ReleaseKeptRequest,
  RemoveDnsRequest,
  RemoveRequest,
  ResizeStoreRequest,
  RestoreStoreRequest,
  RotateKeyRequest,
  Service,
  ServiceList,
  ServiceQuery,
  ServiceRef,
  Status,
  StatusRequest,
  StoreBackup,
  StoreLogin,
  StoreReport,
  StoreRoles,
  StoreRolesRequest,
  Token,
  TokenCreated,
  TokenList,
  UpdateNodeRequest,
} from '../gen/overlayd/v1/control.ts';
import type { Seen } from '../gen/overlayd/v1/look.ts';

export type OnProgress = (message: string) => void;

/** Rejects with the agent's `OverlaydError`; `agent-not-running` when there is none to talk to. */
export interface ControlClient {
  getStatus(request: StatusRequest): Promise<Status>;
  diagnose(request: DiagnoseRequest): Promise<Diagnosis>;
  initCluster(request: InitRequest, onProgress: OnProgress): Promise<ClusterResult>;
  joinCluster(request: JoinClusterRequest, onProgress: OnProgress): Promise<ClusterResult>;
  leaveCluster(request: LeaveRequest, onProgress: OnProgress): Promise<ClusterResult>;
  listNodes(request: Empty): Promise<NodeList>;
  getNode(request: Ref): Promise<Node>;
  removeNode(request: RemoveRequest): Promise<Ref>;
  updateNode(request: UpdateNodeRequest): Promise<Ref>;
  rotateKey(request: RotateKeyRequest, onProgress: OnProgress): Promise<ClusterResult>;
  promoteNode(request: Ref, onProgress: OnProgress): Promise<ClusterResult>;
  demoteNode(request: Ref, onProgress: OnProgress): Promise<ClusterResult>;
  resizeStore(request: ResizeStoreRequest): Promise<Empty>;
  getStoreStatus(request: Empty): Promise<StoreReport>;
  backUpStore(request: BackUpStoreRequest): Promise<StoreBackup>;
  restoreStore(request: RestoreStoreRequest, onProgress: OnProgress): Promise<ClusterResult>;
  moveStore(request: MoveStoreRequest, onProgress: OnProgress): Promise<ClusterResult>;
  getStoreRoles(request: StoreRolesRequest): Promise<StoreRoles>;
  logInToStore(request: StoreLogin, onProgress: OnProgress): Promise<ClusterResult>;
  getCa(request: Empty): Promise<CaStatus>;
  rotateCa(request: Empty, onProgress: OnProgress): Promise<ClusterResult>;
  createToken(request: CreateTokenRequest): Promise<TokenCreated>;
  listTokens(request: Empty): Promise<TokenList>;
  getToken(request: Ref): Promise<Token>;
  revokeToken(request: Ref): Promise<Ref>;
  createNetwork(request: CreateNetworkRequest): Promise<Network>;
  listNetworks(request: Empty): Promise<NetworkList>;
  getNetwork(request: Ref): Promise<Network>;
  addSubnet(request: AddSubnetRequest): Promise<Network>;
  removeNetwork(request: RemoveRequest): Promise<NetworkRemoved>;
  pruneNetworks(request: PruneRequest): Promise<Pruned>;
  addDns(request: AddDnsRequest): Promise<DnsSet>;
  removeDns(request: RemoveDnsRequest): Promise<Ref>;
  listDns(request: DnsQuery): Promise<DnsList>;
  createService(request: CreateServiceRequest): Promise<Service>;
  removeService(request: ServiceRef): Promise<Service>;
  getService(request: ServiceRef): Promise<Service>;
  listServices(request: ServiceQuery): Promise<ServiceList>;
  expose(request: ExposeRequest): Promise<Exposed>;
  unexpose(request: Ref): Promise<Endpoint>;
  publish(request: PublishRequest): Promise<Published>;
  unpublish(request: PublishRequest): Promise<Publication>;
  listPublications(request: Empty): Promise<PublicationList>;
  checkIpam(request: IpamRequest): Promise<IpamReport>;
  repairIpam(request: IpamRequest): Promise<IpamReport>;
  releaseKept(request: ReleaseKeptRequest): Promise<KeptList>;
  connect(request: ConnectRequest): Promise<Connected>;
  disconnect(request: DisconnectRequest): Promise<Endpoint>;
  listEndpoints(request: EndpointQuery): Promise<EndpointList>;
  getEndpoint(request: Ref): Promise<Endpoint>;
  /** Resolves when all is told, or the signal aborts; with `follow` not before. */
  followEvents(request: EventsRequest, onTold: (reply: EventsReply) => void, signal?: AbortSignal): Promise<void>;
  /** Resolves when all is told. */
  getRecords(request: RecordsRequest, onTold: (part: RecordsPart) => void, signal?: AbortSignal): Promise<void>;
  /** Resolves when each host has answered or was given up. */
  findDrift(request: DriftRequest, onTold: (found: HostDrift) => void): Promise<void>;
  lookFrom(request: LookRequest): Promise<Seen>;
  close(): void;
}
