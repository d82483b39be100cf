/**
 * Whorl: masterless, fault-tolerant clusters for Deno. An application is a
 * vnode module; Whorl gives it a consistent-hashing ring, replication, quorums,
 * staged membership and supervision, and ships `kv`, a versioned key-value
 * store.
 *
 * ```ts
 * import { startNode } from "./mod.ts";
 *
 * await using node = await startNode({
 *   name: "dev1@127.0.0.1",
 *   cookie: "a secret all nodes share",
 * });
 * await node.kv.put("users", "ann", { age: 41 });
 * const { value } = await node.kv.get("users", "ann");
 * ```
 *
 * @module
 */
export { startNode } from "./src/node/start_node.ts";
export { WhorlNode } from "./src/node/node.ts";
export type { NodeEvent, NodeEventOf } from "./src/node/node_events.ts";
export type { EventStream } from "./src/node/event_stream.ts";
export type {
  TransferSpread,
  WantedTransfer,
} from "./src/handoff/transfer_plan.ts";
export type { HandoffSpread } from "./src/vnode/handoff_codec.ts";
export type { SenderOutcome } from "./src/handoff/sender_fsm.ts";
export type { TransferKind } from "./src/handoff/transfer.ts";
export type { VnodeManagerEvent } from "./src/node/vnode_manager.ts";
export type {
  ConsistentBuckets,
  NodeInfo,
  NodeStats,
} from "./src/node/admin_protocol.ts";
export type {
  ClusterChange,
  JoinOptions,
  JoinResult,
  ResizeResult,
  StageResult,
} from "./src/cluster/cluster_world.ts";
export type {
  Capability,
  CapabilityChange,
  CapabilityOptions,
  CapabilityOverride,
  CapabilityOverrides,
  CapabilityStatus,
  NegotiatedMode,
} from "./src/cluster/capability.ts";
export type {
  ClusterStatus,
  ResizeStatus,
  RingReadyResult,
  RingStatus,
  TransferRow,
} from "./src/cluster/cluster_status.ts";
export type {
  RingGenerations,
  RingResize,
  RingResizePhase,
} from "./src/ring/ring_generations.ts";
export type {
  ClusterId,
  MemberStatus,
  MemberStatusDot,
  OwnershipTransfer,
  PendingTransfer,
  Ring,
  RingMember,
  RingOwnership,
  StagedChange,
  TransferProgress,
} from "./src/ring/ring.ts";
export type {
  RingMeta,
  RingMetaValue,
  StampedMeta,
} from "./src/ring/stamped.ts";
export type {
  HybridStamp,
  HybridTime,
} from "./src/causality/hybrid_logical_clock.ts";
export type { VersionVector } from "./src/causality/version_vector.ts";
export type {
  MemberRow,
  PlannedChange,
  PlannedTransition,
  StagedPlan,
  TransferCount,
} from "./src/ring/staged_plan.ts";
export { systemEnvironment } from "./src/node/system_environment.ts";
export type { Address } from "./src/environment/transport.ts";
export type {
  Awaitable,
  IntegrityReport,
  PartitionStore,
  RowSteps,
  RowView,
  ScanEntry,
  ScanRange,
  StoreState,
  StoreWrite,
  StoreWriteOptions,
} from "./src/environment/storage.ts";
export {
  type RaKvChange,
  type RaKvClient,
  type RaKvDeleteClusterOptions,
  type RaKvDeleteOptions,
  type RaKvEntry,
  type RaKvEvent,
  type RaKvFound,
  type RaKvGetOptions,
  type RaKvOptions,
  raKvOutcomeUnknown,
  type RaKvPutOptions,
  type RaKvWatchOptions,
  type RaKvWritten,
} from "./src/ra_kv/ra_kv_client.ts";
export type {
  AddedKind as RaKvAddedKind,
  ClusterMembers as RaKvClusterMembers,
  ClusterOverview as RaKvClusterOverview,
  ClusterPlace as RaKvClusterPlace,
  DeletedCluster as RaKvDeletedCluster,
  MemberOverview as RaKvMemberOverview,
  MemberSnapshot as RaKvMemberSnapshot,
  MemberSnapshots as RaKvMemberSnapshots,
  NodeFailure as RaKvNodeFailure,
  RemovedMember as RaKvRemovedMember,
  StartedCluster as RaKvStartedCluster,
} from "./src/ra_kv/ra_kv_protocol.ts";
export type {
  Member as RaftGroupMember,
  MemberKind as RaftMemberKind,
} from "./src/raft/raft_entry.ts";
export type { RaftRole } from "./src/raft/raft_events.ts";
export type { GroupLogOverview as RaftLogOverview } from "./src/raft/log/raft_log.ts";
export { NotFoundError } from "./src/ra_kv/not_found_error.ts";
export type { RaKvValue } from "./src/ra_kv/ra_kv_value.ts";
export { ByteReader } from "./src/base/byte_reader.ts";
export { ByteWriter } from "./src/base/byte_writer.ts";
export type {
  QuorumOptions,
  QuorumSize,
  ReadQuorumOptions,
  WriteQuorumOptions,
} from "./src/request/quorum_options.ts";
export type { AnswerState } from "./src/request/request_outcome.ts";
export type {
  ModuleOptions,
  NodeOptions,
  ProcessPlacement,
} from "./src/node/node_options.ts";
export {
  connect,
  type ConnectOptions,
  type WhorlClient,
} from "./src/node/connect.ts";
export { type NodePromptOptions, runPrompt } from "./src/prompt/run_prompt.ts";
export { withPromptText } from "./src/prompt/prompt_text.ts";
export {
  type JsonValue,
  type KvClient,
  type KvGetOptions,
  type KvGetResult,
  type KvKeys,
  type KvKeysOptions,
  type KvOptions,
  kvOutcomeUnknown,
  type KvPutOptions,
  type KvPutResult,
  type KvValue,
} from "./src/kv/kv_client.ts";
export type {
  CoverageOptions,
  CoverageQuery,
} from "./src/request/coverage_client.ts";
export type {
  CoverageReport,
  CoverageVnodeReport,
  CoverageVnodeState,
} from "./src/request/coverage_report.ts";
export type {
  CoverageChunk,
  ModuleClient,
  ModuleInterface,
  ModuleReplica,
  ModuleRequestOptions,
  ModuleResult,
} from "./src/node/module_client.ts";
export type { ReplicaReport } from "./src/request/operation_codec.ts";
export { type ErrorCode, isWhorlError, WhorlError } from "./src/base/errors.ts";
export {
  command,
  type CommandOptions,
  defineVnode,
  type VnodeDefinition,
} from "./src/vnode/define_vnode.ts";
export {
  answersLater,
  type ClusterEvent,
  type CommandCodec,
  type CommandDeclaration,
  type CommandHandler,
  type FailureOf,
  type HandoffDecision,
  type HandoffItem,
  type KeySpaces,
  type ReplyOf,
  type RequestOf,
  type Vnode,
  type VnodeCall,
  type VnodeCommands,
  type VnodeContext,
  type VnodeModule,
  type VnodeStorage,
} from "./src/vnode/vnode.ts";
export type { MailboxBounds } from "./src/vnode/mailbox_bounds.ts";
export type { RaftLogSizes } from "./src/raft/raft_log_sizes.ts";
export type { PoolBounds } from "./src/vnode/pool_queue.ts";
export type {
  VnodeWorkers,
  WorkersConfig,
  WorkersOptions,
} from "./src/vnode/pool_workers.ts";
export type {
  JobLimits,
  PoolOptions,
  VnodePool,
} from "./src/vnode/work_pool.ts";
export {
  encodeErlangTerm,
  ErlangAtom,
  erlangAtom,
  ErlangFloat,
  erlangFloat,
  type ErlangTerm,
  ErlangTuple,
  erlangTuple,
} from "./src/wire/etf.ts";
export {
  chashKey,
  type KeyFunction,
  partitionIndex,
  partitionOf,
} from "./src/ring/chash.ts";
export { type RingPicture, ringStatusText } from "./src/ring/ring_display.ts";
export {
  claim,
  type ClaimInput,
  type ClaimQuality,
  claimQuality,
} from "./src/ring/claim.ts";
