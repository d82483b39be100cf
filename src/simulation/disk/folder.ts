/**
 * Folders of a machine that may lose power, and paths through them. A name that
 * is added, changed or removed is seen by all processes at once, and durable
 * when its folder has been synced; a power loss before that keeps the changes
 * up to some moment. A rename is one change: at no moment is neither name
 * there, or both.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { fileError } from "./disk_failure.ts";

/** Something that has a name in a folder. */
export interface Inode {
  readonly type: "file" | "folder";
  /** Of a file, in bytes. */
  readonly sizeBytes: number;
}

/**
 * `node` got the name `to` and lost the name `from`; without a node, `to` was
 * removed.
 */
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

  /** Number of changes so far; a sync that begins now makes these durable. */
  get changesMade(): number {
    return this.#first + this.#changes.length;
  }

  /** The names in it. */
  names(): string[] {
    return [...this.#seen.keys()];
  }

  /** The inodes in it. */
  nodes(): Inode[] {
    return [...this.#seen.values()];
  }

  /** The inode called `name`. */
  get(name: string): Inode | undefined {
    return this.#seen.get(name);
  }

  /** Names `node`; replaces what had the name. */
  set(name: string, node: Inode): void {
    this.#change({ from: undefined, to: name, node });
  }

  /** Renames `from`, which exists, to `to`. */
  rename(from: string, to: string): void {
    if (from !== to) this.#change({ from, to, node: this.#seen.get(from) });
  }

  /** Removes a name. */
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

  /**
   * Keeps the names on the platter, and those that happened to be written back.
   * Returns the number of lost changes.
   */
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
  /** The folder of its last name. */
  readonly folder: Folder;
  /** Its last name; empty for the root itself. */
  readonly name: string;
  /** What exists there. */
  readonly node: Inode | undefined;
}

/** Most parsed paths kept. */
const PATHS_MAX = 1_000;
const pieces = new Map<string, readonly string[]>();

/** The names in `path`, cached: nodes use the same few again and again. */
function namesIn(path: string): readonly string[] {
  const known = pieces.get(path);
  if (known !== undefined) return known;
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (pieces.size === PATHS_MAX) pieces.clear();
  pieces.set(path, names);
  return names;
}

/**
 * Resolves `path` from `root`, to which relative paths are relative too.
 *
 * @param call For the error's message.
 * @throws {Error} If a folder on the way is missing, or is not a folder.
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
