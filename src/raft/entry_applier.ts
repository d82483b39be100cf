/**
 * Applies committed entries to the machine of a member, in order: from memory
 * at once, from the disk in batches with turns of the event loop between them.
 * A follower applies after the write-ahead log has written: its leader waits
 * for the write, but not for the apply.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { StartTurns } from "./log/start_turns.ts";
import type { MachineHost } from "./machine_host.ts";
import type { RaftEntry } from "./raft_entry.ts";

/** Entries from the disk that are applied between turns of the event loop. */
const APPLY_ENTRIES_MAX = 4096;
/** The same at start, where `StartTurns` decides whether a turn is due. */
const KNOWN_ENTRIES_MAX = 512;
const APPLY_BYTES_MAX = 4 * 1024 * 1024;

/** What it needs. */
export interface ApplierWorld {
  /** Whether the member has been closed. */
  closed(): boolean;
  /** Calls `callback` after the current synchronous work. */
  defer(callback: () => void): void;
  /** The machine has applied all it can for now. */
  applied(): void;
  /** Reading the log failed. */
  failed(error: WhorlError): void;
}

/** Applies the entries of one member; see the module comment. */
export class EntryApplier {
  /** Entries up to here may be applied. */
  commitIndex: number;
  readonly #log: GroupLog;
  readonly #machine: MachineHost<unknown>;
  readonly #world: ApplierWorld;
  #isReading = false;
  #isDue = false;
  /** Two turns later, so that the write-ahead log writes its entries in between. */
  readonly #applySoon = (): void => this.#world.defer(this.#applyDue);
  readonly #applyDue = (): void => {
    this.#isDue = false;
    if (!this.#world.closed()) this.apply();
  };

  constructor(
    log: GroupLog,
    machine: MachineHost<unknown>,
    world: ApplierWorld,
  ) {
    this.#log = log;
    this.#machine = machine;
    this.#world = world;
    this.commitIndex = machine.index;
  }

  /** Entries up to `index` are committed; applies them now. */
  commit(index: number): void {
    this.#note(index);
    this.apply();
  }

  /** The same, but applies them after the write-ahead log has written. */
  commitSoon(index: number): void {
    this.#note(index);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#world.defer(this.#applySoon);
  }

  #note(index: number): void {
    // Entries applied before a restart are committed, although the core only
    // learns that step by step.
    this.commitIndex = Math.max(this.commitIndex, index);
  }

  /** Applies the entries that are known to have been applied here before a restart. */
  async applyKnown(turns: StartTurns): Promise<void> {
    const { recovered } = this.#log;
    turns.begin();
    const until = Math.min(recovered.appliedIndex, recovered.lastIndex);
    while (this.#machine.index < until) {
      const first = this.#machine.index + 1;
      const entries = await this.#log.entries(
        first,
        Math.min(until, first + KNOWN_ENTRIES_MAX - 1),
        APPLY_BYTES_MAX,
      );
      await turns.step(entries.length, () => this.#applyNext(entries));
    }
    this.commitIndex = Math.max(this.commitIndex, this.#machine.index);
  }

  /** Applies those of `entries` that come next: while they were read from the disk, the machine may have advanced. */
  #applyNext(entries: readonly RaftEntry[]): void {
    for (const entry of entries) {
      if (entry.index === this.#machine.index + 1) this.#machine.apply(entry);
    }
  }

  /** Applies the committed entries that were not applied yet. */
  apply(): void {
    if (this.#isReading) return;
    while (this.#machine.index < this.commitIndex) {
      const entry = this.#log.entryInMemory(this.#machine.index + 1);
      if (entry === undefined) {
        this.#applyFromDisk();
        break;
      }
      this.#machine.apply(entry);
    }
    this.#world.applied();
  }

  async #applyFromDisk(): Promise<void> {
    this.#isReading = true;
    const first = this.#machine.index + 1;
    try {
      const entries = await this.#log.entries(
        first,
        Math.min(this.commitIndex, first + APPLY_ENTRIES_MAX - 1),
        APPLY_BYTES_MAX,
      );
      // A snapshot may have been installed meanwhile.
      if (this.#world.closed()) return;
      this.#applyNext(entries);
    } catch (error) {
      const { snapshot, config } = this.#log;
      const snapshotIndex = snapshot?.index ?? 0;
      if (first > snapshotIndex) {
        this.#world.failed(
          isWhorlError(error) ? error : new WhorlError(
            "store_corrupt",
            `Cannot read the log of group ${config.name}: ${reasonOf(error)}`,
            { cause: error },
          ),
        );
        return;
      }
      // A snapshot that was received meanwhile replaces them, and the machine
      // has it or is about to.
      if (this.#world.closed() || this.#machine.index < snapshotIndex) return;
    } finally {
      this.#isReading = false;
    }
    this.apply();
  }
}
