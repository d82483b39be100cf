/**
 * The checkpoints of one group: stored states of its machine that, unlike
 * snapshots, do not replace any part of the log. A restart begins from the
 * newest one and applies the entries that follow. A checkpoint becomes a
 * snapshot when the manifest says that the log begins behind it; only the
 * manifest has to be written for that.
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

/** Most checkpoints of a group; beyond that, one between others is removed. */
export const CHECKPOINTS_MAX = 10;

/** Checkpoints of one group. */
export class GroupCheckpoints {
  readonly #parts: GroupParts;
  readonly #snapshots: GroupSnapshots;
  /** By index; undefined until the disk has been searched. */
  #list: StoredSnapshot[] | undefined;
  /** Checkpoints from an earlier run: perhaps not durable, only in the page cache. */
  readonly #earlier = new Set<StoredSnapshot>();

  readonly #run: SlicedWork = (work) => this.#parts.shared().pace.run(work);

  constructor(parts: GroupParts, snapshots: GroupSnapshots) {
    this.#parts = parts;
    this.#snapshots = snapshots;
  }

  /** The checkpoints behind the snapshot, by index. */
  get list(): readonly SnapshotMeta[] {
    const { snapshotIndex } = this.#parts.entries;
    return (this.#list ?? []).map(({ meta }) => meta)
      .filter(({ index }) => index > snapshotIndex);
  }

  /** Finds the checkpoints of earlier runs, once it is known how far the log goes, and removes anything else. */
  async find(): Promise<void> {
    if (this.#list !== undefined) return;
    const { shared, entries, manifest } = this.#parts;
    const found: StoredSnapshot[] = [];
    this.#list = found;
    // Nothing of a damaged log is thrown away.
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
    // A checkpoint that was being promoted may have been written twice.
    const isTwice = ({ meta }: StoredSnapshot, at: number): boolean =>
      meta.index === found[at + 1]?.meta.index;
    const twice = found.filter(isTwice);
    this.#list = found.filter((stored) => !twice.includes(stored));
    await this.#remove(...twice);
    await this.#thinOut();
  }

  /**
   * Whether its entry is in the log behind the snapshot: otherwise its state
   * may include entries that were never committed.
   */
  #isInLog({ index, term }: SnapshotMeta): boolean {
    const { entries } = this.#parts;
    return index > entries.snapshotIndex && entries.termAt(index) === term;
  }

  /** Reads the description of the snapshot in `folder`; undefined if it is incomplete or damaged. */
  async #metaIn(folder: string): Promise<SnapshotMeta | undefined> {
    try {
      const { disk } = this.#parts.shared();
      return (await readDescription(disk, folder, this.#run)).meta;
    } catch (error) {
      if (isUnusable(error)) return undefined;
      throw error;
    }
  }

  /** See {@linkcode GroupLog.takeCheckpoint}. */
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
      // A checkpoint must not be ahead of the durable log.
      await this.#parts.shared().wal.written();
      this.#list?.push(stored);
      await this.#thinOut();
    });
  }

  /** Removes checkpoints while there are too many. */
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
        // Without its description it is not a checkpoint.
        await disk.remove(`${folder}/live`);
        await removeFolder(disk, folder);
      } catch {
        // Only takes space: what is left is found when the logs are opened
        // next.
      }
    }
  }

  /** The log now begins behind another snapshot: removes the checkpoints that are not behind it. */
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

  /** See {@linkcode GroupLog.promoteCheckpoint}. */
  promote(index: number): Promise<SnapshotMeta | undefined> {
    return this.#parts.tasks.run(async () => {
      for (;;) {
        const stored = this.#list?.findLast(({ meta }) => meta.index <= index);
        if (stored === undefined) return undefined;
        // It will replace entries, so it must be complete and durable.
        const whole = this.#earlier.has(stored)
          ? await this.#writeAgain(stored)
          : await this.#check(stored);
        if (whole === undefined) continue;
        await this.#snapshots.use(whole.stored, whole.live);
        return stored.meta;
      }
    });
  }

  /** Verifies `stored` and reads its live indexes; removes it if it is damaged. */
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

  /** The same for one of an earlier run. Its sync may have failed then, and a new sync would not report that. */
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

  /** The result of `read`; removes `stored` if it is damaged. */
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

  /** See {@linkcode GroupLog.readCheckpoint}. */
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
      // An older one does as well, since all entries behind it are there.
      const state = await this.#unlessBroken(
        stored,
        () => Array.fromAsync(readState(shared().disk, folder)),
      );
      if (state !== undefined) return { meta: stored.meta, state };
    }
  }
}

/** Whether a checkpoint is unusable: it is damaged, or of a newer version. */
function isUnusable(error: unknown): boolean {
  return isWhorlError(error, "store_corrupt") ||
    isWhorlError(error, "store_format");
}

/**
 * The position of the checkpoint to drop from ascending `indexes`: the one
 * whose neighbours are nearest to each other. The first and the last stay.
 */
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
