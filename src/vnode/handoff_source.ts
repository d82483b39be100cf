/**
 * A vnode that hands its data off: it visits all its items in their order and
 * says them in batches, as fast as they are asked for, while it goes on serving.
 * What is written meanwhile follows, so that in the end little is left; for that
 * the vnode stands still, and when it goes on the target has everything.
 *
 *     sending ── nearly all ──► asked to switch ── quiet ──► switching ── the rest ──► finished
 *        ▲                            └── given up: goes on serving ──┘
 *        └── the target is lost: batches it has not acknowledged are kept and said again
 *
 * How writes follow is up to the module. One that has `itemAt` keeps each item
 * under its sort key in its storage: keys that were written are noted, and their
 * items sent as they are by then. Of any other module the commands themselves are
 * sent, in the order in which they were applied among the items, and answered
 * when the target has them.
 *
 * Nothing here takes longer than {@linkcode HANDOFF_SLICE_MS} at a time.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Write } from "../environment/storage.ts";
import {
  appendEntry,
  beginBatch,
  HandoffEntry,
  HandoffMode,
  type HandoffOpening,
  HandoffProgress,
  nextHash,
  sealBatch,
  TOTAL_UNKNOWN,
  writeBatchHead,
} from "./handoff_codec.ts";
import type { HandoffItem, Vnode } from "./vnode.ts";
import type { WatchedPartition } from "./watched_partition.ts";

/** Entries after which a batch is full. Source: riak_core's `handoff_batch_threshold_count`. */
export const BATCH_ENTRIES_MAX = 500;
/** Bytes after which a batch is full. Source: riak_core's `handoff_batch_threshold`. */
export const BATCH_BYTES_MAX = 1024 * 1024;
/** Longest time for which a batch is gathered before others have their turn, in milliseconds. */
export const HANDOFF_SLICE_MS = 4;
/** How long nothing is said while the module has nothing ready, in milliseconds; then that is said. */
export const HANDOFF_KEEP_ALIVE_MS = 1_000;
/** Written keys that may be left when the vnode is made to stand still. */
export const SWITCH_KEYS_MAX = 256;
/** Rounds of written keys after which it is made to stand still, however many are left. */
const ROUNDS_MAX = 8;
/** How long a transfer must last before its items are counted, in milliseconds: of a short one nobody sees the progress. */
const COUNT_AFTER_MS = 1_000;
/** Commands that may wait to be sent; a further one is not taken until there is room. */
export const FORWARDED_COMMANDS_MAX = 10_000;

/** What a source needs from the vnode around it. */
export interface HandoffSourceHost {
  readonly vnode: Vnode;
  readonly storage: WatchedPartition;
  now(): number;
  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void;
  /** What the module did is no longer to be trusted: the vnode ends. */
  crash(error: unknown): void;
}

/** A batch that was said and not acknowledged. */
interface SaidBatch {
  readonly number: number;
  readonly answer: Uint8Array<ArrayBuffer>;
}

/** A command that was applied here and goes to the target. */
interface ForwardedCommand {
  readonly kind: number;
  readonly command: number;
  readonly content: Uint8Array;
  /** Called when the target has it, or need not. */
  readonly done: () => void;
}

/** Who waits for a batch. */
interface Asker {
  readonly answer: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly fail: (error: WhorlError) => void;
  readonly sinceMs: number;
}

/** A transfer at its source; see the module's text. */
export class HandoffSource {
  readonly transfer: number;
  readonly target: HandoffOpening["target"];
  /** Whether commands are sent, as the module cannot tell what they changed. */
  readonly sendsCommands: boolean;
  readonly #host: HandoffSourceHost;
  readonly #opening: HandoffOpening;
  readonly #startedMs: number;
  readonly #iterator: Iterator<HandoffItem> | AsyncIterator<HandoffItem>;
  #folded = false;
  /** Keys that were written since their items were said, by their bytes as text. */
  #written = new Map<string, Uint8Array>();
  /** The keys of the round under way. */
  #round: Uint8Array[] = [];
  #rounds = 0;
  #commands: ForwardedCommand[] = [];
  /** Said and not acknowledged, by the number of their batch. */
  #unanswered: { readonly batch: number; readonly done: () => void }[] = [];
  #said: SaidBatch[] = [];
  #repeat: SaidBatch[] = [];
  #number = 0;
  #items = 0;
  #bytes = 0;
  #hash = 0;
  #total = TOTAL_UNKNOWN;
  #counting = false;
  #still = false;
  readonly #batch = new ByteWriter(64 * 1024);
  #asker: Asker | undefined;
  #gathering = false;
  #ended = false;

  /**
   * Begins the visit.
   *
   * @throws {WhorlError} `not_capable` if a part of the data is wanted and the
   * module does not say what belongs to it.
   */
  constructor(host: HandoffSourceHost, opening: HandoffOpening) {
    const { vnode, storage } = host;
    if (opening.keySpaces !== null && vnode.keySpaceOf === undefined) {
      throw new WhorlError(
        "not_capable",
        "Cannot hand off a part of the data as the vnode module has no keySpaceOf()",
      );
    }
    this.#host = host;
    this.#opening = opening;
    this.transfer = opening.transfer;
    this.target = opening.target;
    this.#startedMs = host.now();
    const moves = opening.mode === HandoffMode.move;
    this.sendsCommands = moves && vnode.itemAt === undefined;
    if (moves && !this.sendsCommands) {
      storage.watch = (writes) => this.#noted(writes);
    }
    const items = vnode.fold();
    this.#iterator = Symbol.asyncIterator in items
      ? items[Symbol.asyncIterator]()
      : items[Symbol.iterator]();
  }

  /** What this node is to be asked about next time, and what it has said. */
  get opening(): HandoffOpening {
    return this.#opening;
  }

  /** Whether nothing is left to be said. */
  get exhausted(): boolean {
    return this.#folded && this.#written.size === 0 &&
      this.#round.length === 0 && this.#commands.length === 0 &&
      this.#repeat.length === 0;
  }

  #noted(writes: readonly Write[]): void {
    for (const { key } of writes) {
      this.#written.set(textOf(key), key.slice());
    }
  }

  /** From now on nothing is written: what is asked for next is the rest. */
  standsStill(): void {
    this.#still = true;
  }

  /** The vnode serves again before all was said. */
  goesOn(): void {
    this.#still = false;
    this.#rounds = 0;
  }

  /** Whether another command can be taken. */
  get full(): boolean {
    return this.#commands.length >= FORWARDED_COMMANDS_MAX;
  }

  /** Sends what was just applied here, and calls `done` when the target has it, or need not have it. */
  forward(
    kind: number,
    command: number,
    content: Uint8Array,
    done: () => void,
  ): void {
    this.#commands.push({ kind, command, content, done });
    this.#gather();
  }

  /** The target has all batches up to `number`. */
  acknowledged(number: number): void {
    while ((this.#said[0]?.number ?? Infinity) <= number) this.#said.shift();
    while ((this.#unanswered[0]?.batch ?? Infinity) <= number) {
      this.#unanswered.shift()?.done();
    }
  }

  /**
   * Answers with the next batch, or says that there is none yet.
   *
   * @param repeat Whether batches after `acked` must be said again.
   */
  next(
    acked: number,
    repeat: boolean,
    answer: Asker["answer"],
    fail: Asker["fail"],
  ): void {
    this.acknowledged(acked);
    if (repeat) this.#repeat = [...this.#said];
    // Who asks anew does not wait for an earlier answer.
    this.#sayNothing();
    this.#asker = { answer, fail, sinceMs: this.#host.now() };
    this.#keepAlive(this.#asker);
    this.#gather();
  }

  #keepAlive(asker: Asker): void {
    this.#host.later(HANDOFF_KEEP_ALIVE_MS, () => {
      if (this.#asker === asker && !this.#ended) this.#sayNothing();
    });
  }

  /** Answers whoever waits with an empty batch. */
  #sayNothing(): void {
    const asker = this.#asker;
    if (asker === undefined) return;
    this.#asker = undefined;
    asker.answer(this.#answer(new ByteWriter(64), 0, HandoffProgress.waiting));
  }

  /** Gathers a batch for whoever waits, in slices. */
  async #gather(): Promise<void> {
    if (this.#gathering || this.#asker === undefined || this.#ended) return;
    this.#gathering = true;
    try {
      await this.#gatherOne();
    } catch (error) {
      const asker = this.#asker;
      this.#asker = undefined;
      if (!this.#ended) {
        asker?.fail(
          new WhorlError(
            "vnode_error",
            `Cannot hand off a partition: ${reasonOf(error)}`,
          ),
        );
        this.#host.crash(error);
      }
    } finally {
      this.#gathering = false;
    }
  }

  async #gatherOne(): Promise<void> {
    const again = this.#repeat.shift();
    if (again !== undefined) {
      const asker = this.#asker as Asker;
      this.#asker = undefined;
      asker.answer(again.answer);
      return;
    }
    const batch = this.#batch;
    beginBatch(batch);
    let entries = 0;
    const until = this.#host.now() + HANDOFF_SLICE_MS;
    const done: (() => void)[] = [];
    const add = (kind: number, command: number, content: Uint8Array): void => {
      appendEntry(batch, kind, command, content);
      entries++;
    };
    const full = (): boolean =>
      entries >= BATCH_ENTRIES_MAX || batch.length >= BATCH_BYTES_MAX ||
      this.#host.now() >= until;
    while (!full()) {
      // What was applied after the items before it goes before those after it.
      const command = this.#commands.shift();
      if (command !== undefined) {
        add(command.kind, command.command, command.content);
        done.push(command.done);
        continue;
      }
      const item = await this.#nextItem();
      if (this.#ended) return;
      if (item === undefined) break;
      const content = this.#encoded(item);
      if (content === undefined) continue;
      add(HandoffEntry.item, 0, content);
    }
    if (entries === 0 && !this.#folded) {
      // Nothing of what there was in this slice is wanted.
      this.#host.later(0, () => void this.#gather());
      return;
    }
    this.#items += entries;
    const asker = this.#asker;
    if (entries > 0) {
      this.#number++;
      this.#bytes += batch.length;
      this.#hash = nextHash(
        this.#hash,
        sealBatch(batch, this.#number, entries),
      );
      for (const each of done) {
        this.#unanswered.push({ batch: this.#number, done: each });
      }
    } else sealBatch(batch, this.#number, 0);
    const answer = this.#answer(batch, entries, this.#progress());
    if (entries > 0) this.#said.push({ number: this.#number, answer });
    // It may have been told meanwhile that nothing was ready; then it asks again
    // and gets this batch, which nobody has acknowledged.
    if (asker === undefined) {
      if (entries > 0) this.#repeat.push(this.#said.at(-1) as SaidBatch);
    } else {
      this.#asker = undefined;
      asker.answer(answer);
    }
    this.#countLater();
  }

  #progress(): number {
    if (this.#still) {
      return this.exhausted ? HandoffProgress.nearlyAll : HandoffProgress.more;
    }
    const left = this.#written.size + this.#round.length +
      this.#commands.length;
    return this.#folded &&
        (left <= SWITCH_KEYS_MAX || this.#rounds > ROUNDS_MAX)
      ? HandoffProgress.nearlyAll
      : HandoffProgress.more;
  }

  /** What is said with a batch. `batch` is empty if there is none. */
  #answer(
    batch: ByteWriter,
    entries: number,
    progress: number,
  ): Uint8Array<ArrayBuffer> {
    if (entries === 0) {
      beginBatch(batch);
      sealBatch(batch, this.#number, 0);
    }
    const answer = new ByteWriter(64 + batch.length);
    writeBatchHead(answer, {
      progress,
      items: this.#items,
      bytes: this.#bytes,
      hash: this.#hash,
      total: this.#total,
    });
    answer.raw(batch.view());
    return answer.view();
  }

  /** The next item there is: of the visit, then of what was written meanwhile. */
  async #nextItem(): Promise<HandoffItem | undefined> {
    while (!this.#folded) {
      const next = this.#iterator.next();
      // One that is ready costs no turn.
      const { done, value } = next instanceof Promise ? await next : next;
      if (!done) return value;
      this.#folded = true;
    }
    for (;;) {
      const key = this.#round.pop() ?? this.#nextRound();
      if (key === undefined) return undefined;
      const item = await this.#host.vnode.itemAt?.(key);
      if (item !== undefined) return item;
    }
  }

  #nextRound(): Uint8Array | undefined {
    if (this.#written.size === 0) return undefined;
    // Before the vnode stands still a few are left for then: each may be
    // written again.
    if (!this.#still && this.#written.size <= SWITCH_KEYS_MAX) return undefined;
    if (!this.#still && ++this.#rounds > ROUNDS_MAX) return undefined;
    this.#round = [...this.#written.values()];
    this.#written.clear();
    return this.#round.pop();
  }

  /** An item as bytes, if the target is to have it. */
  #encoded(item: HandoffItem): Uint8Array | undefined {
    const { vnode } = this.#host;
    const { keySpaces } = this.#opening;
    if (keySpaces !== null) {
      const keySpace = vnode.keySpaceOf?.(item);
      if (keySpace === undefined || !keySpaces.has(keySpace)) return undefined;
    }
    return vnode.encodeHandoffItem(item) ?? undefined;
  }

  /** Counts items once the transfer has lasted long enough for somebody to look. */
  #countLater(): void {
    if (
      this.#counting || this.#opening.keySpaces !== null ||
      this.#host.now() - this.#startedMs < COUNT_AFTER_MS
    ) return;
    this.#counting = true;
    // A total that cannot be had is not shown, that is all.
    this.#host.storage.count().then((count) => {
      if (count > 0) this.#total = count;
    }, () => {});
  }

  /** Ends the transfer here. Commands that wait for the target are answered. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.storage.watch = undefined;
    this.#sayNothing();
    for (const { done } of this.#unanswered.splice(0)) done();
    for (const { done } of this.#commands.splice(0)) done();
    // An iterator that waits for its module ends when that answers.
    const closed = this.#iterator.return?.();
    if (closed instanceof Promise) closed.catch(() => {});
  }
}

function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    text += String.fromCharCode(bytes[i] as number);
  }
  return text;
}
