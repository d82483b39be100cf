/**
 * A machine with only a disk, and processes that use it: for tests of the disk,
 * and of stores on it.
 *
 * @module
 */
import { type Chance, seededChance } from "../../base/chance.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import type { DiskOptions } from "../disk/disk_conditions.ts";
import { seededBytes } from "../seeded_bytes.ts";
import { type DiskImage, SimulatedDisk } from "../disk/simulated_disk.ts";
import { runtimeOf, SimulatedProcess } from "../simulated_process.ts";
import { VirtualTime } from "../virtual_time.ts";

/** One machine on virtual time. */
export class DiskBench {
  readonly time = new VirtualTime();
  readonly chance: Chance;
  readonly disk: SimulatedDisk;
  #process: SimulatedProcess | undefined;
  #lives = 0;

  /** @param image Initial content of the disk. @default {nothing} */
  constructor(
    seed: number | string,
    options: Omit<DiskOptions, "chance"> = {},
    image?: DiskImage,
  ) {
    this.chance = seededChance(seed);
    this.disk = new SimulatedDisk({
      ...options,
      chance: this.chance.fork("disk"),
    }, image);
  }

  /**
   * Starts an incarnation of a process; the previous one continues beside it
   * unless it was killed.
   */
  live(): StorageEnvironment {
    const chance = this.chance.fork(`life ${++this.#lives}`);
    const process = new SimulatedProcess("bench", this.time, chance);
    this.#process = process;
    return {
      ...runtimeOf(process),
      disk: this.disk.attach(process),
      secretBytes: (count) => seededBytes(chance, count),
    };
  }

  /** Ends the newest incarnation, and every other one that had the disk. */
  crash(how: "process" | "power"): void {
    this.#process?.kill();
    this.disk.crash(how);
  }

  /** Runs that many events. */
  async happen(events: number): Promise<void> {
    let left = events;
    await this.time.run(Infinity, () => left-- === 0);
  }

  /** Lets time pass until `promise` has settled, and settles the same way. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const settle = (): void => void (settled = true);
    promise.then(settle, settle);
    const end = await this.time.run(Infinity, () => settled);
    if (!settled) throw new Error(`It never settles: ${end}`);
    return await promise;
  }
}
