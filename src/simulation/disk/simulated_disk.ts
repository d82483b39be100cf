/**
 * The disk of a simulated machine. It outlives the processes of the machine,
 * and loses what a real one would lose:
 *
 * - A process crash keeps everything written, in the page cache; pending calls
 *   were done or not; its locks are released.
 * - A power loss keeps what was synced, and whatever else happened to be
 *   written back: of each file the writes up to some moment, the last of them
 *   torn; of each folder the changes of names up to some moment; of a database
 *   every acknowledged commit, unless the disk lies.
 *
 * Every call completes in an event of the process that made it. Faults and
 * their times come from the disk's own random draws.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { Chance } from "../../base/chance.ts";
import type { Disk } from "../../environment/disk.ts";
import { space } from "../../storage/deno_kv_codec.ts";
import { textToBytes } from "../../base/byte_text.ts";
import { DiskConditions, type DiskOptions } from "./disk_conditions.ts";
import { DiskLife } from "./disk_life.ts";
import { Folder, type Inode } from "./folder.ts";
import { SimulatedDatabase } from "./simulated_database.ts";
import { SimulatedFile } from "./simulated_file.ts";

/** Something that bit rot can damage. */
export interface RotTarget {
  /** The path of the file. */
  readonly path: string;
  /** In a database, the key of the damaged value. */
  readonly key?: Uint8Array;
}

/**
 * Whether `target` is a stored value of a store's users, and not something the
 * store needs to open.
 */
export function isStoredValue({ key }: RotTarget): boolean {
  const first = key?.[0];
  return first === space.data || first === space.chunk ||
    first === space.journal;
}

/**
 * The content of a disk at some moment; immutable, so that many disks can start
 * from it.
 */
export interface DiskImage {
  /** All content, as if synced. */
  readonly root: Folder;
}

/** A copy of `node` and everything below it, on the platter. */
function copyOf(node: Inode, chance: Chance): Inode {
  if (node instanceof SimulatedDatabase) return node.copy(chance);
  if (node instanceof SimulatedFile) return node.copy();
  const folder = new Folder();
  if (node instanceof Folder) {
    for (const name of node.names()) {
      folder.set(name, copyOf(node.get(name) as Inode, chance));
    }
  }
  folder.sync(folder.changesMade);
  return folder;
}

function loseBelow(
  folder: Folder,
  path: string,
  isLost: (path: string) => boolean,
): number {
  let lost = 0;
  for (const name of folder.names()) {
    const node = folder.get(name);
    const at = `${path}/${name}`;
    if (node instanceof Folder) lost += loseBelow(node, at, isLost);
    else if (isLost(at)) {
      folder.remove(name);
      lost++;
    }
  }
  folder.sync(folder.changesMade);
  return lost;
}

/** One machine's disk. */
export class SimulatedDisk extends DiskConditions {
  readonly #root: Folder;
  readonly #lives = new Set<DiskLife>();
  readonly #crashChance: Chance;
  #processes = 0;

  /** A disk with the content of `image`. @param image @default {nothing} */
  constructor(options: DiskOptions, image?: DiskImage) {
    super(options);
    this.#crashChance = options.chance.fork("crashes");
    this.#root = image === undefined
      ? new Folder()
      : copyOf(image.root, options.chance.fork("databases")) as Folder;
  }

  /** Its current content, for other disks to start from. */
  image(): DiskImage {
    return { root: copyOf(this.#root, this.#crashChance) as Folder };
  }

  /** The disk for a new process, with `runtime` for callbacks. */
  attach(runtime: Runtime): Disk {
    const life = new DiskLife(++this.#processes, this.#root, this, runtime);
    this.#lives.add(life);
    return life;
  }

  /**
   * Crashes processes: `process` is the death of the process alone, `power`
   * also loses the memory of the machine.
   *
   * @param disk Of the one process that dies.
   * @default {all}
   */
  crash(how: "process" | "power", disk?: Disk): void {
    for (const life of this.#lives) {
      if (how === "process" && disk !== undefined && disk !== life) continue;
      life.end();
      this.#lives.delete(life);
      this.counts.processCrashes++;
    }
    if (how === "process") return;
    this.counts.powerLosses++;
    this.#losePower(this.#root);
  }

  #losePower(node: Inode): void {
    const { counts } = this;
    if (node instanceof SimulatedDatabase) {
      counts.lostCommits += node.losePower();
    } else if (node instanceof SimulatedFile) {
      const { changes, torn } = node.content.losePower(this.#crashChance);
      counts.lostChanges += changes;
      if (torn) counts.tornWrites++;
    } else if (node instanceof Folder) {
      counts.lostNames += node.losePower(this.#crashChance);
      for (const inner of node.nodes()) this.#losePower(inner);
    }
  }

  /**
   * Damages one bit of something that `mayHit` allows, and returns what;
   * `undefined` if there is nothing.
   *
   * @param mayHit
   * @default {isStoredValue}
   * @param bytesOf How many leading bytes of a file may be hit.
   * @default {all}
   */
  rot(
    mayHit: (target: RotTarget) => boolean = isStoredValue,
    bytesOf: (content: Uint8Array) => number = ({ length }) => length,
  ): RotTarget | undefined {
    const found: [RotTarget, () => boolean][] = [];
    this.#collect(this.#root, "", mayHit, bytesOf, found);
    while (found.length > 0) {
      const at = this.faultChance.below(found.length);
      const [[target, flip]] = found.splice(at, 1) as [
        [RotTarget, () => boolean],
      ];
      if (!flip()) continue;
      this.counts.rottenBits++;
      return target;
    }
    return undefined;
  }

  /**
   * Permanently deletes every file whose path `isLost` accepts, and returns how
   * many. Open handles keep their file.
   */
  lose(isLost: (path: string) => boolean): number {
    return loseBelow(this.#root, "", isLost);
  }

  /** Adds everything at or below `node` that may be hit. */
  #collect(
    node: Inode,
    path: string,
    mayHit: (target: RotTarget) => boolean,
    bytesOf: (content: Uint8Array) => number,
    found: [RotTarget, () => boolean][],
  ): void {
    const chance = this.faultChance;
    if (node instanceof Folder) {
      for (const name of node.names()) {
        this.#collect(
          node.get(name) as Inode,
          `${path}/${name}`,
          mayHit,
          bytesOf,
          found,
        );
      }
    } else if (node instanceof SimulatedDatabase) {
      for (const keyText of node.keys()) {
        const target = { path, key: textToBytes(keyText) };
        if (mayHit(target)) {
          found.push([target, () => node.flip(keyText, chance)]);
        }
      }
    } else if (node instanceof SimulatedFile && mayHit({ path })) {
      const { content } = node;
      found.push([{ path }, () => {
        const bytes = content.length === 0 ? 0 : bytesOf(content.read());
        if (bytes <= 0) return false;
        content.flip(chance.below(bytes * 8));
        return true;
      }]);
    }
  }
}
