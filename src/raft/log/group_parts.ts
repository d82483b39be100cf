/**
 * What the parts of one group's log have of each other.
 *
 * @module
 */
import type { GroupEntries } from "./group_entries.ts";
import type { GroupTasks } from "./group_tasks.ts";
import type { SharedLogParts } from "./shared_log_parts.ts";
import type { GroupFacts, StoredManifest } from "./stored_manifest.ts";
import type { WalBatch } from "./wal_batch.ts";

/** Of one group. */
export interface GroupParts {
  /** What its node has, once that is open. */
  readonly shared: () => SharedLogParts;
  readonly facts: GroupFacts;
  readonly entries: GroupEntries;
  readonly manifest: StoredManifest;
  readonly tasks: GroupTasks;
  /** The batch of the write-ahead log that is not durable yet and has records of it, if there is one. */
  batchUnderWay(): WalBatch | undefined;
  /** Remembers, if `error` says so, that something is lost: also for later lives. */
  noteRot(error: unknown): void;
}
