/**
 * The conditions of a simulated disk: latencies, fault probabilities, and
 * counts of the faults so far. All of them may be changed while the disk is in
 * use; a change applies to every call that completes after it.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { DiskWeather } from "../schedule/schedule.ts";

/** What happened on a disk so far. */
export interface DiskCounts {
  /** Calls that were answered. */
  operations: number;
  /** Commits of databases that were acknowledged. */
  commits: number;
  /** Syncs of files and folders that were acknowledged. */
  syncs: number;
  /** Failed calls, with an I/O error. */
  writeErrors: number;
  /** Failed commits that were present when their database was opened again. */
  revivedCommits: number;
  /** Failed reads of parts of files, with an I/O error. */
  readErrors: number;
  /** Calls refused because the disk was full. */
  refusedFull: number;
  /** Crashes of a process that used the disk. */
  processCrashes: number;
  /** Times the machine lost power. */
  powerLosses: number;
  /** Changes pending at a crash that were done, and that were not. */
  doneAtCrash: number;
  undoneAtCrash: number;
  /** Unsynced changes of file contents lost in a power loss. */
  lostChanges: number;
  /** Those of them that were torn: partly written. */
  tornWrites: number;
  /** Unsynced changes of names lost in a power loss. */
  lostNames: number;
  /** Acknowledged commits that a lying disk lost in a power loss. */
  lostCommits: number;
  /** Bits that were flipped. */
  rottenBits: number;
}

/** Options of a disk. */
export interface DiskOptions {
  /** Source of its random draws. */
  readonly chance: Chance;
  /**
   * How long a sync takes, and whether the disk lies about it.
   *
   * @default {syncs take no time and are honest}
   */
  readonly weather?: DiskWeather;
  /**
   * Longest time of any other call, in milliseconds.
   *
   * @default {0, the next event}
   */
  readonly operationMsMax?: number;
}

const calm: DiskWeather = { syncMsMin: 0, syncMsMax: 0, liesAboutSync: false };

/** The state of one disk, and its random draws. */
export class DiskConditions {
  /** Whether nothing can be added: commits and growing files are refused. */
  full = false;
  /**
   * Probability that a write, sync or commit fails with an I/O error; it may be
   * done nevertheless.
   */
  writeErrorProbability = 0;
  /** Probability that a read of a part of a file fails with an I/O error. */
  readErrorProbability = 0;
  /** Extra latency of each sync and commit, in milliseconds. */
  syncDelayMs = 0;
  /** Whether it acknowledges commits that a power loss can still lose. */
  liesAboutSync: boolean;
  /** Probability that a write or commit flips one bit of its data. */
  rotProbability = 0;
  /** What happened so far. */
  readonly counts: DiskCounts = {
    operations: 0,
    commits: 0,
    syncs: 0,
    writeErrors: 0,
    readErrors: 0,
    revivedCommits: 0,
    refusedFull: 0,
    processCrashes: 0,
    powerLosses: 0,
    doneAtCrash: 0,
    undoneAtCrash: 0,
    lostChanges: 0,
    tornWrites: 0,
    lostNames: 0,
    lostCommits: 0,
    rottenBits: 0,
  };
  /**
   * For faults. Separate from the latencies, so that switching a fault off
   * changes no latency.
   */
  readonly faultChance: Chance;
  readonly #timeChance: Chance;
  readonly #weather: DiskWeather;
  readonly #operationMsMax: number;

  constructor({ chance, weather = calm, operationMsMax = 0 }: DiskOptions) {
    this.faultChance = chance.fork("faults");
    this.#timeChance = chance.fork("times");
    this.#weather = weather;
    this.#operationMsMax = operationMsMax;
    this.liesAboutSync = weather.liesAboutSync;
  }

  /** Latency of a call without a sync, in milliseconds. */
  drawOperationMs(): number {
    const max = this.#operationMsMax;
    return max === 0 ? 0 : this.#timeChance.next() * max;
  }

  /** Latency of a sync, in milliseconds. */
  drawSyncMs(): number {
    const { syncMsMin: min, syncMsMax: max } = this.#weather;
    const syncMs = max <= min
      ? min
      : min + this.#timeChance.next() * (max - min);
    return syncMs + this.syncDelayMs;
  }

  /** Whether a write fails. */
  drawWriteError(): boolean {
    const fails = this.writeErrorProbability > 0 &&
      this.faultChance.chance(this.writeErrorProbability);
    if (fails) this.counts.writeErrors++;
    return fails;
  }

  /** Whether a read of a part of a file fails. */
  drawReadError(): boolean {
    const fails = this.readErrorProbability > 0 &&
      this.faultChance.chance(this.readErrorProbability);
    if (fails) this.counts.readErrors++;
    return fails;
  }

  /** Whether a call of unknown outcome was done. */
  drawDone(): boolean {
    return this.faultChance.chance(0.5);
  }

  /** Whether written data is damaged. */
  drawRot(): boolean {
    return this.rotProbability > 0 &&
      this.faultChance.chance(this.rotProbability);
  }
}
