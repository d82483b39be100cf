/**
 * The logs of all Raft groups of a node, in one folder: a subfolder for each
 * group and the write-ahead log that they share.
 *
 *     wal.mark, wal-<n>.log, groups.deleted
 *     groups/<uid>/config, manifest, seg-<n>, snapshots/<index>_<term>/
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../../base/errors.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { replaceFile, syncFolderOf } from "../../storage/atomic_file.ts";
import { WatermarkFile } from "../../storage/commit_watermark.ts";
import {
  decodeManifest,
  encodeManifest,
  type GroupManifest,
  type SegmentInfo,
} from "./group_manifest_codec.ts";
import { ASIDE_BYTES_MAX, AsideLogs, type AsideRemoved } from "./aside_logs.ts";
import { DeletedGroups } from "./deleted_groups.ts";
import { IndexRanges } from "./index_ranges.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  RaftLogs,
} from "./raft_log.ts";
import { asStoreErrors, storeErrorOf } from "./log_failure.ts";
import { removeFolder } from "./removed_folder.ts";
import { SegmentFiles } from "./segment_files.ts";
import type { SharedLogParts } from "./shared_log_parts.ts";
import { readLive, snapshotName } from "./snapshot_files.ts";
import { StoredGroupLog } from "./stored_group_log.ts";
import { Wal } from "./wal.ts";
import type { WalFile } from "./wal_files.ts";
import type { WalGroup } from "./wal_batch.ts";
import { type FoundLine, RecordKind } from "./wal_codec.ts";
import { MARK_NAME, readWal, type WalReplay } from "./wal_recovery.ts";
import { inTurns, WorkPace } from "./work_pace.ts";
import { segmentFileBytes } from "./group_segments.ts";

/** How the logs are kept. */
export interface RaftLogsOptions {
  /** Folder for all logs; created if missing, but its parent must exist. */
  readonly folder: string;
  readonly environment: StorageEnvironment;
  /** Size at which the write-ahead log begins another file, in bytes. @default {64 MiB} */
  readonly walBytesMax?: number;
  /** Most entries of a segment. @default {4096} */
  readonly segmentEntriesMax?: number;
  /** Most bytes of a segment's entries; a larger entry has a segment of its own. @default {64 MiB} */
  readonly segmentBytesMax?: number;
  /** A group is compacted thoroughly after every this many snapshots. @default {8} */
  readonly compactEvery?: number;
  /** Write rate for segments and snapshots, in bytes per second, unless writers wait for them. @default {128 MiB} */
  readonly takeOverBytesPerSecond?: number;
  /** Read and write rate of compaction, in bytes per second. @default {48 MiB} */
  readonly compactionBytesPerSecond?: number;
  /** Most bytes of logs put aside; beyond that, the oldest is removed. @default {1 GiB} */
  readonly asideBytesMax?: number;
  /** Called when a log put aside is removed. @default {nothing} */
  readonly onAsideRemoved?: AsideRemoved;
}

const MIB = 1024 * 1024;
/** Full files of the write-ahead log that may wait to be flushed; beyond that, writers wait. */
const CLOSED_FILES_MAX = 4;
/** With more than this many, segments are written without pauses. */
const CLOSED_FILES_URGENT = 2;
/** Files checked at a time. */
const LOOKS_MAX = 64;

/** The number at the end of the name of a segment or snapshot. */
const FILE_NUMBER = /-(\d{1,15})$/;

const decoder = new TextDecoder();

/** Opens the logs in a folder, or creates them. */
export async function openRaftLogs(
  options: RaftLogsOptions,
): Promise<RaftLogs> {
  return await asStoreErrors(
    options.folder,
    () => StoredRaftLogs.open(options),
  );
}

/** Distributes recovered records to their groups. */
class Replay implements WalReplay {
  readonly #groups: ReadonlyMap<number, StoredGroupLog>;
  readonly files = new Map<number, Map<WalGroup, number>>();
  /** Groups with records in the latest batch. */
  inBatch = new Map<WalGroup, number>();
  #inFile = new Map<WalGroup, number>();
  #batch = 0;
  #uid = -1;
  #group: StoredGroupLog | undefined;
  wasLost = false;

  constructor(groups: ReadonlyMap<number, StoredGroupLog>) {
    this.#groups = groups;
  }

  batch(file: number, batch: number): void {
    this.#batch = batch;
    this.inBatch = new Map();
    const known = this.files.get(file);
    if (known === undefined) this.files.set(file, this.#inFile = new Map());
    else this.#inFile = known;
  }

  record(
    line: FoundLine,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
  ): void {
    const { uid, index, term, length } = line;
    const group = this.#groupOf(uid);
    // The group has been removed since.
    if (group === undefined) return;
    if (line.kind === RecordKind.entry) {
      group.replayEntry(
        this.#batch,
        index,
        term,
        bytes,
        offset,
        length,
        line.crc,
      );
      this.#note(group, index);
      return;
    }
    this.#note(group, 0);
    if (line.kind === RecordKind.vote) {
      const node = length === 0
        ? undefined
        : decoder.decode(bytes.subarray(offset, offset + length));
      group.replayVote(this.#batch, term, node);
    } else if (line.kind === RecordKind.applied) group.replayApplied(index);
  }

  #note(group: WalGroup, index: number): void {
    for (const groups of [this.#inFile, this.inBatch]) {
      if (index > 0 || !groups.has(group)) groups.set(group, index);
    }
  }

  broken(uid: number): void {
    this.#groupOf(uid)?.noteDamage();
  }

  lost(): void {
    this.wasLost = true;
  }

  #groupOf(uid: number): StoredGroupLog | undefined {
    if (uid !== this.#uid) {
      this.#uid = uid;
      this.#group = this.#groups.get(uid);
    }
    return this.#group;
  }
}

class StoredRaftLogs implements RaftLogs {
  readonly #folder: string;
  readonly #environment: StorageEnvironment;
  readonly #logs = new Map<number, StoredGroupLog>();
  readonly unreadable: string[] = [];
  readonly #deleted: DeletedGroups;
  readonly #aside: AsideLogs;
  #shared: SharedLogParts | undefined;
  #isClosing = false;
  #takingOver: Promise<void> = Promise.resolve();
  /** Groups whose entries of the last flushed file are still in memory. */
  #takenOver: ReadonlyMap<WalGroup, number> = new Map();

  private constructor(
    { folder, environment, ...options }: RaftLogsOptions,
    deleted: DeletedGroups,
  ) {
    this.#folder = folder;
    this.#environment = environment;
    this.#deleted = deleted;
    this.#aside = new AsideLogs(
      environment.disk,
      options.asideBytesMax ?? ASIDE_BYTES_MAX,
      options.onAsideRemoved ?? (() => {}),
    );
  }

  static async open(options: RaftLogsOptions): Promise<StoredRaftLogs> {
    const { folder, environment } = options;
    const { disk } = environment;
    // An earlier run may have created the folders and died before syncing them.
    await disk.makeFolder(folder);
    await syncFolderOf(disk, folder);
    await disk.makeFolder(`${folder}/groups`);
    await disk.syncFolder(folder);
    const deleted = await DeletedGroups.open(disk, folder);
    const logs = new StoredRaftLogs(options, deleted);
    for (const name of await disk.names(`${folder}/groups`)) {
      await logs.#readGroup(name);
    }
    await logs.#aside.makeRoom();
    await logs.#recover(options);
    return logs;
  }

  get #openParts(): SharedLogParts {
    if (this.#shared === undefined) {
      throw new WhorlError("closed", "Cannot use Raft logs that are closed");
    }
    return this.#shared;
  }

  async #recover(options: RaftLogsOptions): Promise<void> {
    const folder = this.#folder;
    const environment = this.#environment;
    const replay = new Replay(this.#logs);
    const found = await readWal(environment, folder, replay);
    // The watermark is created before any group.
    const wasLost = replay.wasLost || found.mark === undefined;
    for (const log of this.#logs.values()) {
      log.endReplay();
      if (wasLost) log.noteDamage();
    }
    const mark = await WatermarkFile.open(
      `${folder}/${MARK_NAME}`,
      {
        storeId: found.storeId,
        epoch: found.oldestFile,
        commit: found.nextBatch - 1,
      },
      environment,
      found.mark,
    );
    const closed = found.files.map((file): WalFile => ({
      ...file,
      groups: replay.files.get(file.number) ?? new Map(),
    }));
    let wal: Wal;
    try {
      for (const path of found.obsolete) await environment.disk.remove(path);
      wal = await Wal.open(environment, {
        folder,
        storeId: found.storeId,
        mark,
        fileNumber: found.nextFile,
        nextBatch: found.nextBatch,
        closed,
        unsure: found.unsure && { ...found.unsure, groups: replay.inBatch },
        fileBytesMax: options.walBytesMax ?? 64 * MIB,
        closedFilesMax: CLOSED_FILES_MAX,
        onClosed: (file) => this.#takeOver(file),
        onFailed: (error) => {
          for (const log of this.#logs.values()) log.onFailed(error);
        },
      });
    } catch (error) {
      await mark.close();
      throw error;
    }
    this.#shared = {
      disk: environment.disk,
      wal,
      files: new SegmentFiles(environment.disk),
      pace: new WorkPace(
        environment,
        options.takeOverBytesPerSecond ?? 128 * MIB,
      ),
      compactionPace: new WorkPace(
        environment,
        options.compactionBytesPerSecond ?? 48 * MIB,
      ),
      limits: {
        entriesMax: options.segmentEntriesMax ?? 4_096,
        bytesMax: options.segmentBytesMax ?? 64 * MIB,
      },
      compactEvery: options.compactEvery ?? 8,
    };
    // Damage must be recorded before the log that shows it is removed.
    for (const log of this.#logs.values()) await log.saveDamage();
    for (const file of closed) this.#takeOver(file);
  }

  /** Flushes the records of `file` to the segments of their groups, and then removes the file. */
  #takeOver(file: WalFile): void {
    this.#takingOver = this.#takingOver.then(async () => {
      if (this.#isClosing) return;
      const { wal, pace } = this.#openParts;
      if (wal.failure !== undefined) return;
      const calm = wal.closedFiles > CLOSED_FILES_URGENT
        ? pace.hurry()
        : undefined;
      try {
        for (const [group, index] of file.groups) {
          const log = group as StoredGroupLog;
          if (log.isRemoved) continue;
          if (index === 0) log.repeatVote();
          else await log.takeOver(index, file.lastBatch + 1);
        }
        await wal.written();
        await wal.release(file);
        for (const [group, index] of this.#takenOver) {
          await (group as StoredGroupLog).forgetTakenOver(index);
        }
        this.#takenOver = file.groups;
      } catch (error) {
        if (!isWhorlError(error, "closed")) wal.fail(error);
      } finally {
        calm?.();
      }
    });
  }

  #folderOf(uid: number | string): string {
    return `${this.#folder}/groups/${uid}`;
  }

  /** Reads a group; one whose creation or removal was interrupted is removed. */
  async #readGroup(name: string): Promise<void> {
    const { disk } = this.#environment;
    const folder = this.#folderOf(name);
    let manifest: GroupManifest | undefined;
    try {
      manifest = await this.#readManifest(folder);
    } catch (error) {
      if (!isWhorlError(error, "store_corrupt")) throw error;
      // It must not prevent the others from being read.
      this.unreadable.push(folder);
      await this.#aside.add(folder);
      return;
    }
    if (manifest === undefined) {
      if (await this.#aside.find(folder)) return;
      await removeFolder(disk, folder);
      return;
    }
    // An earlier run may have died before its sync, and what this one relies on
    // must be durable. Costs nothing if nothing has changed.
    await disk.syncFolder(folder);
    const { snapshot } = manifest;
    let { damaged } = manifest;
    let live = IndexRanges.none;
    if (snapshot !== undefined) {
      try {
        live = await readLive(
          disk,
          `${folder}/snapshots/${snapshotName(snapshot)}`,
          snapshot.meta,
          (work) => inTurns(this.#environment, work),
        );
      } catch (error) {
        if (!isWhorlError(error, "store_corrupt")) throw error;
        damaged = true;
      }
    }
    if (!await this.#tidy(folder, manifest)) damaged = true;
    const log = new StoredGroupLog(
      folder,
      manifest,
      live,
      () => this.#openParts,
    );
    if (damaged) log.noteDamage();
    this.#logs.set(log.uid, log);
  }

  async #readManifest(folder: string): Promise<GroupManifest | undefined> {
    const { disk } = this.#environment;
    const path = `${folder}/manifest`;
    const bytes = await disk.readFile(path);
    if (bytes === undefined) return undefined;
    try {
      return decodeManifest(bytes, path);
    } catch (error) {
      if (!isWhorlError(error, "store_corrupt")) throw error;
      const config = await disk.readFile(`${folder}/config`);
      if (config === undefined) throw error;
      // Its identity is still known, and that it lost its log.
      return {
        ...decodeManifest(config, `${folder}/config`),
        damaged: true,
        nextNumber: await this.#unusedNumber(folder),
      };
    }
  }

  /** A number that no file in `folder` has: a name conflict would look like a failing disk. */
  async #unusedNumber(folder: string): Promise<number> {
    const { disk } = this.#environment;
    const snapshots = `${folder}/snapshots`;
    const names = await disk.names(folder);
    if (names.includes("snapshots")) names.push(...await disk.names(snapshots));
    const numbers = names.map((name) => Number(FILE_NUMBER.exec(name)?.[1]));
    return 1 + Math.max(0, ...numbers.filter(Number.isSafeInteger));
  }

  /** Removes files that a manifest does not name; false if a file that it names is missing or incomplete. */
  async #tidy(
    folder: string,
    { segments, snapshot, damaged }: GroupManifest,
  ): Promise<boolean> {
    // Nothing of a damaged log is thrown away.
    if (damaged) return true;
    const { disk } = this.#environment;
    const named = new Map(
      segments.map((info): [string, SegmentInfo] => [
        `seg-${info.number}`,
        info,
      ]),
    );
    for (const name of await disk.names(folder)) {
      const isLeftOver = name.endsWith(".tmp") ||
        name.startsWith("seg-") && !named.has(name);
      if (isLeftOver) await disk.remove(`${folder}/${name}`);
    }
    let isWhole = true;
    const infos = [...named];
    for (let from = 0; from < infos.length; from += LOOKS_MAX) {
      await Promise.all(
        infos.slice(from, from + LOOKS_MAX).map(async ([name, info]) => {
          const entry = await disk.entry(`${folder}/${name}`);
          if (entry?.sizeBytes !== segmentFileBytes(info)) isWhole = false;
        }),
      );
    }
    // Other snapshots may be checkpoints, which are found once it is known how
    // far the log goes.
    const kept = snapshot && snapshotName(snapshot);
    if (kept !== undefined) {
      const state = await disk.entry(
        `${folder}/snapshots/${kept}/state`,
      );
      if (state === undefined) isWhole = false;
    }
    return isWhole;
  }

  get groups(): readonly GroupConfig[] {
    return [...this.#logs.values()].map(({ config }) => config);
  }

  async create(config: GroupConfig): Promise<void> {
    const { uid } = config;
    const { wal } = this.#openParts;
    if (this.#logs.has(uid)) {
      throw new WhorlError(
        "already_exists",
        `Cannot create the log of ${config.name} as there is one with uid ${uid}`,
        { details: { group: config.name, uid } },
      );
    }
    const { disk } = this.#environment;
    const folder = this.#folderOf(uid);
    const manifest: GroupManifest = {
      config,
      walFloor: wal.nextBatch,
      term: 0,
      votedFor: undefined,
      appliedIndex: 0,
      damaged: false,
      snapshot: undefined,
      nextNumber: 1,
      segments: [],
    };
    const log = new StoredGroupLog(
      folder,
      manifest,
      IndexRanges.none,
      () => this.#openParts,
    );
    this.#logs.set(uid, log);
    try {
      await disk.makeFolder(folder);
      await disk.syncFolder(`${this.#folder}/groups`);
      const bytes = encodeManifest(manifest);
      await replaceFile(disk, `${folder}/config`, bytes);
      // This creates the group.
      await replaceFile(disk, `${folder}/manifest`, bytes);
    } catch (error) {
      this.#logs.delete(uid);
      throw storeErrorOf(error, folder);
    }
  }

  async open(uid: number, events: GroupLogEvents): Promise<GroupLog> {
    const log = this.#logOf(uid);
    // Its former user died without closing it.
    await log.close();
    const { wal } = this.#openParts;
    try {
      await log.open(events);
    } finally {
      // Such a failure came before there was anyone to report it to, and the
      // logs have to be opened anew for it.
      const { failure } = wal;
      if (failure !== undefined) {
        this.#environment.defer(() => events.onFailed(failure));
      }
    }
    return log;
  }

  #logOf(uid: number): StoredGroupLog {
    const log = this.#logs.get(uid);
    if (log === undefined) {
      throw new WhorlError(
        "not_found",
        `Cannot find the log of a group with uid ${uid}`,
        { details: { uid } },
      );
    }
    return log;
  }

  async remove(uid: number): Promise<void> {
    const folder = await this.#begone(uid);
    const { disk } = this.#environment;
    await asStoreErrors(folder, async () => {
      // Without its manifest the group no longer exists, whatever else is left.
      await disk.remove(`${folder}/manifest`);
      await disk.syncFolder(folder);
      this.#logs.delete(uid);
      await removeFolder(disk, folder);
    });
  }

  async putAside(uid: number): Promise<void> {
    const folder = await this.#begone(uid);
    await asStoreErrors(folder, async () => {
      await this.#aside.add(folder);
      this.#logs.delete(uid);
    });
    await this.#aside.makeRoom();
  }

  isDeleted(groupId: number): boolean {
    return this.#deleted.has(groupId);
  }

  async noteDeleted(groupId: number): Promise<void> {
    await asStoreErrors(this.#folder, () => this.#deleted.add(groupId));
  }

  /** Stops the tasks of a closed log and returns its folder. */
  async #begone(uid: number): Promise<string> {
    const log = this.#logOf(uid);
    if (log.isOpen) {
      throw new WhorlError(
        "invalid_argument",
        `Cannot remove the log of ${log.config.name} as it is open`,
        { details: { group: log.config.name, uid } },
      );
    }
    log.noteRemoved();
    await log.idle();
    return this.#folderOf(uid);
  }

  async close(): Promise<void> {
    const { wal, files, pace, compactionPace } = this.#openParts;
    for (const log of this.#logs.values()) await log.close();
    this.#isClosing = true;
    pace.end();
    compactionPace.end();
    await this.#takingOver;
    for (const log of this.#logs.values()) await log.idle();
    this.#shared = undefined;
    files.close();
    await wal.close();
  }
}
