/**
 * The parts of a running node. A child of the node's supervision tree creates
 * each part, and creates it anew when that child is restarted. So a part that
 * needs another one reads it here each time and keeps no reference to it.
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

/** The parts and settings that the children of a node's tree share. */
export class NodeParts {
  readonly config: NodeConfig;
  readonly environment: Environment;
  /** `kv` and the application's modules. */
  readonly modules: readonly HostedModule[];
  home: NodeHome | undefined;
  links: PeerLinks | undefined;
  /** Addresses of the other members, by name, to which links are opened. */
  peers: ReadonlyMap<string, Address> = new Map();
  /**
   * The address with its actual port; it stays the same when the links are
   * restarted.
   */
  listening: Address | undefined;
  calls: LinkCalls | undefined;
  cluster: ClusterProcess | undefined;
  vnodes: VnodeManager | undefined;
  handoff: HandoffControl | undefined;
  /**
   * The part behind {@linkcode NodeParts.handoff}, as the parts that carry
   * transfers use it.
   */
  transfers: HandoffProcess | undefined;
  /** This node's end of each bulk link that it has opened. */
  readonly bulkPeers: WeakMap<Link, BulkPeer> = new WeakMap();
  /** The Raft groups with a member here. */
  raft: RaftSystemProcess | undefined;
  /** Receives operations and calls of `ra_kv`. */
  raKv:
    | { readonly router: RaKvRouter; readonly methods: RaKvMethods }
    | undefined;
  /** Runs the ensembles of consistent buckets. */
  ensembles:
    | {
      readonly process: EnsembleProcess;
      readonly questions: KeyQuestions;
      readonly exports: GroupExport;
      readonly takeovers: GroupTakeovers;
    }
    | undefined;
  /**
   * The consistent buckets according to the stored ring; also set while no part
   * serves them.
   */
  readonly buckets: MarkedBuckets = new MarkedBuckets();
  /**
   * Serves consistent buckets. It is kept while the parts it uses are
   * restarted, since no other part may serve them.
   */
  consistentKv: ConsistentKv | undefined;
  /** Decides which requests of other nodes reach the vnodes. */
  readonly door: VnodeDoor;
  requests: Coordinators | undefined;
  coverage: Coordinators | undefined;
  /** Limits the pace of coverage queries while requests are in progress. */
  readonly coveragePace: CoveragePace = new CoveragePace(() => this.requests);
  /**
   * Submits an operation to the coordinators of its kind.
   *
   * @throws {WhorlError} `closed` while there are none, and once this node has
   * left.
   */
  readonly operations: OperationCarrier = {
    submit: (bytes, start, end, target) => {
      const departed = this.departure();
      if (departed !== undefined) throw departed;
      present(this.carrierOf(bytes, start, end), "coordinators")
        .submit(bytes, start, end, new MemberTarget(target, this.departure));
    },
  };
  /** The ring as requests use it, by module number. */
  readonly views: Map<number, RingView> = new Map();
  /** Called with each start and end of a part below the node's supervisor. */
  onReport: (report: SupervisorReport) => void = () => {};
  /** Number of worker threads that hang and cannot be ended. */
  zombies = 0;
  #hasLeft = false;
  /** Created once, as it may answer many requests. */
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
   * Whether the cluster has removed this node. Until it stops it has a ring of
   * its own that no other node uses, and accepts no requests: nobody would find
   * what it stored.
   */
  get hasLeft(): boolean {
    return this.#hasLeft || this.cluster?.hasLeft === true;
  }

  /** The error that answers all requests once this node {@linkcode hasLeft}. */
  readonly departure: Departure = () =>
    this.hasLeft
      ? this.#departed ??= hasLeftCluster(this.config.name)
      : undefined;

  /**
   * The ring by which data moves; undefined once this node has left, since its
   * own ring gives it all partitions, even those that it handed over.
   */
  get ring(): Ring | undefined {
    return this.hasLeft ? undefined : this.cluster?.ring;
  }

  /**
   * Makes {@linkcode hasLeft} true from now on, even if the cluster part is
   * restarted.
   */
  left(): void {
    this.#hasLeft = true;
  }

  /** The coordinators that are running. */
  get coordinators(): Coordinators[] {
    return [this.requests, this.coverage].filter((part) => part !== undefined);
  }

  /** The parts that wait for answers of other nodes. */
  get senders(): Pick<Coordinators, "nodeLost">[] {
    return [...this.coordinators, this.raKv?.router].filter((sender) =>
      sender !== undefined
    );
  }

  /**
   * The part that accepts the operation in `bytes[start, end)`; undefined while
   * that part has not started, or once this node has left.
   */
  carrierOf(
    bytes: Uint8Array,
    start: number,
    end: number,
  ): OperationCarrier | undefined {
    if (this.hasLeft) return undefined;
    const { buckets, consistentKv } = this;
    // Vnodes must not get operations on a consistent bucket: they would store
    // the value outside its group.
    const isConsistent = consistentKv === undefined
      ? buckets.isFor(bytes, start, end)
      : consistentKv.serves(bytes, start, end);
    if (isConsistent) return consistentKv;
    const kind = bytes[start];
    if (kind === OperationKind.raft) return this.raKv?.router;
    return isCoverageKind(kind) ? this.coverage : this.requests;
  }

  /** The part that forwarded an operation with `correlation`. */
  sentOnBy(correlation: number): RaKvRouter | Coordinators | undefined {
    return isRaftCorrelation(correlation) ? this.raKv?.router : this.requests;
  }

  /** The coordinators that sent a request with `correlation`. */
  askedBy(correlation: number): Coordinators | undefined {
    return isCoverageCorrelation(correlation) ? this.coverage : this.requests;
  }

  /** The address at which other nodes reach this one. */
  get address(): Address {
    return this.config.advertise ?? this.listening ?? this.config.listen;
  }
}

/**
 * Returns `part`.
 *
 * @throws {WhorlError} `closed` while it is undefined: the node is starting,
 * stopping, or restarting the part.
 */
export function present<Part>(part: Part | undefined, name: string): Part {
  if (part === undefined) {
    throw new WhorlError("closed", `The node's ${name} is not running now`);
  }
  return part;
}
