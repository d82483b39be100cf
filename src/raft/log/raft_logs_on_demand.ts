/**
 * The logs of a node that may never have a group. Nothing is on its disk before
 * there is something to keep, so that a node without groups starts and stops
 * without syncing any of it. What is there is opened at once.
 *
 * @module
 */
import { WhorlError } from "../../base/errors.ts";
import { asStoreErrors } from "./log_failure.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  RaftLogs,
} from "./raft_log.ts";
import { openRaftLogs, type RaftLogsOptions } from "./stored_raft_logs.ts";

/** Opens the logs in a folder, or waits with that until there is something to keep. */
export async function openRaftLogsOnDemand(
  options: RaftLogsOptions,
): Promise<RaftLogs> {
  const { folder, environment: { disk } } = options;
  const entry = await asStoreErrors(folder, () => disk.entry(folder));
  return entry === undefined
    ? new RaftLogsOnDemand(options)
    : await openRaftLogs(options);
}

class RaftLogsOnDemand implements RaftLogs {
  readonly #options: RaftLogsOptions;
  #logs: RaftLogs | undefined;
  #opening: Promise<RaftLogs> | undefined;
  #closed = false;

  constructor(options: RaftLogsOptions) {
    this.#options = options;
  }

  get groups(): readonly GroupConfig[] {
    return this.#logs?.groups ?? [];
  }

  get unreadable(): readonly string[] {
    return this.#logs?.unreadable ?? [];
  }

  isDeleted(groupId: number): boolean {
    return this.#logs?.isDeleted(groupId) ?? false;
  }

  async create(config: GroupConfig): Promise<void> {
    await (await this.#open()).create(config);
  }

  async noteDeleted(groupId: number): Promise<void> {
    await (await this.#open()).noteDeleted(groupId);
  }

  async open(uid: number, events: GroupLogEvents): Promise<GroupLog> {
    return await this.#there(uid).open(uid, events);
  }

  async remove(uid: number): Promise<void> {
    await this.#there(uid).remove(uid);
  }

  async putAside(uid: number): Promise<void> {
    await this.#there(uid).putAside(uid);
  }

  #there(uid: number): RaftLogs {
    if (this.#logs !== undefined) return this.#logs;
    throw new WhorlError(
      "not_found",
      `Cannot find the log of a group of number ${uid} as there are no groups`,
      { details: { uid } },
    );
  }

  /** The logs, begun if there are none; whoever needs them next tries again if that fails. */
  async #open(): Promise<RaftLogs> {
    this.#refuseIfClosed();
    if (this.#logs !== undefined) return this.#logs;
    this.#opening ??= openRaftLogs(this.#options)
      .then((logs) => this.#logs = logs)
      .finally(() => this.#opening = undefined);
    const logs = await this.#opening;
    this.#refuseIfClosed();
    return logs;
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return;
    throw new WhorlError("closed", "Cannot use Raft logs that are closed");
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Who began them is told if they could not be.
    await this.#opening?.catch(() => {});
    await this.#logs?.close();
  }
}
