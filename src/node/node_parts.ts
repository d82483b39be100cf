/**
 * The parts of a running node. Each is made by a child of the node's tree and
 * made anew when that child is restarted, so whoever needs another part asks
 * here for the present one and keeps none.
 *
 * @module
 */
import type { SupervisorReport } from "../../supervisors/supervisor.ts";
import { WhorlError } from "../base/errors.ts";
import type { ClusterProcess } from "../cluster/cluster_process.ts";
import type { Environment } from "../environment/environment.ts";
import type { Address } from "../environment/transport.ts";
import {
  type Coordinators,
  isCoverageCorrelation,
} from "../request/coordinators.ts";
import type { ConsistentKv } from "../ensemble/consistent_kv.ts";
import type { EnsembleProcess } from "../ensemble/ensemble_process.ts";
import type { GroupExport } from "../ensemble/group_export.ts";
import type { GroupTakeovers } from "../ensemble/group_takeovers.ts";
import type { KeyQuestions } from "../ensemble/key_questions.ts";
import { MarkedBuckets } from "../ensemble/marked_buckets.ts";
import { CoveragePace } from "../request/coverage_pace.ts";
import type { HandoffProcess } from "../handoff/handoff_process.ts";
import type { HandoffControl } from "../handoff/transfer.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import type { RaftSystemProcess } from "../raft/raft_system.ts";
import { isCoverageKind, OperationKind } from "../request/operation_codec.ts";
import type { RaKvMethods } from "../ra_kv/ra_kv_methods.ts";
import { isRaftCorrelation, type RaKvRouter } from "../ra_kv/ra_kv_router.ts";
import type { Ring } from "../ring/ring.ts";
import type { RingView } from "../ring/ring_view.ts";
import type { Link } from "../transport/link.ts";
import type { LinkCalls } from "../transport/link_calls.ts";
import type { PeerLinks } from "../transport/peer_links.ts";
import type { BulkPeer } from "./bulk_peer.ts";
import { type Departure, hasLeftCluster, MemberTarget } from "./departure.ts";
import type { NodeConfig } from "./node_options.ts";
import type { NodeHome } from "./node_home.ts";
import { VnodeDoor } from "./vnode_door.ts";
import type { HostedModule, VnodeManager } from "./vnode_manager.ts";

/** What the children of a node's tree share. */
export class NodeParts {
  readonly config: NodeConfig;
  readonly environment: Environment;
  /** `kv` and the application's modules. */
  readonly modules: readonly HostedModule[];
  home: NodeHome | undefined;
  links: PeerLinks | undefined;
  /** The other members and where they listen, for links to begin with. */
  peers: ReadonlyMap<string, Address> = new Map();
  /** The real address; the same after a restart of the links. */
  listening: Address | undefined;
  calls: LinkCalls | undefined;
  cluster: ClusterProcess | undefined;
  vnodes: VnodeManager | undefined;
  handoff: HandoffControl | undefined;
  /** The same as those see it that carry transfers. */
  transfers: HandoffProcess | undefined;
  /** The near ends of bulk links that this node has opened. */
  readonly bulkPeers: WeakMap<Link, BulkPeer> = new WeakMap();
  /** The Raft groups with a member here. */
  raft: RaftSystemProcess | undefined;
  /** Takes in operations and calls of `ra_kv`. */
  raKv:
    | { readonly router: RaKvRouter; readonly methods: RaKvMethods }
    | undefined;
  /** Keeps the ensembles of consistent buckets. */
  ensembles:
    | {
      readonly process: EnsembleProcess;
      readonly questions: KeyQuestions;
      readonly exports: GroupExport;
      readonly takeovers: GroupTakeovers;
    }
    | undefined;
  /** The consistent buckets, by the ring that is stored. They are known while nobody serves them. */
  readonly buckets: MarkedBuckets = new MarkedBuckets();
  /** Serves consistent buckets. It stays while what it stands on is restarted: nobody else may serve them. */
  consistentKv: ConsistentKv | undefined;
  /** Which requests of other nodes get to the vnodes. */
  readonly door: VnodeDoor;
  requests: Coordinators | undefined;
  coverage: Coordinators | undefined;
  /** How fast coverage queries may go while requests are under way. */
  readonly coveragePace: CoveragePace = new CoveragePace(() => this.requests);
  /** Takes an operation to the coordinators of its kind. @throws {WhorlError} `closed` while there are none, and once this node has left. */
  readonly operations: OperationCarrier = {
    submit: (bytes, start, end, target) => {
      const departed = this.departure();
      if (departed !== undefined) throw departed;
      present(this.carrierOf(bytes, start, end), "coordinators")
        .submit(bytes, start, end, new MemberTarget(target, this.departure));
    },
  };
  /** The ring as requests see it, by module number. */
  readonly views: Map<number, RingView> = new Map();
  /** Told of starts and ends below the node's supervisor. */
  onReport: (report: SupervisorReport) => void = () => {};
  /** Worker threads that hang and cannot be ended. */
  zombies = 0;
  #hasLeft = false;
  /** Made once: many requests may be in progress then. */
  #departed: WhorlError | undefined;

  constructor(
    config: NodeConfig,
    environment: Environment,
    modules: readonly HostedModule[],
  ) {
    this.config = config;
    this.environment = environment;
    this.modules = modules;
    this.door = new VnodeDoor(this.buckets, config.name);
  }

  /**
   * Whether the cluster goes on without this node. Until it stops it stands in a
   * ring that nobody is to know, and takes in nothing: nobody would find that.
   */
  get hasLeft(): boolean {
    return this.#hasLeft || this.cluster?.hasLeft === true;
  }

  /** The answer to all requests once this node {@linkcode hasLeft}. */
  readonly departure: Departure = () =>
    this.hasLeft
      ? this.#departed ??= hasLeftCluster(this.config.name)
      : undefined;

  /** The ring by which data moves: not that of a node that has left, where all that went elsewhere would be its own again. */
  get ring(): Ring | undefined {
    return this.hasLeft ? undefined : this.cluster?.ring;
  }

  /** {@linkcode hasLeft} from now on, whatever a cluster part that is made anew knows. */
  left(): void {
    this.#hasLeft = true;
  }

  /** All coordinators that run now. */
  get coordinators(): Coordinators[] {
    return [this.requests, this.coverage].filter((part) => part !== undefined);
  }

  /** All that wait for answers of other nodes. */
  get senders(): Pick<Coordinators, "nodeLost">[] {
    return [...this.coordinators, this.raKv?.router].filter((sender) =>
      sender !== undefined
    );
  }

  /** Who takes the operation in `bytes[start, end)` in; nobody while its part has yet to start, or once this node has left. */
  carrierOf(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): OperationCarrier | undefined {
    if (this.hasLeft) return undefined;
    const { buckets, consistentKv } = this;
    // Vnodes know nothing of a consistent bucket, and would keep what they are
    // given to themselves.
    const isConsistent = consistentKv === undefined
      ? buckets.isFor(bytes, start, end)
      : consistentKv.serves(bytes, start, end);
    if (isConsistent) return consistentKv;
    const kind = bytes[start];
    if (kind === OperationKind.raft) return this.raKv?.router;
    return isCoverageKind(kind) ? this.coverage : this.requests;
  }

  /** Who has sent an operation on under `correlation`. */
  sentOnBy(correlation: number): RaKvRouter | Coordinators | undefined {
    return isRaftCorrelation(correlation) ? this.raKv?.router : this.requests;
  }

  /** The coordinators that have asked something under `correlation`. */
  askedBy(correlation: number): Coordinators | undefined {
    return isCoverageCorrelation(correlation) ? this.coverage : this.requests;
  }

  /** Where others reach this node. */
  get address(): Address {
    return this.config.advertise ?? this.listening ?? this.config.listen;
  }
}

/** The present one of a part. @throws {WhorlError} `closed` while there is none: the node is starting, restarting it, or stopping. */
export function present<Part>(part: Part | undefined, name: string): Part {
  if (part === undefined) {
    throw new WhorlError("closed", `The node's ${name} is not running now`);
  }
  return part;
}
