/**
 * The logs of all Raft groups of a node, in one folder: a folder for each group
 * and the write-ahead log that they share.
 *
 *     wal.mark, wal-<n>.log
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
} from "./group_manifest_codec.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  RaftLogs,
} from "./raft_log.ts";
import { StoredGroupLog } from "./stored_group_log.ts";
import { Wal, type WalFile, type WalGroup } from "./wal.ts";
import { type FoundLine, RecordKind } from "./wal_codec.ts";
import { MARK_NAME, readWal, type WalReplay } from "./wal_recovery.ts";

/** How the logs are kept. */
export interface RaftLogsOptions {
  /** Folder for all of it; made if it is not there, as long as the one above it is. */
  readonly folder: string;
  readonly environment: StorageEnvironment;
  /** From so many bytes on another file of the write-ahead log is begun. @default {64 MiB} */
  readonly walBytesMax?: number;
}

const WAL_BYTES_MAX = 64 * 1024 * 1024;

const decoder = new TextDecoder();

/** Opens the logs in a folder, or begins them. */
export async function openRaftLogs(
  options: RaftLogsOptions,
): Promise<RaftLogs> {
  return await StoredRaftLogs.open(options);
}

/** What was found of a group, and of a batch. */
class Replay implements WalReplay {
  readonly #groups: ReadonlyMap<number, StoredGroupLog>;
  readonly files = new Map<number, Map<WalGroup, number>>();
  /** Who has records in the latest batch. */
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
    // The group was removed since.
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
  #wal: Wal | undefined;

  private constructor({ folder, environment }: RaftLogsOptions) {
    this.#folder = folder;
    this.#environment = environment;
  }

  static async open(options: RaftLogsOptions): Promise<StoredRaftLogs> {
    const { folder, environment } = options;
    const { disk } = environment;
    if (await disk.makeFolder(folder)) await syncFolderOf(disk, folder);
    if (await disk.makeFolder(`${folder}/groups`)) {
      await disk.syncFolder(folder);
    }
    const logs = new StoredRaftLogs(options);
    const wal = (): Wal => logs.#openWal;
    for (const name of await disk.names(`${folder}/groups`)) {
      const manifest = await logs.#readGroup(name);
      if (manifest === undefined) continue;
      logs.#logs.set(manifest.config.uid, new StoredGroupLog(manifest, wal));
    }
    await logs.#recover(options);
    return logs;
  }

  get #openWal(): Wal {
    if (this.#wal === undefined) {
      throw new WhorlError("closed", "Cannot use Raft logs that are closed");
    }
    return this.#wal;
  }

  async #recover({ walBytesMax }: RaftLogsOptions): Promise<void> {
    const folder = this.#folder;
    const environment = this.#environment;
    const replay = new Replay(this.#logs);
    const found = await readWal(environment, folder, replay);
    if (replay.wasLost) {
      for (const log of this.#logs.values()) log.noteDamage();
    }
    const unsure = found.unsure;
    const mark = await WatermarkFile.open(`${folder}/${MARK_NAME}`, {
      storeId: found.storeId,
      epoch: found.oldestFile,
      commit: found.nextBatch - 1,
    }, environment);
    const closed = found.files.map(({ number, path, lastBatch }): WalFile => ({
      number,
      path,
      firstBatch: 1,
      lastBatch,
      groups: replay.files.get(number) ?? new Map(),
    }));
    this.#wal = await Wal.open(environment, {
      folder,
      storeId: found.storeId,
      mark,
      oldestFile: found.oldestFile,
      fileNumber: found.nextFile,
      nextBatch: found.nextBatch,
      closed,
      unsure: unsure && { ...unsure, groups: replay.inBatch },
      fileBytesMax: walBytesMax ?? WAL_BYTES_MAX,
      closedFilesMax: Infinity,
      onClosed: () => {},
      onFailed: (error) => {
        for (const log of this.#logs.values()) log.onFailed(error);
      },
    });
  }

  #folderOf(uid: number | string): string {
    return `${this.#folder}/groups/${uid}`;
  }

  /** The manifest of a group; one that is half made or half removed is removed. */
  async #readGroup(name: string): Promise<GroupManifest | undefined> {
    const { disk } = this.#environment;
    const folder = this.#folderOf(name);
    const path = `${folder}/manifest`;
    const bytes = await disk.readFile(path);
    if (bytes === undefined) {
      await this.#removeFolder(folder);
      return undefined;
    }
    try {
      return decodeManifest(bytes, path);
    } catch (error) {
      if (!isWhorlError(error, "store_corrupt")) throw error;
      const config = await disk.readFile(`${folder}/config`);
      if (config === undefined) throw error;
      return {
        ...decodeManifest(config, `${folder}/config`),
        damaged: true,
      };
    }
  }

  async #removeFolder(folder: string): Promise<void> {
    const { disk } = this.#environment;
    for (const name of await disk.names(folder)) {
      const path = `${folder}/${name}`;
      const entry = await disk.entry(path);
      if (entry?.type === "folder") await this.#removeFolder(path);
      else await disk.remove(path);
    }
    await disk.remove(folder);
  }

  get groups(): readonly GroupConfig[] {
    return [...this.#logs.values()].map(({ config }) => config);
  }

  async create(config: GroupConfig): Promise<void> {
    const { uid } = config;
    const wal = this.#openWal;
    if (this.#logs.has(uid)) {
      throw new WhorlError(
        "already_exists",
        `Cannot create the log of ${config.name} as there is one of number ${uid}`,
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
      nextSegment: 1,
      segments: [],
    };
    const log = new StoredGroupLog(manifest, () => this.#openWal);
    this.#logs.set(uid, log);
    try {
      await disk.makeFolder(folder);
      await disk.syncFolder(`${this.#folder}/groups`);
      const bytes = encodeManifest(manifest);
      await replaceFile(disk, `${folder}/config`, bytes);
      // With this one the group is there.
      await replaceFile(disk, `${folder}/manifest`, bytes);
    } catch (error) {
      this.#logs.delete(uid);
      throw error;
    }
  }

  // deno-lint-ignore require-await
  async open(uid: number, events: GroupLogEvents): Promise<GroupLog> {
    const log = this.#logOf(uid);
    log.open(events);
    return log;
  }

  #logOf(uid: number): StoredGroupLog {
    const log = this.#logs.get(uid);
    if (log === undefined) {
      throw new WhorlError(
        "not_found",
        `Cannot find the log of a group of number ${uid}`,
        { details: { uid } },
      );
    }
    return log;
  }

  async remove(uid: number): Promise<void> {
    const log = this.#logOf(uid);
    if (log.isOpen) {
      throw new WhorlError(
        "invalid_argument",
        `Cannot remove the log of ${log.config.name} as it is open`,
        { details: { group: log.config.name, uid } },
      );
    }
    const { disk } = this.#environment;
    const folder = this.#folderOf(uid);
    // Without its manifest the group is gone, whatever else is left of it.
    await disk.remove(`${folder}/manifest`);
    await disk.syncFolder(folder);
    this.#logs.delete(uid);
    await this.#removeFolder(folder);
  }

  async close(): Promise<void> {
    const wal = this.#openWal;
    for (const log of this.#logs.values()) await log.close();
    this.#wal = undefined;
    await wal.close();
  }
}
