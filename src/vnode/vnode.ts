/**
 * What an application implements: a vnode module. It declares its commands, and
 * `init` makes the vnode of one partition. Whorl places partitions on nodes,
 * routes commands to them and moves their data.
 *
 * A vnode handles one command at a time, in order of arrival, and may answer
 * later. If a handler throws, its caller gets `vnode_error` and this vnode
 * alone is restarted.
 *
 * The callbacks are those of riak_core (`riak_core_vnode.erl`).
 *
 * @module
 */
import type { Child } from "../../supervisors/child.ts";
import type { ExitReason } from "../../supervisors/exit_reason.ts";
import type { Chance } from "../base/chance.ts";
import type { Log } from "../environment/log.ts";
import type {
  Awaitable,
  PartitionStore,
  StoreState,
  StoreWrite,
} from "../environment/storage.ts";
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { MailboxBounds } from "./mailbox_bounds.ts";
import type { PoolBounds } from "./pool_queue.ts";
import type { VnodeWorkers, WorkersConfig } from "./pool_workers.ts";
import type { VnodePool } from "./work_pool.ts";

/** The encoding of a value between threads and nodes. */
export interface CommandCodec<T> {
  /** Appends `value`. @throws {WhorlError} `invalid_argument` if it cannot be encoded. */
  encode(value: T, into: ByteWriter): void;
  /** Reads one value up to the end of `from`. @throws {WhorlError} `protocol_error` if the bytes are not a value. */
  decode(from: ByteReader): T;
}

/** A command as a module declares it: its request, its reply and its failures. */
export interface CommandDeclaration<
  Request = unknown,
  Reply = unknown,
  Failure extends string = string,
> {
  /** The encoding of its request. */
  readonly request: CommandCodec<Request>;
  /** The encoding of its reply. */
  readonly reply: CommandCodec<Reply>;
  /** Names of the failures the handler answers with {@linkcode VnodeCall.fail}. */
  readonly failures: readonly Failure[];
}

/** The commands of a module, by name. Their order is part of the wire format. */
// deno-lint-ignore no-explicit-any -- a table holds declarations of any types; they are recovered by inference.
export type VnodeCommands = Record<string, CommandDeclaration<any, any, any>>;

/** The request of a command of type `D`. */
export type RequestOf<D> = D extends
  { readonly request: CommandCodec<infer Request> } ? Request
  : never;
/** The reply of a command of type `D`. */
export type ReplyOf<D> = D extends { readonly reply: CommandCodec<infer Reply> }
  ? Reply
  : never;
/** The failures of a command of type `D`. */
export type FailureOf<D> = D extends
  { readonly failures: readonly (infer Failure extends string)[] } ? Failure
  : never;

/** Returned by a handler that answers through {@linkcode VnodeCall} instead. */
export const answersLater: unique symbol = Symbol("whorl.answersLater");

/** One command being handled, and the way to answer it. */
export interface VnodeCall<D = CommandDeclaration> {
  /** Milliseconds left until the caller stops waiting. */
  readonly timeLeftMs: number;
  /**
   * Answers early with a result that is not durable yet; `reply` must follow.
   * At most once, for commands whose caller asked for it.
   */
  accepted(value: ReplyOf<D>): void;
  /** Answers. The first answer counts. */
  reply(value: ReplyOf<D>): void;
  /** Answers with a declared failure. */
  fail(failure: FailureOf<D>, message: string): void;
  /**
   * Answers with an error: a `WhorlError` as it is, such as `overload` of a
   * pool, anything else as `vnode_error`. The vnode goes on.
   */
  reject(error: unknown): void;
}

/** Handles one command: returns the answer, a promise of it, or {@linkcode answersLater}. */
export type CommandHandler<D> = (
  request: RequestOf<D>,
  call: VnodeCall<D>,
) => Awaitable<ReplyOf<D> | typeof answersLater>;

/**
 * What to do with a command that arrives while the partition is being handed off,
 * if the module has no {@linkcode Vnode.itemAt}.
 *
 * - `apply`: here, as always; for commands that change nothing;
 * - `apply_and_forward`: here, then at the target, and answer when both have;
 * - `forward`: only at the target: the caller is told to ask there;
 * - `drop`: not at all; the caller is told so (`handoff_refused`).
 */
export type HandoffDecision =
  | "apply"
  | "apply_and_forward"
  | "forward"
  | "drop";

/** One item of a partition as a fold visits it. */
export interface HandoffItem {
  /** Position in the order of the fold, compared as bytes; a resumed fold starts after it. */
  readonly sortKey: Uint8Array;
  /** The item in the module's own form. */
  readonly item: unknown;
}

/**
 * The key spaces that a coverage query asks a vnode for; `null` means all. Key
 * space k consists of the keys whose preference list begins with partition k
 * (`partitionOf`). Keys outside must be left out: other vnodes report them, and
 * the caller would get them twice.
 */
export type KeySpaces = ReadonlySet<number> | null;

/** The vnode of one partition. */
export interface Vnode<
  C extends VnodeCommands = VnodeCommands,
  V extends VnodeCommands = VnodeCommands,
> {
  /** One handler a command. */
  readonly handleCommand: { readonly [K in keyof C]: CommandHandler<C[K]> };
  /**
   * One handler a coverage query; yields the chunks of its part of the answer,
   * or promises of them; a chunk need only stay valid until the next is asked
   * for. It is called between commands and then runs concurrently with them,
   * about 64 KiB ahead of its consumer. Its signal fires when no more is
   * wanted. If it throws before that, the caller gets `vnode_error` and this
   * vnode is restarted.
   */
  readonly handleCoverage?: {
    readonly [K in keyof V]: (
      request: RequestOf<V[K]>,
      keySpaces: KeySpaces,
      signal: AbortSignal,
    ) => Iterable<Awaitable<ReplyOf<V[K]>>> | AsyncIterable<ReplyOf<V[K]>>;
  };
  /** Decides what happens to a command during a handoff; not called if there is `itemAt`. @default {apply_and_forward} */
  handleHandoffCommand?(
    command: keyof C & string,
    request: unknown,
  ): HandoffDecision;
  /** Called before a handoff begins; `false` postpones it. @default {true} */
  handoffStarting?(
    target: { node: string; partition: number },
  ): Awaitable<boolean>;
  /** The handoff will not happen now. */
  handoffCancelled?(): Awaitable<void>;
  /** Everything has arrived at the target. */
  handoffFinished?(
    target: { node: string; partition: number },
  ): Awaitable<void>;
  /**
   * Visits every item. It is advanced between commands, a few milliseconds at a
   * time, while the vnode keeps serving: it must yield what was there when it
   * began, and may or may not yield what is written meanwhile. Without
   * {@linkcode Vnode.itemAt} it is advanced only while no handler runs, and
   * must yield each item in its state at that moment, not as of the beginning
   * of the visit and not read ahead: the effects of commands handled before
   * must be included.
   */
  fold(): Iterable<HandoffItem> | AsyncIterable<HandoffItem>;
  /**
   * The current item under `sortKey`, if there is one, even if its write is not
   * durable yet. A module that has this keeps each item in {@linkcode
   * VnodeContext.storage} under its sort key, and merges received items
   * ({@linkcode Vnode.handleHandoffData}). Items that are written while the
   * partition is handed off are then sent again. If items can be removed, leave
   * a tombstone, since a missing item is not sent.
   *
   * @default {commands are sent after the items, see {@linkcode HandoffDecision}}
   */
  itemAt?(sortKey: Uint8Array): Awaitable<HandoffItem | undefined>;
  /**
   * The key space of an item: the first partition of the preference list of its
   * key. Without it the partition cannot be repaired from its neighbours, nor
   * the ring be resized.
   *
   * @param ringSize Partitions of the ring that is meant: this vnode's, or the one it is to become.
   */
  keySpaceOf?(item: HandoffItem, ringSize: number): number;
  /**
   * An item as bytes, or `null` if it is damaged and must be left behind. The
   * bytes are consumed before the next call, so their memory may be reused.
   */
  encodeHandoffItem(item: HandoffItem): Uint8Array | null;
  /**
   * Receives an item that was handed off to this vnode. Merge it, since the
   * same or a newer one may already be here. A module without `itemAt` may
   * overwrite, because a new owner receives items and commands in the order in
   * which they happened; items that a fallback hands back then replace those of
   * the owner. Called in order, even while promises of earlier calls are
   * pending; an item counts as received when its promise resolves. A transfer
   * may start over: an item that was since removed at its source is then still
   * here, unless a tombstone was left.
   */
  handleHandoffData(bytes: Uint8Array): Awaitable<void>;
  /** Whether there is nothing to hand off. */
  isEmpty(): Awaitable<boolean>;
  /** Removes all data of the partition. */
  delete(): Awaitable<void>;
  /** A process that was linked to this vnode by {@linkcode VnodeContext.link} has exited. */
  handleExit?(source: string, reason: ExitReason): Awaitable<void>;
  /** The last call, with why the vnode stops. */
  terminate?(reason: unknown): Awaitable<void>;
}

/** A change in the cluster that vnodes can listen to. */
export type ClusterEvent =
  | { readonly type: "ring_changed"; readonly ringVersion: number }
  | { readonly type: "services_changed"; readonly up: readonly string[] };

/** The storage of a vnode: the keys and values of its partition. */
export interface VnodeStorage extends PartitionStore {
  /**
   * Writes as {@linkcode PartitionStore.write} does, and resolves when the
   * writes are durable. `get` sees them at once.
   *
   * @throws {WhorlError} `invalid_key` or `value_too_large`, with nothing
   * applied. After any other error the content of the store is unknown, so
   * crash the vnode: a handler that awaits this does so, others call {@linkcode
   * VnodeContext.crash}.
   */
  commit(writes: readonly StoreWrite[]): Promise<void>;
}

/** What Whorl gives a vnode; it needs nothing else from its environment. */
export interface VnodeContext {
  /** The node this vnode runs on. */
  readonly node: string;
  /** Partitions in the ring. Constant while this vnode lives: a resized ring has vnodes of its own. */
  readonly ringSize: number;
  /** The keys and values of this partition. */
  readonly storage: VnodeStorage;
  /**
   * The state of the underlying store: identity, epoch, and whether its tail
   * was lost. While `tailLost` is true, acknowledged commits are missing: what
   * the store holds may be outdated, and what it lacks may have existed. The
   * epoch was never used for any earlier version.
   */
  readonly store: StoreState & { readonly durable: boolean };
  /** Monotonic and wall clock, in milliseconds. */
  readonly clock: { now(): number; wallClock(): number };
  /** Seeded chance of this vnode. */
  readonly chance: Chance;
  /** `count` unpredictable bytes that never repeat, for identities. */
  secretBytes(count: number): Uint8Array<ArrayBuffer>;
  /** A log whose lines name the module and the partition. */
  readonly log: Log;
  /** Fires when this vnode must stop. */
  readonly signal: AbortSignal;
  /**
   * The pool that the module has declared under `name`, for work that should
   * not block this vnode.
   *
   * @throws {WhorlError} `invalid_argument`, naming the declared pools, if none
   * has that name.
   */
  pool(name: string): VnodePool;
  /**
   * The workers that the module has declared under `name`, for work that computes.
   *
   * @throws {WhorlError} `invalid_argument`, naming the declared ones, if none
   * has that name.
   */
  workers(name: string): VnodeWorkers;
  /**
   * Crashes this vnode because of an error outside a handler, such as a failed
   * commit. Its callers are answered, and it is restarted.
   */
  crash(error: unknown): void;
  /**
   * Links a process to this vnode. When the process exits, `handleExit` is
   * called with `source`; without a `handleExit`, an abnormal exit crashes this
   * vnode. When the vnode ends first, the process is stopped.
   */
  link(source: string, process: Child): void;
  /** Calls `listener` on every change until the returned function is called. */
  onClusterEvent(listener: (event: ClusterEvent) => void): () => void;
}

/** A vnode module: what `defineVnode` makes and a vnode file exports as its default. */
export interface VnodeModule<
  C extends VnodeCommands = VnodeCommands,
  V extends VnodeCommands = VnodeCommands,
> {
  /** Name of the module and of the service it provides: `^[a-z][a-z0-9_]{0,31}$`. */
  readonly name: string;
  /** Its commands, by name. */
  readonly commands: C;
  /** Its coverage queries, by name. */
  readonly coverage: V;
  /** The bounds of each vnode's mailbox. @default {MAILBOX_BOUNDS_DEFAULT} */
  readonly mailbox?: MailboxBounds;
  /** Pools for long-running work, by name. @default {none} */
  readonly pools?: Readonly<Record<string, PoolBounds>>;
  /** Threads for work that computes, by name. @default {none} */
  readonly workers?: Readonly<Record<string, WorkersConfig>>;
  /** Creates the vnode of `partition`. If it throws, the partition stays down and the error is reported. */
  init(partition: number, context: VnodeContext): Awaitable<Vnode<C, V>>;
}
