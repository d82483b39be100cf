/**
 * The vnode of `kv`: it keeps one versioned object per key. As a coordinator it
 * adds versions (`put`), as a replica it merges those that others made
 * (`merge`).
 *
 * **Dots.** A version is identified by a dot: an actor and a counter. The actor
 * is 8 bytes drawn at random each time a vnode starts, followed by the store's
 * epoch, which is durable before the store opens. So a vnode that crashed
 * between sending a version and committing it never reuses the dot for another
 * version: it comes back as a different actor. The same holds for a store that
 * was restored from a copy and repeats an epoch, and for two partitions of one
 * store that both hold a key. Where a running vnode may lose the counter of a
 * key (a damaged object is overwritten, a partition is deleted), it becomes a
 * different actor at once.
 *
 * **Order.** Reading, changing and writing an object is one step if the store
 * answers at once. If it does not, further changes of that key wait for the
 * first; changes of other keys do not.
 *
 * **Durability.** A change is answered when it is committed, and also when it
 * is applied if the caller asked for an early answer. A failed commit crashes
 * the vnode.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { Awaitable } from "../environment/storage.ts";
import { partitionOf } from "../ring/chash.ts";
import { command, defineVnode, nothingCodec } from "../vnode/define_vnode.ts";
import {
  answersLater,
  type CommandDeclaration,
  type HandoffItem,
  type Vnode,
  type VnodeCall,
  type VnodeContext,
  type VnodeModule,
} from "../vnode/vnode.ts";
import {
  kvFoundCodec,
  type KvGet,
  kvGetCodec,
  type KvMerge,
  kvMergeCodec,
  type KvPut,
  kvPutCodec,
} from "./kv_command_codec.ts";
import { storageKeyParts } from "./key_limits.ts";
import { KvItems } from "./kv_items.ts";
import { keysIn, type KvCoverage, kvCoverage } from "./kv_keys.ts";
import { mergeObjects, writeToObject } from "./kv_object.ts";
import {
  ACTOR_BYTES,
  checkObject,
  entryCount,
  OBJECT_FORMAT,
  U48_MAX,
  writeU32,
} from "./kv_object_codec.ts";

/** How a `kv` command can fail, under the codes of the store and of the object codec. */
export type KvFailure =
  /** The stored object is damaged; another replica can answer, and a merge mends it. */
  | "value_corrupt"
  /** The store has lost commits: what is here may be outdated, and other replicas know. */
  | "tail_lost"
  | "value_too_large"
  | "too_many_siblings"
  | "invalid_context"
  /** Too many writes wait for the disk. */
  | "overload";

const KV_FAILURES: readonly KvFailure[] = [
  "value_corrupt",
  "tail_lost",
  "value_too_large",
  "too_many_siblings",
  "invalid_context",
  "overload",
];

/** The commands of `kv`, by name. */
export type KvCommands = {
  readonly get: CommandDeclaration<KvGet, Uint8Array | undefined, KvFailure>;
  readonly put: CommandDeclaration<KvPut, Uint8Array | undefined, KvFailure>;
  readonly merge: CommandDeclaration<KvMerge, undefined, KvFailure>;
};

/** The commands of `kv`. Their order is their number on the wire: later ones go to the end. */
export const kvCommands: KvCommands = {
  get: command({
    request: kvGetCodec,
    reply: kvFoundCodec,
    failures: KV_FAILURES,
  }),
  put: command({
    request: kvPutCodec,
    reply: kvFoundCodec,
    failures: KV_FAILURES,
  }),
  merge: command({
    request: kvMergeCodec,
    reply: nothingCodec,
    failures: KV_FAILURES,
  }),
};

/** The number of each command on the wire. */
export const KvCommand = { get: 0, put: 1, merge: 2 } as const;

const kvModule: VnodeModule<KvCommands, KvCoverage> = defineVnode({
  name: "kv",
  commands: kvCommands,
  coverage: kvCoverage,
  init: (_partition, context) => new KvVnode(context),
});
export default kvModule;

/** The state of a key: an object, nothing, or a damaged object. */
type Local = Uint8Array | undefined | typeof CORRUPT;
const CORRUPT: unique symbol = Symbol("corrupt");

const decoder = new TextDecoder();

/** The part of a call that both kinds of change need. */
interface Answer<T> {
  accepted(value: T): void;
  reply(value: T): void;
  fail(failure: KvFailure, message: string): void;
}

class KvVnode implements Vnode<KvCommands, KvCoverage> {
  readonly #context: VnodeContext;
  #actor: Uint8Array;
  /** Keys that are being read from disk for a change, with the changes waiting behind it. */
  readonly #reading = new Map<string, (() => void)[]>();
  /** The item that is being handed off; created with the first one. */
  #item: ByteWriter | undefined;
  #written = 0;
  #committed = 0;
  /** Answers that wait until that many writes are committed, in order. */
  readonly #waiting: { until: number; answer: () => void }[] = [];

  constructor(context: VnodeContext) {
    this.#context = context;
    this.#actor = this.#newActor();
  }

  readonly handleCommand: Vnode<KvCommands>["handleCommand"] = {
    get: (request, call) => this.#get(request, call),
    put: (request, call) => {
      this.#change(request, call, coordinate);
      return answersLater;
    },
    merge: (request, call) => {
      this.#change(request, call, mergeIn);
      return answersLater;
    },
  };

  readonly handleCoverage: Required<
    Vnode<KvCommands, KvCoverage>
  >["handleCoverage"] = {
    keys: (bucket, keySpaces, signal) =>
      keysIn(
        this.#context.storage,
        // A copy: the request is a view into its message, which the listing
        // outlives.
        bucket.slice(),
        keySpaces,
        this.#context.ringSize,
        signal,
      ),
  };

  #newActor(): Uint8Array {
    const actor = new Uint8Array(ACTOR_BYTES);
    actor.set(this.#context.secretBytes(8));
    writeU32(actor, 8, this.#context.store.epoch >>> 0);
    return actor;
  }

  #get(
    { key }: KvGet,
    call: VnodeCall<KvCommands["get"]>,
  ): Uint8Array | undefined | typeof answersLater {
    if (this.#context.store.tailLost) {
      call.fail(
        "tail_lost",
        "Cannot say what a key holds as the store has lost its newest commits and has not fetched them yet",
      );
      return answersLater;
    }
    try {
      const found = this.#context.storage.get(key);
      if (!(found instanceof Promise)) return found;
      found.then(
        (object) => call.reply(object),
        (error) => {
          if (isWhorlError(error, "value_corrupt")) failCorrupt(call);
          else this.#context.crash(error);
        },
      );
    } catch (error) {
      if (!isWhorlError(error, "value_corrupt")) throw error;
      failCorrupt(call);
    }
    return answersLater;
  }

  /** Reads the object of `request` and applies `change`, in order with other changes of the key. */
  #change<Request extends KvPut | KvMerge, T>(
    request: Request,
    answer: Answer<T>,
    change: Change<Request, T>,
  ): void {
    if (this.#reading.size > 0) {
      const queue = this.#reading.get(textOf(request.key));
      if (queue !== undefined) {
        const kept = keep(request);
        queue.push(() => this.#change(kept, answer, change));
        return;
      }
    }
    let local: Local | Promise<Uint8Array | undefined>;
    try {
      local = this.#context.storage.get(request.key);
    } catch (error) {
      if (!isWhorlError(error, "value_corrupt")) throw error;
      local = CORRUPT;
    }
    if (local instanceof Promise) {
      this.#changeLater(keep(request), local, answer, change);
    } else this.#apply(request, local, answer, change);
  }

  #changeLater<Request extends KvPut | KvMerge, T>(
    request: Request,
    reading: Promise<Uint8Array | undefined>,
    answer: Answer<T>,
    change: Change<Request, T>,
  ): void {
    const name = textOf(request.key);
    const queue: (() => void)[] = [];
    this.#reading.set(name, queue);
    reading.catch((error): Local => {
      if (isWhorlError(error, "value_corrupt")) return CORRUPT;
      throw error;
    }).then((local) => {
      this.#reading.delete(name);
      this.#apply(request, local, answer, change);
      // Each change reads what the one before it has written; if that takes the
      // disk again, those behind it queue up in the same order.
      for (const next of queue) next();
    }).catch((error) => this.#context.crash(error));
  }

  #apply<Request extends KvPut | KvMerge, T>(
    request: Request,
    local: Local,
    answer: Answer<T>,
    change: Change<Request, T>,
  ): void {
    if (local instanceof Uint8Array && local[0] !== OBJECT_FORMAT) {
      throw new WhorlError(
        "store_format",
        `Cannot change an object of format ${
          local[0]
        } as this version knows format ${OBJECT_FORMAT}`,
      );
    }
    try {
      change(this, request, local, answer);
    } catch (error) {
      const failure = isWhorlError(error)
        ? KV_FAILURES.find((name) => name === error.code)
        : undefined;
      if (failure === undefined) throw error;
      answer.fail(failure, reasonOf(error));
    }
  }

  /** The actor of the next version of this vnode. */
  get actor(): Uint8Array {
    return this.#actor;
  }

  /** A whole number of milliseconds since 1970. */
  now(): number {
    const now = Math.trunc(this.#context.clock.wallClock());
    return Math.max(0, Math.min(U48_MAX, now));
  }

  /** Abandons the present actor. */
  renewActor(): void {
    this.#actor = this.#newActor();
  }

  /**
   * Writes an object, or removes it (`null`); `committed` is called when that
   * is durable, possibly before this returns. Returns whether it was.
   *
   * @throws {WhorlError} What the store refuses, with nothing applied.
   */
  write(
    key: Uint8Array,
    object: Uint8Array | null,
    committed: () => void,
  ): boolean {
    this.#written++;
    const until = this.#written;
    try {
      this.#context.storage.write([{ key, value: object }], (error) => {
        if (error !== undefined) {
          this.#context.crash(error);
          return;
        }
        this.#committed++;
        committed();
        if (this.#waiting.length > 0) this.#answerWaiting();
      });
    } catch (error) {
      this.#written--;
      throw error;
    }
    return this.#committed >= until;
  }

  /** What says that the damaged object of `key` is removed, as no other replica has it. */
  damageDropped(key: Uint8Array): () => void {
    const parts = storageKeyParts(key);
    const names = {
      bucket: decoder.decode(parts.bucket),
      key: decoder.decode(parts.key),
    };
    return () =>
      this.#context.log.warn(
        "A damaged object of which no other replica has anything was removed",
        names,
      );
  }

  /** Calls `answer` when everything written so far is durable. */
  whenCommitted(answer: () => void): void {
    // Commits come in the order of the writes.
    if (this.#committed === this.#written) answer();
    else this.#waiting.push({ until: this.#written, answer });
  }

  #answerWaiting(): void {
    let count = 0;
    while (
      count < this.#waiting.length &&
      this.#waiting[count]!.until <= this.#committed
    ) count++;
    for (const { answer } of this.#waiting.splice(0, count)) answer();
  }

  fold(): AsyncIterable<HandoffItem> {
    return new KvItems(
      this.#context.storage,
      () =>
        this.#context.log.warn("A damaged object is left behind in a handoff"),
    );
  }

  itemAt(sortKey: Uint8Array): Awaitable<HandoffItem | undefined> {
    const itemOf = (object: Uint8Array | undefined): HandoffItem | undefined =>
      object === undefined ? undefined : { sortKey, item: object };
    const left = (error: unknown): undefined => {
      if (!isWhorlError(error, "value_corrupt")) throw error;
      this.#context.log.warn("A damaged object is left behind in a handoff");
    };
    try {
      const found = this.#context.storage.get(sortKey);
      return found instanceof Promise
        ? found.then(itemOf, left)
        : itemOf(found);
    } catch (error) {
      return left(error);
    }
  }

  keySpaceOf({ sortKey }: HandoffItem, ringSize: number): number {
    const { bucket, key } = storageKeyParts(sortKey);
    return partitionOf(bucket, key, ringSize);
  }

  encodeHandoffItem({ sortKey, item }: HandoffItem): Uint8Array | null {
    const object = item as Uint8Array;
    try {
      checkObject(object);
    } catch (error) {
      this.#context.log.warn("An object is left behind in a handoff", {
        reason: reasonOf(error),
      });
      return null;
    }
    const into = this.#item ??= new ByteWriter(256);
    into.clear();
    kvMergeCodec.encode({ key: sortKey, object }, into);
    return into.view();
  }

  handleHandoffData(bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const request = kvMergeCodec.decode(new ByteReader(bytes));
    this.#change(request, {
      accepted: () => {},
      reply: () => resolve(),
      fail: (failure, message) => reject(new WhorlError(failure, message)),
    }, mergeIn);
    return promise;
  }

  async isEmpty(): Promise<boolean> {
    let empty = true;
    // A damaged object is data, too.
    const onCorrupt = () => void (empty = false);
    for await (const _ of this.#context.storage.scan({ limit: 1, onCorrupt })) {
      empty = false;
    }
    return empty;
  }

  async delete(): Promise<void> {
    // The counters of all keys are lost with the objects.
    this.renewActor();
    await this.#context.storage.deleteRange();
  }
}

/** What is done to one key once its object has been read. */
type Change<Request, T> = (
  vnode: KvVnode,
  request: Request,
  local: Local,
  answer: Answer<T>,
) => void;

/** Adds a version to what the key holds here. */
function coordinate(
  vnode: KvVnode,
  { key, flags, context, value }: KvPut,
  local: Local,
  answer: Answer<Uint8Array | undefined>,
): void {
  // Only another replica knows which versions there were, and the counter of
  // this vnode among them.
  if (local === CORRUPT) {
    failCorrupt(answer);
    return;
  }
  const object = writeToObject(local, context, vnode.actor, {
    flags,
    lastModified: vnode.now(),
    value,
  });
  const durable = vnode.write(key, object, () => answer.reply(object));
  if (!durable) answer.accepted(object);
}

/** Merges the object of another replica. */
function mergeIn(
  vnode: KvVnode,
  { key, object }: KvMerge,
  local: Local,
  answer: Answer<undefined>,
): void {
  let merged: Uint8Array | undefined = entryCount(object) === 0
    ? undefined
    : object;
  if (local === CORRUPT) vnode.renewActor();
  // An empty object is what the version before made of a damaged one.
  else if (local !== undefined && entryCount(local) > 0) {
    merged = mergeObjects(local, object);
  }
  if (merged === local) {
    // Nothing to write, but the present object may not be durable yet.
    vnode.whenCommitted(() => answer.reply(undefined));
    return;
  }
  // Only a damaged or an empty object can have nothing in its place.
  const dropped = merged === undefined && local === CORRUPT
    ? vnode.damageDropped(key)
    : undefined;
  const durable = vnode.write(key, merged ?? null, () => {
    dropped?.();
    answer.reply(undefined);
  });
  if (!durable) answer.accepted(undefined);
}

function failCorrupt(answer: Pick<Answer<never>, "fail">): void {
  answer.fail(
    "value_corrupt",
    "Cannot use the stored object as its bytes do not match their checksum",
  );
}

/** A copy of a request, which outlives the message it came in. */
function keep<Request extends KvPut | KvMerge>(request: Request): Request {
  const kept: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(request)) {
    kept[name] = part instanceof Uint8Array ? part.slice() : part;
  }
  return kept as unknown as Request;
}

/** Bytes as a map key. */
function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    text += String.fromCharCode(bytes[i] as number);
  }
  return text;
}
