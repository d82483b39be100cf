/**
 * The disk of a simulated machine. It outlives the processes of the machine,
 * and loses what a real one would:
 *
 * - A process that dies leaves everything it had written, in the memory of the
 *   system; what was under way has been done or not; its locks are free.
 * - Power loss leaves what was synced, and of the rest what the system happened
 *   to have brought to the platter: of each file the writes up to some moment,
 *   the last of them torn; of each folder the changes of names up to some
 *   moment; of a database every acknowledged commit, unless the disk lies.
 *
 * Every call is answered by an event of the process that made it. What goes
 * wrong, and when, comes from the disk's own chance.
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

/** Something that rot can hit. */
export interface RotTarget {
  /** The file. */
  readonly path: string;
  /** Of a database, the key whose value is hit. */
  readonly key?: Uint8Array;
}

/** Whether `target` is what a store keeps for its users, rather than what it needs to open at all. */
export function isStoredValue({ key }: RotTarget): boolean {
  const first = key?.[0];
  return first === space.data || first === space.chunk ||
    first === space.journal;
}

/** What was on a disk at some moment; never changed, so that many disks can begin with it. */
export interface DiskImage {
  /** Everything, as if synced. */
  readonly root: Folder;
}

/** A copy of `node` and of all that is below it, on the platter. */
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

  /** A disk that holds what `image` does. @param image @default {nothing} */
  constructor(options: DiskOptions, image?: DiskImage) {
    super(options);
    this.#crashChance = options.chance.fork("crashes");
    this.#root = image === undefined
      ? new Folder()
      : copyOf(image.root, options.chance.fork("databases")) as Folder;
  }

  /** What is on it now, for other disks to begin with. */
  image(): DiskImage {
    return { root: copyOf(this.#root, this.#crashChance) as Folder };
  }

  /** The disk as a new process has it, which `runtime` calls back. */
  attach(runtime: Runtime): Disk {
    const life = new DiskLife(++this.#processes, this.#root, this, runtime);
    this.#lives.add(life);
    return life;
  }

  /**
   * Ends processes without a word: `process` is their death alone, `power` takes
   * the memory of the machine as well.
   *
   * @param disk Of the one process that dies. @default {all}
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
   * Damages one bit of something that `mayHit` allows, and answers of what;
   * `undefined` if there is nothing.
   *
   * @param mayHit @default {isStoredValue}
   * @param bytesOf How many bytes of a file may be hit, from its first one. @default {all}
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

  /** Takes away, for good, every file whose path `isLost` names, and answers how many. Whoever has one open keeps it. */
  lose(isLost: (path: string) => boolean): number {
    return loseBelow(this.#root, "", isLost);
  }

  /** Adds everything below `node` that may be hit. */
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
