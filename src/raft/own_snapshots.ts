/**
 * When a member stores the state of its machine. A snapshot lets its log drop
 * the entries it covers: taken on request, when the machine releases entries,
 * and automatically after many entries. A checkpoint lets a restart apply fewer
 * entries: taken when the machine asks for it. At most one of each is taken at
 * a time.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { MachineHost } from "./machine_host.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** Least number of entries between a snapshot or checkpoint and the next checkpoint. */
export const CHECKPOINT_ENTRIES_MIN = 16_384;

/** What it needs. */
export interface SnapshotWorld {
  readonly log: Log;
  /** Entries after which a snapshot is taken automatically. */
  readonly snapshotEntriesMin: number;
  /** The log now begins behind this snapshot. */
  taken(snapshot: SnapshotMeta): void;
}

/** The snapshots of one member's machine; see the module comment. */
export class OwnSnapshots {
  readonly #log: GroupLog;
  readonly #machine: MachineHost<unknown>;
  readonly #world: SnapshotWorld;
  #taking: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;

  constructor(
    log: GroupLog,
    machine: MachineHost<unknown>,
    world: SnapshotWorld,
  ) {
    this.#log = log;
    this.#machine = machine;
    this.#world = world;
  }

  /** Takes a snapshot of the present state. */
  take(): Promise<void> {
    if (this.#taking !== undefined) return this.#taking;
    const { meta } = this.#machine;
    // After the end of its group no snapshot is taken: a restart must find the
    // entry that ended it.
    if (meta.index <= this.#index || this.#machine.isOver) {
      return Promise.resolve();
    }
    // Taken now, since the next entry changes the state.
    const view = this.#machine.view();
    const taking = (async () => {
      try {
        await this.#log.takeSnapshot(meta, view.pieces, view.live);
        this.#world.taken(meta);
      } finally {
        view.release();
        this.#taking = undefined;
      }
    })();
    this.#taking = taking;
    return taking;
  }

  /** The same in the background; failures are logged. */
  takeSoon(): void {
    this.take().catch((error) => this.#refused("snapshot", error));
  }

  #refused(what: string, error: unknown): void {
    this.#world.log.error(`Cannot take a ${what}`, {
      group: this.#log.config.name,
      reason: reasonOf(error),
    });
  }

  /** Takes a checkpoint of the present state, unless there is a recent one. */
  checkpointSoon(): void {
    if (this.#checkpointing !== undefined || this.#machine.isOver) return;
    const { meta } = this.#machine;
    const last = this.#log.checkpoints.at(-1)?.index ?? this.#index;
    if (meta.index - last < CHECKPOINT_ENTRIES_MIN) return;
    const view = this.#machine.view();
    this.#checkpointing = this.#log.takeCheckpoint(meta, view.pieces, view.live)
      .catch((error) => this.#refused("checkpoint", error))
      .finally(() => {
        view.release();
        this.#checkpointing = undefined;
      });
  }

  /** Entries up to `index` are no longer needed: promotes a checkpoint to a snapshot, or takes a new one. */
  release(index: number): void {
    if (this.#log.checkpoints.every((point) => point.index > index)) {
      return this.takeSoon();
    }
    if (this.#taking !== undefined) return;
    this.#taking = (async () => {
      try {
        const snapshot = await this.#log.promoteCheckpoint(index);
        if (snapshot !== undefined) this.#world.taken(snapshot);
      } catch (error) {
        this.#refused("snapshot", error);
      } finally {
        this.#taking = undefined;
      }
    })();
  }

  /** The machine has applied more: takes a snapshot if one is due. */
  applied(): void {
    if (
      this.#machine.index - this.#index >= this.#world.snapshotEntriesMin &&
      this.#taking === undefined
    ) this.takeSoon();
  }

  /** Resolves when none is being taken. */
  async settled(): Promise<void> {
    await this.#taking?.catch(() => {});
    await this.#checkpointing;
  }

  get #index(): number {
    return this.#log.snapshot?.index ?? 0;
  }
}
