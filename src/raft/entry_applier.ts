/**
 * Gives the machine of a member what is committed, in order: from memory at
 * once, and from the disk in portions, between which the event loop gets its
 * turn. A follower applies when the write-ahead log has had its turn: its leader
 * waits for what is written, and nobody for what is applied.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { GroupLog } from "./log/raft_log.ts";
import type { StartTurns } from "./log/start_turns.ts";
import type { MachineHost } from "./machine_host.ts";
import type { RaftEntry } from "./raft_entry.ts";

/** Entries applied from the disk before the event loop gets its turn, */
const APPLY_ENTRIES_MAX = 4096;
/** and at a start before it is looked whether that should. */
const KNOWN_ENTRIES_MAX = 512;
const APPLY_BYTES_MAX = 4 * 1024 * 1024;

/** What it stands on. */
export interface ApplierWorld {
  /** Whether the member has ended. */
  closed(): boolean;
  /** Calls `callback` after the current synchronous work. */
  defer(callback: () => void): void;
  /** The machine has come as far as it can for now. */
  applied(): void;
  /** The log cannot be read. */
  failed(error: WhorlError): void;
}

/** Applies the entries of one member; see the module's text. */
export class EntryApplier {
  /** Up to here entries may be applied. */
  commitIndex: number;
  readonly #log: GroupLog;
  readonly #machine: MachineHost<unknown>;
  readonly #world: ApplierWorld;
  #isReading = false;
  #isDue = false;
  /** The write-ahead log, which was given entries before, writes them in between. */
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

  /** Entries up to `index` are committed, and are applied now. */
  commit(index: number): void {
    this.#note(index);
    this.apply();
  }

  /** The same, but they are applied when the write-ahead log has had its turn. */
  commitSoon(index: number): void {
    this.#note(index);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#world.defer(this.#applySoon);
  }

  #note(index: number): void {
    // What was applied before a restart is committed, though the core learns of it bit by bit.
    this.commitIndex = Math.max(this.commitIndex, index);
  }

  /** Applies what is known to have been applied here before a restart. */
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

  /** Applies those of `entries`, read from the disk, that come next: the machine may have come further meanwhile. */
  #applyNext(entries: readonly RaftEntry[]): void {
    for (const entry of entries) {
      if (entry.index === this.#machine.index + 1) this.#machine.apply(entry);
    }
  }

  /** Applies what is committed and was not applied yet. */
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
      // A snapshot that was received meanwhile stands for them. The machine has it, or is about to.
      if (this.#world.closed() || this.#machine.index < snapshotIndex) return;
    } finally {
      this.#isReading = false;
    }
    this.apply();
  }
}
