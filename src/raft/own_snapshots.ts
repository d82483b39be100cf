/**
 * When a member stores the state of its machine. As a snapshot, so that its log
 * can let go of what that stands for: when it is told to, when the machine says
 * so, and by itself after many entries. As a checkpoint, so that a restart need
 * not apply so many entries: when the machine says so. One of each at a time.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { MachineHost } from "./machine_host.ts";
import type { SnapshotMeta } from "./raft_entry.ts";

/** Entries that are applied between a snapshot or checkpoint and the next checkpoint, at least. */
export const CHECKPOINT_ENTRIES_MIN = 16_384;

/** What it stands on. */
export interface SnapshotWorld {
  readonly log: Log;
  /** Entries that are applied between one snapshot that is taken by itself and the next, at least. */
  readonly snapshotEntriesMin: number;
  /** The log begins behind this snapshot now. */
  taken(snapshot: SnapshotMeta): void;
}

/** The snapshots of one member's machine; see the module's text. */
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

  /** Stores the state as it is now. */
  take(): Promise<void> {
    if (this.#taking !== undefined) return this.#taking;
    const { meta } = this.#machine;
    // A state that is the end of its group is not to be recovered: the entry that says so is.
    if (meta.index <= this.#index || this.#machine.isOver) {
      return Promise.resolve();
    }
    // The state of this very moment: it changes with the next entry.
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

  /** The same for nobody who waits. */
  takeSoon(): void {
    this.take().catch((error) => this.#refused("snapshot", error));
  }

  #refused(what: string, error: unknown): void {
    this.#world.log.error(`Cannot take a ${what}`, {
      group: this.#log.config.name,
      reason: reasonOf(error),
    });
  }

  /** Stores the state as it is now as a checkpoint, unless there is one of not long ago. */
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

  /** Entries up to `index` are needed no longer: lets the log go, up to a checkpoint if there is one. */
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

  /** The machine has come further: takes one if it is time to. */
  applied(): void {
    if (
      this.#machine.index - this.#index >= this.#world.snapshotEntriesMin &&
      this.#taking === undefined
    ) this.takeSoon();
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await this.#taking?.catch(() => {});
    await this.#checkpointing;
  }

  get #index(): number {
    return this.#log.snapshot?.index ?? 0;
  }
}
