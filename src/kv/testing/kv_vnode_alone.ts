/**
 * For tests: a vnode of `kv` by itself, driven command by command on a disk that
 * forgets what was not committed.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { seededChance } from "../base/chance.ts";
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type {
  Awaitable,
  PartitionStore,
  RowSteps,
  RowView,
  ScanEntry,
  ScanRange,
  StoreWrite,
} from "../environment/storage.ts";
import { answersLater, type Vnode, type VnodeContext } from "../vnode/vnode.ts";
import { WatchedPartition } from "../vnode/watched_partition.ts";
import { contextOf } from "./causal_context.ts";
import { writeStorageKey } from "./key_limits.ts";
import type { KvGet, KvMerge, KvPut } from "./kv_command_codec.ts";
import { readSiblings } from "./kv_object_codec.ts";
import type { KvCoverage } from "./kv_keys.ts";
import kvModule, { type KvCommands } from "./kv_vnode.ts";

/**
 * A disk with a write cache: what is written is seen at once, durable when
 * `commit` is called, and gone if `crash` comes first.
 */
export class CachedDisk {
  #durable = new Map<string, Uint8Array>();
  #cached = new Map<string, Uint8Array>();
  #pending: {
    apply: () => void;
    committed: (error: Error | undefined) => void;
  }[] = [];
  epoch = 0;
  /** Reads answer with a promise. */
  slow = false;
  readonly corrupt = new Set<string>();
  refuse: WhorlError | undefined;
  writes = 0;

  open(): PartitionStore {
    this.epoch++;
    return {
      partition: 0,
      get: (key) => this.#get(key.toHex()),
      write: (writes, committed) => this.#write(writes, committed),
      scan: (range) => this.#scan(range ?? {}),
      rows: (range, visit) => this.#rows(range, visit),
      deleteRange: () => {
        this.#cached.clear();
        this.#durable.clear();
        return Promise.resolve();
      },
      count: () => Promise.resolve(this.#cached.size),
      integrity: () => Promise.reject(new Error("not asked for here")),
    };
  }

  #get(key: string): Awaitable<Uint8Array | undefined> {
    const read = () => {
      if (this.corrupt.has(key)) {
        throw new WhorlError("value_corrupt", "The checksum does not match");
      }
      return this.#cached.get(key);
    };
    return this.slow ? Promise.resolve().then(read) : read();
  }

  #write(
    writes: readonly StoreWrite[],
    committed: (error: Error | undefined) => void,
  ): void {
    if (this.refuse !== undefined) throw this.refuse;
    for (const { key, value } of writes) {
      invariant(value !== null, "kv removes no key");
      const name = key.toHex();
      const copy = value.slice();
      this.writes++;
      this.corrupt.delete(name);
      this.#cached.set(name, copy);
      this.#pending.push({
        apply: () => this.#durable.set(name, copy),
        committed,
      });
    }
  }

  async *#scan(range: ScanRange): AsyncGenerator<ScanEntry> {
    yield* this.#entries(range);
  }

  *#entries(
    { start, end, limit = Infinity, onCorrupt }: ScanRange,
  ): Generator<ScanEntry> {
    let left = limit;
    for (const name of [...this.#cached.keys()].sort()) {
      if (left === 0) return;
      if (start !== undefined && name < start.toHex()) continue;
      if (end !== undefined && name >= end.toHex()) return;
      const key = Uint8Array.fromHex(name);
      if (this.corrupt.has(name) && onCorrupt !== undefined) {
        onCorrupt(key);
        continue;
      }
      left--;
      yield { key, value: this.#cached.get(name)! };
    }
  }

  #rows(range: ScanRange, visit: (row: RowView) => void): RowSteps {
    const entries = this.#entries(range);
    const next = (): boolean => {
      for (let i = 0; i < 256; i++) {
        const { done, value: entry } = entries.next();
        if (done) return false;
        visit({
          keyBytes: entry.key,
          keyStart: 0,
          keyEnd: entry.key.length,
          valueBytes: entry.value,
          valueStart: 0,
          valueEnd: entry.value.length,
        });
      }
      return true;
    };
    return { next: () => this.slow ? Promise.resolve().then(next) : next() };
  }

  commit(): void {
    for (const { apply, committed } of this.#pending.splice(0)) {
      apply();
      committed(undefined);
    }
  }

  failCommit(error: Error): void {
    for (const { committed } of this.#pending.splice(0)) committed(error);
  }

  crash(): void {
    this.#pending = [];
    this.#cached = new Map(this.#durable);
  }
}

/** A vnode, and what it has ended itself for. */
export interface Started {
  readonly vnode: Vnode<KvCommands, KvCoverage>;
  readonly crashes: unknown[];
}

let identities = 0;

/** Starts the vnode of partition 0 on `storage`; each start draws another identity unless told otherwise. */
export async function start(
  storage: PartitionStore,
  durable: boolean,
  epoch: number,
  secretBytes: VnodeContext["secretBytes"] = (count) => {
    const bytes = new Uint8Array(count);
    bytes[0] = ++identities;
    return bytes;
  },
  clock: { wall: number } = { wall: 1234.5 },
): Promise<Started> {
  const crashes: unknown[] = [];
  const log = () => {};
  const vnode = await kvModule.init(0, {
    node: "a@host",
    ringSize: 64,
    storage: new WatchedPartition(storage),
    store: { storeId: "0".repeat(16), epoch, tailLost: false, durable },
    clock: { now: () => 0, wallClock: () => clock.wall },
    chance: seededChance(1),
    secretBytes,
    log: { debug: log, info: log, warn: log, error: log } as never,
    signal: new AbortController().signal,
    pool: () => {
      throw new Error("kv has no pools");
    },
    workers: () => {
      throw new Error("kv has no workers");
    },
    crash: (error) => crashes.push(error),
    link: () => {},
    onClusterEvent: () => () => {},
  });
  return { vnode, crashes };
}

/** Opens the disk once more and starts a vnode on it. */
export function startOn(
  disk: CachedDisk,
  clock?: { wall: number },
): Promise<Started> {
  return start(disk.open(), true, disk.epoch, undefined, clock);
}

/** The key as it is stored. */
export function storageKey(key: string, bucket = "b"): Uint8Array {
  const into = new ByteWriter();
  writeStorageKey(bucket, key, into);
  return into.copy().subarray(2);
}

/** What has been answered to one command so far. */
export interface Answers {
  accepted?: Uint8Array | undefined;
  reply?: Uint8Array | undefined;
  replied: boolean;
  failure?: string;
}

/** Gives the vnode one command; the answers fill in as they come. */
export function ask(
  { vnode }: Started,
  command: keyof KvCommands,
  request: KvGet | KvPut | KvMerge,
): Answers {
  const answers: Answers = { replied: false };
  const handler = vnode.handleCommand[command] as (
    request: unknown,
    call: unknown,
  ) => unknown;
  const reply = (value: Uint8Array | undefined) => {
    answers.reply = value;
    answers.replied = true;
  };
  const result = handler(request, {
    timeLeftMs: 1000,
    accepted: (value: Uint8Array | undefined) => answers.accepted = value,
    reply,
    fail: (failure: string) => answers.failure = failure,
  });
  if (result !== answersLater) reply(result as Uint8Array | undefined);
  return answers;
}

/** A put of `value` by somebody who has read `seen`. */
export function put(value: string, seen?: Uint8Array, key = "k"): KvPut {
  return {
    key: storageKey(key),
    flags: 0,
    context: seen === undefined ? undefined : contextOf(seen),
    value: new TextEncoder().encode(value),
  };
}

/** A get. */
export function get(key = "k"): KvGet {
  return { key: storageKey(key) };
}

/** A merge. */
export function merge(object: Uint8Array, key = "k"): KvMerge {
  return { key: storageKey(key), object };
}

/** The values of an object. */
export function values(object: Uint8Array | undefined): string[] {
  invariant(object !== undefined, "there is an object");
  return readSiblings(object).map(({ value }) =>
    new TextDecoder().decode(value)
  );
}

/** Actor and count of the newest dot of each actor. */
export function dots(object: Uint8Array): string[] {
  const context = contextOf(object);
  const found: string[] = [];
  for (let at = 4; at < context.length; at += 18) {
    found.push(context.subarray(at, at + 18).toHex());
  }
  return found;
}
