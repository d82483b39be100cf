/**
 * The checkpoints of one group: states of its machine, as in snapshots, that
 * stand for nothing in the log. A restart begins from the newest one and applies
 * what follows; no entry goes for it. It becomes a snapshot when the manifest
 * says that the log begins behind it, and nothing has to be written for that but
 * the manifest.
 *
 *     take ──► snapshots/<index>_<term>-<number> ──► promote: named by the manifest
 *                    └── a later snapshot, or too many: removed
 *
 * @module
 */
import { isWhorlError } from "../../base/errors.ts";
import type { SnapshotMeta } from "../raft_entry.ts";
import type { StoredSnapshot } from "./group_manifest_codec.ts";
import type { GroupParts } from "./group_parts.ts";
import type { GroupSnapshots, WrittenSnapshot } from "./group_snapshots.ts";
import { removeFolder } from "./removed_folder.ts";
import {
  readDescription,
  readState,
  type SlicedWork,
  snapshotName,
} from "./snapshot_files.ts";

/** Checkpoints kept of a group; one more, and one between others goes. */
export const CHECKPOINTS_MAX = 10;

/** Checkpoints of one group. */
export class GroupCheckpoints {
  readonly #parts: GroupParts;
  readonly #snapshots: GroupSnapshots;
  /** By index; undefined until it was looked what is there. */
  #list: StoredSnapshot[] | undefined;
  /** Those that an earlier life has left: they may be in the memory of the system only. */
  readonly #earlier = new Set<StoredSnapshot>();

  readonly #run: SlicedWork = (work) => this.#parts.shared().pace.run(work);

  constructor(parts: GroupParts, snapshots: GroupSnapshots) {
    this.#parts = parts;
    this.#snapshots = snapshots;
  }

  /** Those behind the snapshot, by index. */
  get list(): readonly SnapshotMeta[] {
    const { snapshotIndex } = this.#parts.entries;
    return (this.#list ?? []).map(({ meta }) => meta)
      .filter(({ index }) => index > snapshotIndex);
  }

  /** Looks what earlier lives have left, when it is known how far the log goes. What is no checkpoint is removed. */
  async find(): Promise<void> {
    if (this.#list !== undefined) return;
    const { shared, entries, manifest } = this.#parts;
    const found: StoredSnapshot[] = [];
    this.#list = found;
    // Of what was lost nothing more is thrown away.
    if (manifest.damaged) return;
    const { disk } = shared();
    const folder = `${manifest.folder}/snapshots`;
    if (await disk.entry(folder) === undefined) return;
    for (const name of await disk.names(folder)) {
      const { stored } = entries;
      if (stored !== undefined && name === snapshotName(stored)) continue;
      const number = Number(name.split("-")[1]);
      const meta = await this.#metaIn(`${folder}/${name}`);
      if (
        meta !== undefined && name === snapshotName({ meta, number }) &&
        this.#isInLog(meta)
      ) {
        const checkpoint = { meta, number };
        found.push(checkpoint);
        this.#earlier.add(checkpoint);
        manifest.passNumber(number);
      } else await removeFolder(disk, `${folder}/${name}`);
    }
    found.sort((a, b) => a.meta.index - b.meta.index);
    // One that was about to become a snapshot may have been written again.
    const isTwice = ({ meta }: StoredSnapshot, at: number): boolean =>
      meta.index === found[at + 1]?.meta.index;
    const twice = found.filter(isTwice);
    this.#list = found.filter((stored) => !twice.includes(stored));
    await this.#remove(...twice);
    await this.#thinOut();
  }

  /** Whether it is of the log behind the snapshot: a state of entries that are not there was not agreed upon here. */
  #isInLog({ index, term }: SnapshotMeta): boolean {
    const { entries } = this.#parts;
    return index > entries.snapshotIndex && entries.termAt(index) === term;
  }

  /** What the snapshot in `folder` says of itself; undefined if it is not whole. */
  async #metaIn(folder: string): Promise<SnapshotMeta | undefined> {
    try {
      const { disk } = this.#parts.shared();
      return (await readDescription(disk, folder, this.#run)).meta;
    } catch (error) {
      if (isUnusable(error)) return undefined;
      throw error;
    }
  }

  /** As {@linkcode GroupLog.takeCheckpoint} says. */
  take(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array<ArrayBuffer>>,
    live: Iterable<number>,
  ): Promise<void> {
    return this.#parts.tasks.run(async () => {
      const last = this.#list?.at(-1)?.meta.index ?? 0;
      const { snapshotIndex } = this.#parts.entries;
      if (meta.index <= Math.max(last, snapshotIndex)) return;
      const { stored } = await this.#snapshots.write(meta, state, live);
      // Beyond the end of the log it would be none, and what is there is not durable by itself.
      await this.#parts.shared().wal.written();
      this.#list?.push(stored);
      await this.#thinOut();
    });
  }

  /** Lets go of one while there are too many. */
  async #thinOut(): Promise<void> {
    const list = this.#list ?? [];
    while (list.length > CHECKPOINTS_MAX) {
      const at = checkpointToDrop(list.map(({ meta }) => meta.index));
      await this.#remove(...list.splice(at, 1));
    }
  }

  async #remove(...gone: readonly StoredSnapshot[]): Promise<void> {
    const { shared, manifest } = this.#parts;
    const { disk } = shared();
    for (const stored of gone) {
      const folder = manifest.snapshotFolder(stored);
      try {
        // Without what it says of itself it is none.
        await disk.remove(`${folder}/live`);
        await removeFolder(disk, folder);
      } catch {
        // It is only in the way: what is left of it is looked at when the logs are opened next.
      }
    }
  }

  /** The log begins behind another snapshot now: those that are not behind it go. */
  async passed(): Promise<void> {
    const number = this.#parts.entries.stored?.number;
    const list = this.#list ?? [];
    const kept = list.filter(({ meta }) => this.#isInLog(meta));
    this.#list = kept;
    await this.#remove(
      ...list.filter((stored) =>
        !kept.includes(stored) && stored.number !== number
      ),
    );
  }

  /** As {@linkcode GroupLog.promoteCheckpoint} says. */
  promote(index: number): Promise<SnapshotMeta | undefined> {
    return this.#parts.tasks.run(async () => {
      for (;;) {
        const stored = this.#list?.findLast(({ meta }) => meta.index <= index);
        if (stored === undefined) return undefined;
        // What it stands for goes: it must be whole, and durable.
        const whole = this.#earlier.has(stored)
          ? await this.#writeAgain(stored)
          : await this.#check(stored);
        if (whole === undefined) continue;
        await this.#snapshots.use(whole.stored, whole.live);
        return stored.meta;
      }
    });
  }

  /** `stored` with what is live in it, if all of it can be read; else it goes. */
  async #check(stored: StoredSnapshot): Promise<WrittenSnapshot | undefined> {
    const { shared, manifest } = this.#parts;
    const { disk, pace } = shared();
    const folder = manifest.snapshotFolder(stored);
    return await this.#unlessBroken(stored, async () => {
      for await (const piece of readState(disk, folder)) {
        await pace.pause(piece.length);
      }
      return {
        stored,
        live: (await readDescription(disk, folder, this.#run)).live,
      };
    });
  }

  /** The same for one of an earlier life. Its sync may have failed then, and would not fail now. */
  async #writeAgain(
    stored: StoredSnapshot,
  ): Promise<WrittenSnapshot | undefined> {
    const { shared, manifest } = this.#parts;
    const { disk } = shared();
    const folder = manifest.snapshotFolder(stored);
    const found = await this.#unlessBroken(stored, async () => ({
      state: await Array.fromAsync(readState(disk, folder)),
      live: (await readDescription(disk, folder, this.#run)).live,
    }));
    if (found === undefined) return undefined;
    return await this.#snapshots.write(stored.meta, found.state, found.live);
  }

  /** What `read` comes to; if `stored` is damaged it goes. */
  async #unlessBroken<T>(
    stored: StoredSnapshot,
    read: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!isUnusable(error)) throw error;
      await this.#drop(stored);
      return undefined;
    }
  }

  async #drop(stored: StoredSnapshot): Promise<void> {
    this.#list = this.#list?.filter((other) => other !== stored);
    await this.#remove(stored);
  }

  /** As {@linkcode GroupLog.readCheckpoint} says. */
  async read(): Promise<
    | {
      readonly meta: SnapshotMeta;
      readonly state: readonly Uint8Array<ArrayBuffer>[];
    }
    | undefined
  > {
    const { shared, manifest } = this.#parts;
    for (;;) {
      const stored = this.#list?.at(-1);
      if (stored === undefined) return undefined;
      const folder = manifest.snapshotFolder(stored);
      // Where one is broken an older one does as well, as the entries are all there.
      const state = await this.#unlessBroken(
        stored,
        () => Array.fromAsync(readState(shared().disk, folder)),
      );
      if (state !== undefined) return { meta: stored.meta, state };
    }
  }
}

/** Whether a checkpoint that cannot be read so is none: it is damaged, or of a version to come. */
function isUnusable(error: unknown): boolean {
  return isWhorlError(error, "store_corrupt") ||
    isWhorlError(error, "store_format");
}

/** Which of the checkpoints at `indexes`, which ascend, is missed least: the one whose neighbours are nearest to each other. The first one and the last one stay. */
export function checkpointToDrop(indexes: readonly number[]): number {
  let best = 1;
  let least = Infinity;
  for (let at = 1; at < indexes.length - 1; at++) {
    const gap = (indexes[at + 1] as number) - (indexes[at - 1] as number);
    if (gap >= least) continue;
    best = at;
    least = gap;
  }
  return best;
}
