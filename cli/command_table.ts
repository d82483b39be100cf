/**
 * All commands, in the order help lists them.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { attachCommand } from "./commands/attach.ts";
import { bucketConsistentCommand } from "./commands/bucket_consistent.ts";
import { bucketListCommand } from "./commands/bucket_list.ts";
import { capabilitiesCommand } from "./commands/capabilities.ts";
import { clusterClearCommand } from "./commands/cluster_clear.ts";
import { clusterCommitCommand } from "./commands/cluster_commit.ts";
import { clusterForceRemoveCommand } from "./commands/cluster_force_remove.ts";
import { clusterJoinCommand } from "./commands/cluster_join.ts";
import { clusterPartitionCommand } from "./commands/cluster_partition.ts";
import { clusterPartitionCountCommand } from "./commands/cluster_partition_count.ts";
import { clusterPartitionsCommand } from "./commands/cluster_partitions.ts";
import { clusterLeaveCommand } from "./commands/cluster_leave.ts";
import { clusterPlanCommand } from "./commands/cluster_plan.ts";
import {
  clusterForceReplaceCommand,
  clusterReplaceCommand,
} from "./commands/cluster_replace.ts";
import { clusterResizeRingCommand } from "./commands/cluster_resize_ring.ts";
import { clusterStatusCommand } from "./commands/cluster_status.ts";
import { completionsCommand } from "./commands/completions.ts";
import { deleteCommand } from "./commands/delete.ts";
import { devCommand } from "./commands/dev.ts";
import { downCommand } from "./commands/down.ts";
import { getCommand } from "./commands/get.ts";
import { handoffConfigCommand } from "./commands/handoff_config.ts";
import { handoffDetailsCommand } from "./commands/handoff_details.ts";
import { handoffSummaryCommand } from "./commands/handoff_summary.ts";
import {
  handoffDisableCommand,
  handoffEnableCommand,
} from "./commands/handoff_switch.ts";
import { importCommand } from "./commands/import.ts";
import { memberStatusCommand } from "./commands/member_status.ts";
import { newCommand } from "./commands/new.ts";
import { pingCommand } from "./commands/ping.ts";
import { putCommand } from "./commands/put.ts";
import {
  raKvAddMemberCommand,
  raKvClustersCommand,
  raKvDeleteClusterCommand,
  raKvMembersCommand,
  raKvOverviewCommand,
  raKvRemoveMemberCommand,
  raKvStartClusterCommand,
} from "./commands/ra_kv_clusters.ts";
import {
  raKvCasCommand,
  raKvDeleteCommand,
  raKvEntryCommand,
  raKvGetCommand,
  raKvPutCommand,
} from "./commands/ra_kv_keys.ts";
import {
  raKvCompactCommand,
  raKvForceShrinkCommand,
  raKvLiveIndexesCommand,
  raKvSnapshotCommand,
  raKvTransferLeadershipCommand,
} from "./commands/ra_kv_logs.ts";
import { raKvWatchCommand } from "./commands/ra_kv_watch.ts";
import { repairCommand } from "./commands/repair.ts";
import { repairsCommand } from "./commands/repairs.ts";
import { ringStatusCommand } from "./commands/ring_status.ts";
import { ringreadyCommand } from "./commands/ringready.ts";
import { runNodeCommand } from "./commands/run_node.ts";
import { servicesCommand } from "./commands/services.ts";
import { simulateWhorlCommand } from "./commands/simulate.ts";
import { startCommand } from "./commands/start.ts";
import { statsCommand } from "./commands/stats.ts";
import { stopCommand } from "./commands/stop.ts";
import { transferLimitCommand } from "./commands/transfer_limit.ts";
import { transfersCommand } from "./commands/transfers.ts";
import { treeCommand } from "./commands/tree.ts";
import { waitForServiceCommand } from "./commands/wait_for_service.ts";

/** The commands of `whorl`. */
export const COMMANDS: readonly Command[] = [
  startCommand,
  stopCommand,
  attachCommand,
  devCommand,
  newCommand,
  pingCommand,
  clusterJoinCommand,
  clusterLeaveCommand,
  clusterForceRemoveCommand,
  clusterReplaceCommand,
  clusterForceReplaceCommand,
  clusterResizeRingCommand,
  clusterPlanCommand,
  clusterCommitCommand,
  clusterClearCommand,
  clusterStatusCommand,
  clusterPartitionsCommand,
  clusterPartitionCommand,
  clusterPartitionCountCommand,
  downCommand,
  memberStatusCommand,
  ringStatusCommand,
  ringreadyCommand,
  transfersCommand,
  handoffSummaryCommand,
  handoffDetailsCommand,
  handoffConfigCommand,
  handoffEnableCommand,
  handoffDisableCommand,
  transferLimitCommand,
  repairCommand,
  repairsCommand,
  servicesCommand,
  capabilitiesCommand,
  bucketConsistentCommand,
  bucketListCommand,
  waitForServiceCommand,
  treeCommand,
  statsCommand,
  putCommand,
  getCommand,
  deleteCommand,
  importCommand,
  raKvStartClusterCommand,
  raKvClustersCommand,
  raKvMembersCommand,
  raKvAddMemberCommand,
  raKvRemoveMemberCommand,
  raKvOverviewCommand,
  raKvPutCommand,
  raKvGetCommand,
  raKvDeleteCommand,
  raKvCasCommand,
  raKvWatchCommand,
  raKvEntryCommand,
  raKvLiveIndexesCommand,
  raKvSnapshotCommand,
  raKvCompactCommand,
  raKvTransferLeadershipCommand,
  raKvForceShrinkCommand,
  raKvDeleteClusterCommand,
  simulateWhorlCommand,
  completionsCommand(() => COMMANDS),
  runNodeCommand,
];
