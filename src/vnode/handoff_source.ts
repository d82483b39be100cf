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
 * Where the ring gets another size, a vnode spreads its data over many others. That
 * begins long before the ring changes: once nearly all is said, what is written
 * follows at once, until the vnode is made to stand still. Before the ring changes
 * the source vouches for it that all that was acknowledged is there.
 *
 * Nothing here takes longer than {@linkcode HANDOFF_SLICE_MS} at a time.
 *
 * @module
 */
import { bytesToText, textToBytes } from "../base/byte_text.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Awaitable, StoreWrite } from "../environment/storage.ts";
import {
  appendEntry,
  beginBatch,
  ENTRY_HEADER_BYTES,
  HandoffEntry,
  HandoffMode,
  type HandoffOpening,
  HandoffProgress,
} from "./handoff_codec.ts";
import { SaidBatches } from "./said_batches.ts";
import { SpreadGroups, spreadTo } from "./handoff_spread.ts";
import type { BackgroundPace } from "./background_pace.ts";
import type { FollowedWrites } from "./followed_writes.ts";
import type { HandoffItem, Vnode } from "./vnode.ts";
import type { WatchedPartition } from "./watched_partition.ts";

/** Entries after which a batch is full. Source: riak_core's `handoff_batch_threshold_count`. */
export const BATCH_ENTRIES_MAX = 500;
/** Most bytes of a batch, unless a single entry has more. Source: riak_core's `handoff_batch_threshold`. */
export const BATCH_BYTES_MAX = 1024 * 1024;
/** How long a write waits for others before it follows, where all was said, in milliseconds. */
export const FOLLOW_MS = 2;
/** Longest time for which a batch is gathered before others have their turn, in milliseconds. */
export const HANDOFF_SLICE_MS = 2;
/** Longest time a batch is gathered, turns of others included, in milliseconds: each costs six hops between threads and nodes, however little is in it. */
export const HANDOFF_GATHER_MS = 50;
/** How long nothing is said while the module has nothing ready, in milliseconds; then that is said. */
export const HANDOFF_KEEP_ALIVE_MS = 1_000;
/** Written keys that may be left when the vnode is made to stand still. */
export const SWITCH_KEYS_MAX = 256;
/** Written keys after which those are sent before the visit goes on, so that they do not pile up behind a long one. */
export const ROUND_KEYS_MAX = 10_000;
/** Written keys that are remembered. With more, while the target is away, the transfer is given up and begins anew when it is back. */
export const WRITTEN_KEYS_MAX = 100_000;
/** Rounds of written keys after which it is made to stand still, however many are left. */
const ROUNDS_MAX = 8;
/** How long a transfer must last before its items are counted, in milliseconds: that reads them all once more, and of a short one nobody sees the progress. */
export const COUNT_AFTER_MS = 5_000;
/** First and longest time for which items are let be after no moment was found to read them, in milliseconds; doubled in between, as the vnode serves nobody while one is waited for. */
export const REST_MS_MIN = 50;
/** See {@linkcode REST_MS_MIN}. */
export const REST_MS_MAX = 10_000;
/** Commands that may wait to be sent; a further one is not taken until there is room. */
export const FORWARDED_COMMANDS_MAX = 10_000;

/** Stands for an item that the target is not to have, or that is gone. */
const unwanted: unique symbol = Symbol("unwanted");

/** What a source needs from the vnode around it. */
export interface HandoffSourceHost {
  /** The vnode's partition, and how many its ring has. */
  readonly partition: number;
  readonly ringSize: number;
  readonly vnode: Vnode;
  readonly storage: WatchedPartition;
  /** What of its writes is held until it has arrived. */
  readonly followed: FollowedWrites;
  now(): number;
  /** How fast it may go. */
  readonly pace: BackgroundPace;
  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void;
  /** What the module did is no longer to be trusted: the vnode ends. */
  crash(error: unknown): void;
  /** Does `what` while no handler is at work and none begins; false if that cannot be. */
  whileQuiet(what: () => Promise<void>): Promise<boolean>;
  /** More was written than can be remembered: end the transfer, as it must begin anew. */
  overrun(): void;
}

/** What goes into a batch: an item, or a command that was applied here. */
interface SourceEntry {
  readonly kind: number;
  readonly command: number;
  readonly content: Uint8Array;
  /** Vnodes it goes to, in a spread. */
  readonly targets?: readonly number[];
  /** Called when the target has it, or need not; items have nobody who waits. */
  readonly done: (() => void) | undefined;
}

/** Who waits for a batch. */
interface Asker {
  readonly answer: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly fail: (error: WhorlError) => void;
}

/** A transfer at its source; see the module comment. */
export class HandoffSource {
  readonly transfer: number;
  readonly target: HandoffOpening["target"];
  /** Whether commands are sent, as the module cannot tell what they changed. */
  readonly sendsCommands: boolean;
  readonly #host: HandoffSourceHost;
  /** Whether items stand under their sort keys, and are removed when all were sent. */
  readonly #removesItems: boolean;
  readonly #opening: HandoffOpening;
  readonly #startedMs: number;
  readonly #iterator: Iterator<HandoffItem> | AsyncIterator<HandoffItem>;
  #folded = false;
  /** Keys that were written since their items were said; their bytes as text. */
  readonly #written = new Set<string>();
  /** The keys of the round under way, likewise. */
  #round: string[] = [];
  #rounds = 0;
  #commands: SourceEntry[] = [];
  /** Commands of the batch being gathered. */
  #gathered: SourceEntry[] = [];
  /** An entry that did not fit in the batch before. */
  #carried: SourceEntry | undefined;
  /** Called when there is room for commands. */
  #untilRoom: (() => void)[] = [];
  readonly #batches = new SaidBatches();
  #counting = false;
  #still = false;
  /** Whether commands had the last batch for themselves. */
  #commandsHadTurn = false;
  /** Until when items are let be, and how often that has been so in a row. */
  #restUntilMs = 0;
  #rests = 0;
  readonly #followed: FollowedWrites;
  /** Who waits until all that was written by then is with the targets. */
  readonly #vouches = new Set<PromiseWithResolvers<void>>();
  /** Whether what was written is said however little it is: the vnode is to stand still as soon as all that is held was told. */
  #hurries = false;
  readonly #batch = new ByteWriter();
  readonly #groups: SpreadGroups | undefined;
  /** Whether it was told that nearly all was said: what is written follows at once then. */
  #follows = false;
  #followsSoon = false;
  #asker: Asker | undefined;
  #gathering = false;
  /** When the slice under way began. */
  #sliceMs = 0;
  #ended = false;

  /**
   * Begins the visit.
   *
   * @throws {WhorlError} `not_capable` if a part of the data is wanted, or all of
   * it is to be spread, and the module does not say what belongs where.
   */
  constructor(host: HandoffSourceHost, opening: HandoffOpening) {
    const { vnode, storage } = host;
    if (opening.keySpaces !== null && vnode.keySpaceOf === undefined) {
      throw new WhorlError(
        "not_capable",
        "Cannot hand off a part of the data as the vnode module has no keySpaceOf()",
      );
    }
    if (
      opening.spread !== undefined &&
      (vnode.keySpaceOf === undefined || vnode.itemAt === undefined)
    ) {
      throw new WhorlError(
        "not_capable",
        "Cannot resize the ring as the vnode module must have keySpaceOf() and itemAt()",
      );
    }
    this.#groups = opening.spread === undefined
      ? undefined
      : new SpreadGroups();
    this.#host = host;
    this.#followed = host.followed;
    this.#opening = opening;
    this.transfer = opening.transfer;
    this.target = opening.target;
    this.#startedMs = host.now();
    const moves = opening.mode !== HandoffMode.copy;
    this.sendsCommands = moves && vnode.itemAt === undefined;
    const items = vnode.fold();
    this.#iterator = Symbol.asyncIterator in items
      ? items[Symbol.asyncIterator]()
      : items[Symbol.iterator]();
    this.#removesItems = moves && !this.sendsCommands;
    storage.forgetSent();
    if (this.#removesItems) {
      const noted: typeof storage.watch = (writes) => this.#noted(writes);
      storage.watch = noted;
    }
    if (this.#groups !== undefined) {
      this.#followed.transferBegins();
      for (const key of this.#followed.keys) this.#written.add(key);
    }
  }

  /** What this node is to be asked about next time, and what it has said. */
  get opening(): HandoffOpening {
    return this.#opening;
  }

  /** Whether nothing is left to be said. */
  get exhausted(): boolean {
    return this.#folded && this.#left === 0 && !this.#batches.someRepeat;
  }

  /** What is known to be left besides the visit. */
  get #left(): number {
    return this.#written.size + this.#round.length + this.#commands.length +
      this.#gathered.length + Number(this.#carried !== undefined);
  }

  #noted(writes: readonly StoreWrite[]): void {
    for (const { key } of writes) this.#written.add(bytesToText(key));
    if (this.#follows) this.#followSoon();
    if (this.#written.size + this.#round.length > WRITTEN_KEYS_MAX) {
      this.#host.overrun();
    }
  }

  /** Writes that come together follow together. */
  #followSoon(): void {
    if (this.#followsSoon || this.#asker === undefined) return;
    this.#followsSoon = true;
    this.#host.later(FOLLOW_MS, () => {
      this.#followsSoon = false;
      void this.#gather();
    });
  }

  /**
   * Resolves when all that was written by now is with the targets of the spread.
   *
   * @throws {WhorlError} `handoff_mismatch` if the transfer ends before, or writes are not held any more.
   */
  vouch(): Promise<void> {
    const vouch = Promise.withResolvers<void>();
    if (this.#ended) vouch.reject(cannotVouch());
    else {
      this.#vouches.add(vouch);
      if (this.#folded) this.#mark(vouch);
    }
    return vouch.promise;
  }

  #mark(vouch: PromiseWithResolvers<void>): void {
    this.#followed.mark(() => {
      this.#vouches.delete(vouch);
      vouch.resolve();
    });
    if (this.#gathering) return;
    this.#roundSaid();
    void this.#gather();
  }

  /** Vouches for nothing that it has not vouched for yet. */
  refuseVouches(): void {
    for (const { reject } of this.#vouches) reject(cannotVouch());
    this.#vouches.clear();
  }

  /** All of the visit has been said, so that a round says the rest. */
  #endVisit(): void {
    this.#folded = true;
    for (const vouch of this.#vouches) this.#mark(vouch);
  }

  /** What has been gathered has been said: tells whether that was all of a round. */
  #roundSaid(): void {
    if (this.#groups === undefined) return;
    if (this.#written.size === 0) this.#followed.roundBegins();
    if (this.#round.length === 0 && this.#carried === undefined) {
      this.#followed.roundSaid(this.#batches.number);
    }
  }

  /** The vnode is being made to stand still, once its writes have been told. */
  comesToStand(): void {
    this.#hurries = true;
    if (this.#written.size > 0) void this.#gather();
  }

  /** From now on nothing is written: what is asked for next is the rest. */
  standsStill(): void {
    this.#still = true;
    this.#follows = false;
    void this.#gather();
  }

  /** The vnode serves again before all was said. */
  goesOn(): void {
    this.#still = false;
    this.#hurries = false;
    this.#follows = false;
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
    if (this.#ended) return done();
    this.#commands.push({ kind, command, content, done });
    this.#gather();
  }

  /** Resolves when another command can be taken; at once if one can. */
  async room(): Promise<void> {
    while (this.full && !this.#ended) {
      await new Promise<void>((resolve) => this.#untilRoom.push(resolve));
    }
  }

  /** The target has all batches up to `number`. */
  acknowledged(number: number): void {
    if (this.#groups !== undefined) this.#followed.acknowledged(number);
    this.#batches.acknowledged(number);
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
    if (repeat) {
      this.#batches.repeatAll();
      this.#follows = false;
    }
    // Who asks anew does not wait for an earlier answer.
    this.#sayNothing();
    // What was said before goes before what is being gathered.
    const again = this.#batches.again();
    if (again !== undefined) {
      // How much is left is another matter by now.
      again[0] = this.#progress();
      answer(again);
      return;
    }
    this.#asker = { answer, fail };
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
    asker.answer(this.#batches.answer(HandoffProgress.waiting, undefined));
  }

  /** Gathers a batch for whoever waits, in slices. */
  async #gather(): Promise<void> {
    if (this.#gathering || this.#asker === undefined || this.#ended) return;
    const host = this.#host;
    const beganMs = host.now();
    const waitMs = this.#waitMs(beganMs);
    if (waitMs > 0) {
      host.later(waitMs, () => void this.#gather());
      return;
    }
    this.#gathering = true;
    this.#sliceMs = beganMs;
    try {
      await this.#gatherOne();
      this.#endSlice(host.now());
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
    beginBatch(this.#batch);
    const entries = this.sendsCommands && !this.#folded
      ? await this.#fillBetweenCommands()
      : await this.#fill(true);
    if (this.#ended) return;
    if (entries === undefined) return;
    // Whoever follows is told when something is written.
    if (entries === 0 && this.#follows) return this.#roundSaid();
    this.#sayBatch(entries);
  }

  /**
   * Of an item that is read while a command is at work nobody knows whether it
   * shows what that does: before or after it, one of them would be wrong. Items are
   * read in between, and commands, whose callers wait, go without waiting for that.
   *
   * @returns How many entries there are; `undefined` if nothing is ready.
   */
  async #fillBetweenCommands(): Promise<number | undefined> {
    const rests = this.#host.now() < this.#restUntilMs;
    if (rests || (this.#commands.length > 0 && !this.#commandsHadTurn)) {
      this.#commandsHadTurn = true;
      return await this.#fill(false) || undefined;
    }
    this.#commandsHadTurn = false;
    let entries = 0;
    const quiet = await this.#host.whileQuiet(async () => {
      entries = await this.#fill(true);
    });
    if (quiet) {
      this.#rests = 0;
      return entries;
    }
    this.#restUntilMs = this.#host.now() +
      Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** Math.min(20, this.#rests++));
    return await this.#fill(false) || undefined;
  }

  /** Puts what is ready into the batch; returns how many entries that are. */
  async #fill(visits: boolean): Promise<number> {
    const batch = this.#batch;
    let entries = 0;
    // Whoever waits for a command is not to wait for the turns of others as well.
    const until = this.#host.now() +
      (this.sendsCommands ? HANDOFF_SLICE_MS : HANDOFF_GATHER_MS);
    while (entries < BATCH_ENTRIES_MAX && batch.length < BATCH_BYTES_MAX) {
      const nowMs = this.#host.now();
      if (nowMs >= until) break;
      if (nowMs >= this.#sliceMs + HANDOFF_SLICE_MS) {
        this.#endSlice(nowMs);
        // A small batch keeps commands at the target waiting for less.
        if (entries > 0 && this.#host.pace.disturbs) break;
        await this.#turn(nowMs);
        if (this.#ended) return entries;
      }
      let next: SourceEntry | typeof unwanted | undefined = this.#carried ??
        this.#nextCommand();
      if (next === undefined && visits) {
        const entry = this.#nextItemEntry();
        // One that is ready costs no turn.
        next = entry instanceof Promise ? await entry : entry;
        if (this.#ended) return entries;
      }
      this.#carried = undefined;
      if (next === undefined) break;
      if (next === unwanted) continue;
      const { content } = next;
      const length = batch.length + ENTRY_HEADER_BYTES + content.length;
      if (entries > 0 && length > BATCH_BYTES_MAX) {
        // The module may use the memory of its bytes again for the next item.
        this.#carried = { ...next, content: content.slice() };
        break;
      }
      entries++;
      appendEntry(batch, next.kind, next.command, content);
      for (const vnode of next.targets ?? []) {
        this.#groups?.add(vnode, next.kind, next.command, content);
      }
      if (next.done !== undefined) this.#gathered.push(next);
    }
    return entries;
  }

  #endSlice(nowMs: number): void {
    this.#host.pace.worked(this.#sliceMs, nowMs);
    this.#sliceMs = nowMs;
  }

  /** Lets others have their turn between two slices. */
  async #turn(nowMs: number): Promise<void> {
    const host = this.#host;
    const waitMs = this.#waitMs(nowMs);
    await new Promise<void>((resolve) => host.later(waitMs, resolve));
    this.#sliceMs = host.now();
  }

  /** How long the next slice has to wait. Whose vnode stands still is in a hurry. */
  #waitMs(nowMs: number): number {
    return this.#still ? 0 : this.#host.pace.waitMs(nowMs);
  }

  #sayBatch(entries: number): void {
    const batch = this.#batch;
    if (entries === 0 && !this.#folded) {
      // Nothing of what there was in this slice is wanted.
      this.#host.later(0, () => void this.#gather());
      return;
    }
    const asker = this.#asker;
    if (entries > 0) {
      const byteCount = batch.length;
      if (this.#groups !== undefined) {
        // The entries themselves stand in the groups.
        beginBatch(batch);
        this.#groups.writeTo(batch);
      }
      const gathered = this.#gathered.splice(0);
      this.#batches.seal(
        batch,
        entries,
        byteCount,
        gathered.map(({ done }) => done as () => void),
      );
    }
    this.#roundSaid();
    const answer = this.#batches.answer(
      this.#progress(),
      entries > 0 ? batch : undefined,
    );
    // It may have been told meanwhile that nothing was ready; then it asks again
    // and gets this batch, which nobody has acknowledged.
    if (entries > 0) this.#batches.keep(answer, asker !== undefined);
    if (asker !== undefined) {
      this.#asker = undefined;
      this.#follows = this.#groups !== undefined && !this.#still &&
        answer[0] === HandoffProgress.nearlyAll;
      asker.answer(answer);
    }
    this.#countLater();
  }

  #progress(): number {
    if (this.#still) {
      return this.exhausted ? HandoffProgress.nearlyAll : HandoffProgress.more;
    }
    const little = this.#folded &&
      (this.#left <= SWITCH_KEYS_MAX || this.#rounds > ROUNDS_MAX);
    return little ? HandoffProgress.nearlyAll : HandoffProgress.more;
  }

  /** What was applied after the items before it goes before those after it. */
  #nextCommand(): SourceEntry | undefined {
    const command = this.#commands.shift();
    if (command !== undefined && !this.full) {
      for (const resolve of this.#untilRoom.splice(0)) resolve();
    }
    return command;
  }

  #nextItemEntry(): Awaitable<SourceEntry | typeof unwanted | undefined> {
    const item = this.#nextItem();
    return item instanceof Promise
      ? item.then((item) => this.#entryOf(item))
      : this.#entryOf(item);
  }

  #entryOf(
    item: HandoffItem | typeof unwanted | undefined,
  ): SourceEntry | typeof unwanted | undefined {
    if (item === undefined || item === unwanted) return item;
    const content = this.#encoded(item);
    return content === undefined ? unwanted : {
      kind: HandoffEntry.item,
      command: 0,
      content,
      ...this.#targetsOf(item),
      done: undefined,
    };
  }

  /** Where an item goes in a spread. */
  #targetsOf(item: HandoffItem): Pick<SourceEntry, "targets"> {
    const { spread } = this.#opening;
    const { vnode, partition, ringSize } = this.#host;
    if (spread === undefined) return {};
    const before = vnode.keySpaceOf?.(item, ringSize) as number;
    const after = vnode.keySpaceOf?.(item, spread.ringSize) as number;
    return {
      targets: spreadTo(
        { partition, ringSize },
        before,
        after,
        spread.ringSize,
      ).map((target) => spread.firstVnode + target),
    };
  }

  /** The next item there is: of the visit, then of what was written meanwhile. */
  #nextItem(): Awaitable<HandoffItem | typeof unwanted | undefined> {
    const mayVisit = this.#round.length === 0 &&
      this.#written.size < ROUND_KEYS_MAX;
    if (this.#folded || !mayVisit) return this.#nextWritten();
    const next = this.#iterator.next();
    return next instanceof Promise
      ? next.then((visited) => this.#visited(visited))
      : this.#visited(next);
  }

  #visited(
    { done, value }: IteratorResult<HandoffItem>,
  ): Awaitable<HandoffItem | typeof unwanted | undefined> {
    if (!done) {
      if (this.#removesItems) this.#host.storage.noteSent(value.sortKey);
      return value;
    }
    this.#endVisit();
    return this.#nextWritten();
  }

  /** The next item of what was written meanwhile. */
  #nextWritten(): Awaitable<HandoffItem | typeof unwanted | undefined> {
    const key = this.#round.pop() ?? this.#nextRound();
    if (key === undefined) return undefined;
    const item = this.#host.vnode.itemAt?.(textToBytes(key));
    return item instanceof Promise
      ? item.then((item) => item ?? unwanted)
      : item ?? unwanted;
  }

  #nextRound(): string | undefined {
    if (this.#written.size === 0) return undefined;
    // Before the vnode stands still a few are left for then: each may be
    // written again.
    const waits = this.#folded && !this.#still && !this.#hurries &&
      !this.#followed.holds;
    if (waits) {
      if (this.#written.size <= SWITCH_KEYS_MAX && !this.#follows) {
        return undefined;
      }
      if (++this.#rounds > ROUNDS_MAX && !this.#follows) return undefined;
    }
    this.#round = [...this.#written];
    this.#written.clear();
    if (this.#groups !== undefined) this.#followed.roundBegins();
    return this.#round.pop();
  }

  /** An item as bytes, if the target is to have it. */
  #encoded(item: HandoffItem): Uint8Array | undefined {
    const { vnode } = this.#host;
    const { keySpaces } = this.#opening;
    if (keySpaces !== null) {
      const keySpace = vnode.keySpaceOf?.(item, this.#host.ringSize);
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
      if (count > 0) this.#batches.total = count;
    }, () => {});
  }

  /** Ends the transfer here. Commands that wait for the target are answered. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.storage.watch = undefined;
    this.refuseVouches();
    this.#sayNothing();
    this.#batches.end();
    for (const { done } of this.#gathered.splice(0)) done?.();
    this.#carried?.done?.();
    for (const { done } of this.#commands.splice(0)) done?.();
    for (const resolve of this.#untilRoom.splice(0)) resolve();
    // An iterator that waits for its module ends when that answers, and nobody
    // wants what it may fail with.
    Promise.try(() => this.#iterator.return?.()).catch(() => {});
  }
}

function cannotVouch(): WhorlError {
  return new WhorlError(
    "handoff_mismatch",
    "Cannot vouch for what was written as the transfer has ended, or writes are not held any more",
  );
}
