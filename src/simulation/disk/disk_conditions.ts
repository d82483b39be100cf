/**
 * How a simulated disk is doing: how long things take, what goes wrong with
 * which probability, and what has gone wrong. Everything may be changed while
 * the disk is used; it counts for what completes from then on.
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
  /** Calls that failed with an I/O error. */
  writeErrors: number;
  /** Commits that failed and were there after all when their database was opened again. */
  revivedCommits: number;
  /** Reads of parts of files that failed with an I/O error. */
  readErrors: number;
  /** Calls refused because the disk was full. */
  refusedFull: number;
  /** Crashes of a process that had the disk. */
  processCrashes: number;
  /** Times the machine lost power. */
  powerLosses: number;
  /** Changes under way at a crash that were made, and that were not. */
  doneAtCrash: number;
  undoneAtCrash: number;
  /** Changes of file contents that were not synced and gone after power loss. */
  lostChanges: number;
  /** Those of them of which a part was left. */
  tornWrites: number;
  /** Changes of names that were not synced and gone after power loss. */
  lostNames: number;
  /** Acknowledged commits that a lying disk had lost after power loss. */
  lostCommits: number;
  /** Bits that were flipped. */
  rottenBits: number;
}

/** How a disk is set up. */
export interface DiskOptions {
  /** Where its chance comes from. */
  readonly chance: Chance;
  /** How long a sync takes, and whether it is true. @default {syncs take no time and are true} */
  readonly weather?: DiskWeather;
  /** Longest time that anything else takes, in milliseconds. @default {0, the next event} */
  readonly operationMsMax?: number;
}

const calm: DiskWeather = { syncMsMin: 0, syncMsMax: 0, liesAboutSync: false };

/** The state of one disk, and its chance. */
export class DiskConditions {
  /** Whether nothing can be added to it: commits are refused, and so are files that grow. */
  full = false;
  /** How likely a write, a sync or a commit fails with an I/O error and may be done all the same. */
  writeErrorProbability = 0;
  /** How likely a read of a part of a file fails with an I/O error. */
  readErrorProbability = 0;
  /** By how much each sync and each commit takes longer, in milliseconds. */
  syncDelayMs = 0;
  /** Whether it acknowledges commits that power loss can take away again. */
  liesAboutSync: boolean;
  /** How likely a write or a commit damages one bit of what is written. */
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
  /** For what goes wrong. Apart from the times, so that a fault that is switched off changes no time. */
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

  /** How long a call without a sync takes, in milliseconds. */
  drawOperationMs(): number {
    const max = this.#operationMsMax;
    return max === 0 ? 0 : this.#timeChance.next() * max;
  }

  /** How long a sync takes, in milliseconds. */
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

  /** Whether something is done of which nobody will know whether it is. */
  drawDone(): boolean {
    return this.faultChance.chance(0.5);
  }

  /** Whether what is written is damaged. */
  drawRot(): boolean {
    return this.rotProbability > 0 &&
      this.faultChance.chance(this.rotProbability);
  }
}
