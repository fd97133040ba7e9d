/** The agent's control service (`proto/overlayd/v1/control.proto`) as the commands use it. */
import type {
  AddDnsRequest,
  AddSubnetRequest,
  ClusterResult,
  Connected,
  ConnectRequest,
  CreateNetworkRequest,
  CreateTokenRequest,
  DisconnectRequest,
  DnsList,
  DnsQuery,
  DnsSet,
  Empty,
  Endpoint,
  EndpointList,
  EndpointQuery,
  InitRequest,
  IpamReport,
  IpamRequest,
  JoinClusterRequest,
  KeptList,
  LeaveRequest,
  Network,
  NetworkList,
  NetworkRemoved,
  Node,
  NodeList,
  Pruned,
  PruneRequest,
  Ref,
  ReleaseKeptRequest,
  RemoveDnsRequest,
  RemoveRequest,
  Status,
  StatusRequest,
  TokenCreated,
  TokenList,
} from '../gen/overlayd/v1/control.ts';

export type OnProgress = (message: string) => void;

/** Rejects with the agent's `OverlaydError`; `agent-not-running` when there is none to talk to. */
export interface ControlClient {
  getStatus(request: StatusRequest): Promise<Status>;
  initCluster(request: InitRequest, onProgress: OnProgress): Promise<ClusterResult>;
  joinCluster(request: JoinClusterRequest, onProgress: OnProgress): Promise<ClusterResult>;
  leaveCluster(request: LeaveRequest, onProgress: OnProgress): Promise<ClusterResult>;
  listNodes(request: Empty): Promise<NodeList>;
  getNode(request: Ref): Promise<Node>;
  removeNode(request: RemoveRequest): Promise<Ref>;
  createToken(request: CreateTokenRequest): Promise<TokenCreated>;
  listTokens(request: Empty): Promise<TokenList>;
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
  checkIpam(request: IpamRequest): Promise<IpamReport>;
  repairIpam(request: IpamRequest): Promise<IpamReport>;
  releaseKept(request: ReleaseKeptRequest): Promise<KeptList>;
  connect(request: ConnectRequest): Promise<Connected>;
  disconnect(request: DisconnectRequest): Promise<Endpoint>;
  listEndpoints(request: EndpointQuery): Promise<EndpointList>;
  getEndpoint(request: Ref): Promise<Endpoint>;
  close(): void;
}
