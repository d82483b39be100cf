/**
 * Folders of a machine that may lose power, and the paths through them. A name
 * that was given, changed or taken away is seen by all processes at once, and
 * durable when its folder has been synced; power loss before that leaves the
 * changes up to some moment. A rename is one change: there is never a moment
 * with neither file, nor one with both under one name.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { fileError } from "./disk_failure.ts";

/** Something that stands under a name. */
export interface Inode {
  readonly type: "file" | "folder";
  /** Of a file, in bytes. */
  readonly sizeBytes: number;
}

/** `node` got the name `to` and lost the name `from`; without it, `to` was taken away. */
interface NameChange {
  readonly from: string | undefined;
  readonly to: string;
  readonly node: Inode | undefined;
}

function apply(names: Map<string, Inode>, change: NameChange): void {
  if (change.from !== undefined) names.delete(change.from);
  if (change.node === undefined) names.delete(change.to);
  else names.set(change.to, change.node);
}

/** One folder. */
export class Folder implements Inode {
  readonly type = "folder";
  readonly sizeBytes = 0;
  #seen = new Map<string, Inode>();
  readonly #platter = new Map<string, Inode>();
  readonly #changes: NameChange[] = [];
  /** Number of the first of `#changes`. */
  #first = 0;

  /** How many changes there have been; what a sync that begins now makes durable. */
  get changesMade(): number {
    return this.#first + this.#changes.length;
  }

  /** Names in it. */
  names(): string[] {
    return [...this.#seen.keys()];
  }

  /** What stands in it. */
  nodes(): Inode[] {
    return [...this.#seen.values()];
  }

  /** What stands under `name`. */
  get(name: string): Inode | undefined {
    return this.#seen.get(name);
  }

  /** Gives `node` a name; what had it is gone. */
  set(name: string, node: Inode): void {
    this.#change({ from: undefined, to: name, node });
  }

  /** Gives what is called `from`, which is there, the name `to`. */
  rename(from: string, to: string): void {
    if (from !== to) this.#change({ from, to, node: this.#seen.get(from) });
  }

  /** Takes a name away. */
  remove(name: string): void {
    this.#change({ from: undefined, to: name, node: undefined });
  }

  #change(change: NameChange): void {
    apply(this.#seen, change);
    this.#changes.push(change);
  }

  /** Makes the first `changes` changes durable. */
  sync(changes: number): void {
    const synced = this.#changes.splice(0, Math.max(0, changes - this.#first));
    this.#first += synced.length;
    for (const change of synced) apply(this.#platter, change);
  }

  /** Leaves the names on the platter, and those the system had brought there by itself. Answers how many changes are gone. */
  losePower(chance: Chance): number {
    const waiting = this.#changes.length;
    const kept = chance.below(waiting + 1);
    this.sync(this.#first + kept);
    this.#first += this.#changes.length;
    this.#changes.length = 0;
    this.#seen = new Map(this.#platter);
    return waiting - kept;
  }
}

/** Where a path leads. */
export interface Place {
  /** The folder it ends in. */
  readonly folder: Folder;
  /** Its last name; empty for the root itself. */
  readonly name: string;
  /** What stands there. */
  readonly node: Inode | undefined;
}

/** Paths that are kept in pieces. */
const PATHS_MAX = 1_000;
const pieces = new Map<string, readonly string[]>();

/** The names in `path`: nodes ask for the same few again and again. */
function namesIn(path: string): readonly string[] {
  const known = pieces.get(path);
  if (known !== undefined) return known;
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (pieces.size === PATHS_MAX) pieces.clear();
  pieces.set(path, names);
  return names;
}

/**
 * Goes the way of `path` from `root`, which is also where relative paths begin.
 *
 * @param call For the error's message.
 * @throws {Error} If a folder on the way is missing, or is none.
 */
export function follow(root: Folder, path: string, call: string): Place {
  const names = namesIn(path);
  const last = names.at(-1);
  let folder = root;
  for (let at = 0; at < names.length - 1; at++) {
    const name = names[at] as string;
    const next = folder.get(name);
    if (next === undefined) throw fileError("ENOENT", `${call} '${path}'`);
    if (!(next instanceof Folder)) {
      throw fileError("ENOTDIR", `${call} '${path}'`);
    }
    folder = next;
  }
  return last === undefined
    ? { folder: root, name: "", node: root }
    : { folder, name: last, node: folder.get(last) };
}
