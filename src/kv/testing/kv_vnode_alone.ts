/**
 * A vnode of `kv` without a master around it, driven command by command.
 *
 * @module
 */
import { ByteWriter } from "../../base/byte_writer.ts";
import { seededChance } from "../../base/chance.ts";
import { invariant } from "../../base/invariant.ts";
import type { PartitionStore } from "../../environment/storage.ts";
import {
  answersLater,
  type Vnode,
  type VnodeContext,
} from "../../vnode/vnode.ts";
import { WatchedPartition } from "../../vnode/watched_partition.ts";
import { contextOf } from "../causal_context.ts";
import type { CachedDisk } from "./cached_disk.ts";
import { writeStorageKey } from "../key_limits.ts";
import type { KvGet, KvMerge, KvPut } from "../kv_command_codec.ts";
import { readSiblings } from "../kv_object_codec.ts";
import type { KvCoverage } from "../kv_keys.ts";
import kvModule, { type KvCommands } from "../kv_vnode.ts";

/** A running vnode, and the errors it has crashed with. */
export interface Started {
  readonly vnode: Vnode<KvCommands, KvCoverage>;
  readonly crashes: unknown[];
  /** What it has logged: messages and their data. */
  readonly logged: unknown[][];
}

let identities = 0;

/**
 * Starts the vnode of partition 0 on `storage`.
 *
 * @param secretBytes Draws the identity of its dots. @default {another one for each start}
 */
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
  const logged: unknown[][] = [];
  const log = (...line: unknown[]) => void logged.push(line);
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
  return { vnode, crashes, logged };
}

/** Opens the disk, which begins a new epoch, and starts a vnode on it. */
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

/** The answers to one command so far. */
export interface Answers {
  accepted?: Uint8Array | undefined;
  reply?: Uint8Array | undefined;
  replied: boolean;
  failure?: string;
}

/** Sends the vnode one command; the result is filled in as answers come. */
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

/** A put of `value` by a client that has read `seen`. */
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
