/**
 * What the parts of one group's log share.
 *
 * @module
 */
import type { GroupEntries } from "./group_entries.ts";
import type { GroupTasks } from "./group_tasks.ts";
import type { SharedLogParts } from "./shared_log_parts.ts";
import type { GroupFacts, StoredManifest } from "./stored_manifest.ts";
import type { WalBatch } from "./wal_batch.ts";

/** The parts of one group's log. */
export interface GroupParts {
  /** The parts shared by the node's logs, once these are open. */
  readonly shared: () => SharedLogParts;
  readonly facts: GroupFacts;
  readonly entries: GroupEntries;
  readonly manifest: StoredManifest;
  readonly tasks: GroupTasks;
  /** The batch of the write-ahead log that is not durable yet and holds records of this group, if any. */
  batchUnderWay(): WalBatch | undefined;
  /** If `error` means that something is damaged, remembers that, durably. */
  noteRot(error: unknown): void;
}
