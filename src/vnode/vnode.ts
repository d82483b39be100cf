/**
 * What an application implements: a vnode module. It declares its commands,
 * and `init` makes the vnode of one partition. Whorl places partitions on nodes,
 * carries commands to them and moves their data.
 *
 * A vnode handles one command at a time, in the order of arrival, and may
 * answer later. What it throws answers the caller with `vnode_error` and
 * restarts this vnode alone.
 *
 * The callbacks are riak_core's (`riak_core_vnode.erl`), in TypeScript dress.
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

/** How a value crosses threads and networks. */
export interface CommandCodec<T> {
  /** Appends `value`. @throws {WhorlError} `invalid_argument` if it cannot be encoded. */
  encode(value: T, into: ByteWriter): void;
  /** Reads one value up to the end of `from`. @throws {WhorlError} `protocol_error` if the bytes are not one. */
  decode(from: ByteReader): T;
}

/** A command as a module declares it: what it takes, what it answers, how it can fail. */
export interface CommandDeclaration<
  Request = unknown,
  Reply = unknown,
  Failure extends string = string,
> {
  /** How what it takes travels. */
  readonly request: CommandCodec<Request>;
  /** How what it answers travels. */
  readonly reply: CommandCodec<Reply>;
  /** Names of the failures the handler answers with {@linkcode VnodeCall.fail}. */
  readonly failures: readonly Failure[];
}

/** The commands of a module, by name. Their order is part of the wire format. */
// deno-lint-ignore no-explicit-any -- a table holds declarations of any types; they are recovered by inference.
export type VnodeCommands = Record<string, CommandDeclaration<any, any, any>>;

/** What a command of type `D` takes. */
export type RequestOf<D> = D extends
  { readonly request: CommandCodec<infer Request> } ? Request
  : never;
/** What a command of type `D` answers. */
export type ReplyOf<D> = D extends { readonly reply: CommandCodec<infer Reply> }
  ? Reply
  : never;
/** How a command of type `D` can fail. */
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
   * Answers that it cannot be done: a `WhorlError` as it is, such as `overload` of a
   * pool, and anything else as `vnode_error`. The vnode goes on.
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
  /** Where a resumed fold starts after; ordered as bytes. */
  readonly sortKey: Uint8Array;
  /** The item in the module's own form. */
  readonly item: unknown;
}

/**
 * Which key spaces of a partition a coverage query wants; `null` for all of
 * them. Key space k is that of the keys whose first owner is partition k
 * (`partitionOf`): what other vnodes are asked for must be left out, or the
 * caller gets it twice.
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
   * or promises of them, each of which need only be valid until the next is asked
   * for. It is called between commands and then runs beside them, about 64 KiB
   * ahead of who reads. Its signal fires when nobody wants more. What it throws before
   * that answers the caller with `vnode_error` and restarts this vnode.
   */
  readonly handleCoverage?: {
    readonly [K in keyof V]: (
      request: RequestOf<V[K]>,
      keySpaces: KeySpaces,
      signal: AbortSignal,
    ) => Iterable<Awaitable<ReplyOf<V[K]>>> | AsyncIterable<ReplyOf<V[K]>>;
  };
  /** Decides about a command during a handoff; not asked if there is `itemAt`. @default {apply_and_forward} */
  handleHandoffCommand?(
    command: keyof C & string,
    request: unknown,
  ): HandoffDecision;
  /** Asked before a handoff begins; `false` puts it off. @default {true} */
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
   * Visits every item. It is read from between commands, a few milliseconds at a
   * time, while the vnode goes on serving: it must show what was there when it
   * began, and may show what was written meanwhile or not. Without
   * {@linkcode Vnode.itemAt} it is read from while no handler is at work, and must
   * show each item as it is when it is asked for, not as it was when the visit
   * began or as it was read ahead: commands that were handled before go before it.
   */
  fold(): Iterable<HandoffItem> | AsyncIterable<HandoffItem>;
  /**
   * The item under `sortKey` as it is now, if there is one, also when the write that
   * made it so is not durable yet. A module that has this
   * keeps each item in {@linkcode VnodeContext.storage} under its sort key, and
   * takes items in by merging ({@linkcode Vnode.handleHandoffData}). What is written
   * while the partition is handed off is then sent again as items. Where an item
   * can be removed, leave something that says so, as what is not there is not sent.
   *
   * @default {commands are sent after the items, see {@linkcode HandoffDecision}}
   */
  itemAt?(sortKey: Uint8Array): Awaitable<HandoffItem | undefined>;
  /**
   * The key space an item belongs to: the partition that is the first owner of its
   * key. Without it the partition cannot be repaired from its neighbours, nor the
   * ring be resized.
   *
   * @param ringSize Partitions of the ring that is meant: this vnode's, or the one it is to become.
   */
  keySpaceOf?(item: HandoffItem, ringSize: number): number;
  /**
   * An item as bytes, or `null` if it is damaged and must be left behind. The
   * bytes have been used when it is called again, so their memory may be, too.
   */
  encodeHandoffItem(item: HandoffItem): Uint8Array | null;
  /**
   * Takes in an item that was handed off here. Merge it, as the same or a newer one
   * may be here already. A module without `itemAt` may overwrite, as what a new
   * owner is handed comes in the order in which it happened; what one that stood in
   * for the owner hands back then replaces what the owner has. Called in order, also
   * while promises of earlier calls are open; it counts as arrived when its promise
   * resolves. A transfer may begin anew: what was removed at its source since then is
   * still here, unless something was left that says so.
   */
  handleHandoffData(bytes: Uint8Array): Awaitable<void>;
  /** Whether there is nothing to hand off. */
  isEmpty(): Awaitable<boolean>;
  /** Removes all data of the partition. */
  delete(): Awaitable<void>;
  /** A process that was tied to this vnode by {@linkcode VnodeContext.link} has exited. */
  handleExit?(source: string, reason: ExitReason): Awaitable<void>;
  /** The last call, with why the vnode stops. */
  terminate?(reason: unknown): Awaitable<void>;
}

/** A change in the cluster that a vnode may want to know of. */
export type ClusterEvent =
  | { readonly type: "ring_changed"; readonly ringVersion: number }
  | { readonly type: "services_changed"; readonly up: readonly string[] };

/** The storage of a vnode: the keys and values of its partition. */
export interface VnodeStorage extends PartitionStore {
  /**
   * Writes as {@linkcode PartitionStore.write} does, and resolves when that is
   * durable. `get` sees it at once, also before.
   *
   * @throws {WhorlError} `invalid_key` or `value_too_large`, with nothing applied. After anything
   * else nobody knows what is stored, so let it end the vnode: a handler that
   * awaits this does, and others call {@linkcode VnodeContext.crash}.
   */
  commit(writes: readonly StoreWrite[]): Promise<void>;
}

/** What a vnode gets from Whorl; it needs nothing else from the world. */
export interface VnodeContext {
  /** The node this vnode runs on. */
  readonly node: string;
  /** Partitions in the ring; it stays as it is while this vnode lives, for the vnodes of a resized ring are others. */
  readonly ringSize: number;
  /** The keys and values of this partition. */
  readonly storage: VnodeStorage;
  /**
   * What is known of the store behind it: identity, epoch, whether its tail was
   * lost. While `tailLost` is true, commits that had been acknowledged are
   * missing: what is here may be old, and what is not here may have been. The
   * epoch is one that no version made before can bear.
   */
  readonly store: StoreState & { readonly durable: boolean };
  /** Monotonic and wall clock, in milliseconds. */
  readonly clock: { now(): number; wallClock(): number };
  /** Seeded chance of this vnode. */
  readonly chance: Chance;
  /** `count` bytes that cannot be guessed and never repeat, for identities. */
  secretBytes(count: number): Uint8Array<ArrayBuffer>;
  /** A log whose lines name the module and the partition. */
  readonly log: Log;
  /** Fires when this vnode must stop. */
  readonly signal: AbortSignal;
  /**
   * The pool that the module has declared under `name`, for work that this vnode
   * should not stand still for.
   *
   * @throws {WhorlError} `invalid_argument`, naming the pools there are, if it has none of that name.
   */
  pool(name: string): VnodePool;
  /**
   * The workers that the module has declared under `name`, for work that computes.
   *
   * @throws {WhorlError} `invalid_argument`, naming those there are, if it has none of that name.
   */
  workers(name: string): VnodeWorkers;
  /**
   * Ends this vnode because of something found outside a handler, such as a
   * commit that failed. Its callers are answered, and it is started afresh.
   */
  crash(error: unknown): void;
  /**
   * Ties a process to this vnode: when it exits, `handleExit` is told with
   * `source`, or, without one, an abnormal exit ends this vnode too; when the
   * vnode ends first, the process is stopped.
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
  /** What it can be asked, by name. */
  readonly commands: C;
  /** What every vnode can be asked at once, by name. */
  readonly coverage: V;
  /** How much may wait for each of its vnodes. @default {MAILBOX_BOUNDS_DEFAULT} */
  readonly mailbox?: MailboxBounds;
  /** What its vnodes leave to others to do, by the name of the pool. @default {none} */
  readonly pools?: Readonly<Record<string, PoolBounds>>;
  /** What its vnodes leave to other threads to compute, by the name of the workers. @default {none} */
  readonly workers?: Readonly<Record<string, WorkersConfig>>;
  /** Makes the vnode of `partition`. What it throws keeps the partition down and is reported. */
  init(partition: number, context: VnodeContext): Awaitable<Vnode<C, V>>;
}
