/**
 * The handoffs a vnode takes part in: one at most that takes its data elsewhere
 * (`handoff_source.ts`), and any number that bring data (`handoff_target.ts`).
 * What it is asked is in `handoff_codec.ts`.
 *
 * While the ring is resized it may be _bound_: its writes count when they are with
 * the targets of its transfer, also while there is none (`followed_writes.ts`).
 *
 * A vnode that was made to stand still goes on by itself if nothing is heard of
 * the transfer for {@linkcode STAND_STILL_MS_MAX}; what was agreed on then counts
 * for nothing.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { bytesToText } from "../base/byte_text.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import {
  isStoreFailure,
  isWhorlError,
  reasonOf,
  WhorlError,
} from "../base/errors.ts";
import { writeFailure } from "../wire/failure.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  HandoffAction,
  type HandoffDecision,
  HandoffEntry,
  type HandoffFinish,
  HandoffMode,
  type HandoffOpening,
  HandoffOutcome,
  readHandoffRequest,
} from "./handoff_codec.ts";
import type { BackgroundPace } from "./background_pace.ts";
import { FollowedWrites } from "./followed_writes.ts";
import { HandoffSource } from "./handoff_source.ts";
import { HandoffTarget } from "./handoff_target.ts";
import type { Vnode } from "./vnode.ts";
import type { WatchedPartition } from "./watched_partition.ts";

/** Longest time a vnode stands still without a word of its transfer, in milliseconds. */
export const STAND_STILL_MS_MAX = 3_000;
/** How long a vnode is waited for until no handler is at work, in milliseconds; then it goes on and is asked again later. */
export const QUIET_MS_MAX = 1_000;

/**
 * Longest time a transfer from a vnode is kept without a word of it, in
 * milliseconds: what its sender leaves behind must not be held for ever. Longer
 * than a node takes to be started anew, so that the transfer to it goes on.
 */
export const SILENT_MS_MAX = 600_000;
/** The same where callers wait for what the target says; longer than it has for that. */
export const SILENT_COMMANDS_MS_MAX = 120_000;

/** How a source answers that it was asked to begin. */
export const OpenAnswer = {
  begun: 0,
  /** The transfer was under way: what was acknowledged need not be said again. */
  resumed: 1,
  /** The module says that it does not want to now. */
  notNow: 2,
} as const;

/** What the handoffs of a vnode need from it and from the master around it. */
export interface VnodeHandoffHost {
  readonly partition: number;
  /** Partitions of the ring it is of. */
  readonly ringSize: number;
  readonly answers: FrameSink;
  now(): number;
  later(afterMs: number, callback: () => void): void;
  /** How fast transfers may go. */
  readonly pace: BackgroundPace;
  /** Takes no commands until `goOn`; they wait. */
  hold(): void;
  goOn(): void;
  /** Calls `callback` once no handler is at work, unless what is returned is called before; while it is held, that stays so. */
  whenQuiet(callback: () => void): () => void;
  /** Whether commands wait. */
  readonly hasWaiting: boolean;
  /** Runs a command that came with a handoff. */
  run(command: number, body: Uint8Array): Promise<void>;
  crash(error: unknown): void;
  /** The partition is `owner`'s, as the ring has decided: commands are refused with its name from now on. */
  released(owner: string, decided: HandoffDecision): void;
  /** A transfer has brought all of its items. */
  dataReturned(): void;
  /** What was here is elsewhere: the vnode need not run, unless commands came meanwhile. */
  removed(stays: boolean): void;
}

/** The handoffs of one vnode; see the module comment. */
export class VnodeHandoff {
  readonly #host: VnodeHandoffHost;
  readonly #vnode: Vnode;
  readonly #storage: WatchedPartition;
  readonly #target: HandoffTarget;
  readonly #followed = new FollowedWrites();
  /** Whether no write counts before it has followed. */
  #bound = false;
  #source: HandoffSource | undefined;
  /** Until when it stands still without a further word; undefined while it serves. */
  #stillUntilMs: number | undefined;
  #watchingStill = false;
  /** While it comes to stand still. */
  #switching: Promise<unknown> | undefined;
  /** For how many reasons it takes nothing. */
  #holds = 0;
  /** Called when it serves again. */
  #untilServing: (() => void)[] = [];
  /** The transfer that was asked for last. */
  #asked: HandoffOpening | undefined;
  /** When something was heard of the transfer from here. */
  #heardMs = 0;
  #ended = false;

  constructor(
    host: VnodeHandoffHost,
    vnode: Vnode,
    storage: WatchedPartition,
  ) {
    this.#host = host;
    this.#vnode = vnode;
    this.#storage = storage;
    this.#target = new HandoffTarget({
      vnode,
      // To write it once takes less time in all, and more of it at once, for
      // which commands would have to wait.
      takeItem: (content) =>
        host.pace.disturbs
          ? vnode.handleHandoffData(content)
          : storage.inBulk(() => vnode.handleHandoffData(content)),
      now: () => host.now(),
      pace: host.pace,
      turn: (afterMs) => new Promise((resolve) => host.later(afterMs, resolve)),
      run: (command, body) => host.run(command, body),
      itemTaken: (content) => {
        if (!this.#source?.sendsCommands) return;
        this.#source.forward(HandoffEntry.item, 0, content.slice(), () => {});
      },
      failed: (error) => {
        // Such a store takes nothing more until it is opened anew, and modules
        // may well let nobody know of it but who sent the item.
        if (isWhorlError(error) && isStoreFailure(error.code)) {
          host.crash(error);
        }
      },
      mayTake: () => this.#mayTake(),
    });
  }

  /** What stands still takes no data either, and one that sends commands takes no more than it gets rid of. */
  #mayTake(): Promise<void> | undefined {
    if (this.#ended) throw vnodeEnded();
    if (this.#holds > 0) {
      return new Promise((resolve) => this.#untilServing.push(resolve));
    }
    const { follows } = this;
    return follows?.full ? follows.room() : undefined;
  }

  /** From now on writes count when they are where the ring to come has them, too, or no longer. */
  bind(isBound: boolean): void {
    this.#bound = isBound;
    if (isBound) {
      this.#followed.hold();
      // Named first: V8 allocates a function that is written where a property is set among what is old.
      const hold: WatchedPartition["hold"] = (writes) =>
        this.#followed.noted(writes.map(({ key }) => bytesToText(key)));
      this.#storage.hold = hold;
    } else this.#unbind();
  }

  #unbind(): void {
    this.#storage.hold = undefined;
    this.#source?.refuseVouches();
    this.#followed.release();
  }

  /** Removes all data; it is elsewhere, so that nothing of it has to follow. */
  async #delete(): Promise<void> {
    this.#unbind();
    await this.#vnode.delete();
    this.bind(this.#bound);
  }

  /** Takes neither commands nor data until {@linkcode VnodeHandoff.#letGo}; they wait. */
  #hold(): void {
    if (this.#holds++ === 0) this.#host.hold();
  }

  #letGo(): void {
    if (--this.#holds > 0 || this.#ended) return;
    this.#host.goOn();
    for (const resolve of this.#untilServing.splice(0)) resolve();
  }

  /** Whether no handler is at work and no batch is being taken, once that is so; while it is held, that stays so. */
  async #quiet(): Promise<boolean> {
    const host = this.#host;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    let cancel = (): void => {};
    this.#target.idle().then(() => {
      cancel = host.whenQuiet(() => resolve(true));
    });
    host.later(QUIET_MS_MAX, () => resolve(false));
    const quiet = await promise;
    if (!quiet) cancel();
    return quiet && !this.#ended;
  }

  /** Does `what` while no handler is at work and none begins; false if that cannot be. */
  async #whileQuiet(what: () => Promise<void> | void): Promise<boolean> {
    this.#hold();
    try {
      if (!await this.#quiet()) return false;
      await what();
      return true;
    } finally {
      this.#letGo();
    }
  }

  /** Entries of all batches that were begun here. */
  get begun(): number {
    return this.#target.begun;
  }

  /** Batches that wait until the vnode serves again. */
  get waiting(): number {
    return this.#untilServing.length;
  }

  /** The transfer that commands must follow, if there is one. */
  get follows(): HandoffSource | undefined {
    const source = this.#source;
    return source?.sendsCommands ? source : undefined;
  }

  /** Whether data is on its way from here. */
  get sends(): boolean {
    return this.#source !== undefined;
  }

  /** Does what the request in `bytes[start, end)` asks for, and answers it. */
  request(
    correlation: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    let done: Promise<((into: ByteWriter) => void) | undefined>;
    const from = new ByteReader(bytes, start, end);
    try {
      done = this.#perform(from);
    } catch (error) {
      done = Promise.reject(error);
    }
    done.then(
      (write) => this.#answer(correlation, write ?? nothing),
      (error) => this.#fail(correlation, error),
    );
  }

  #answer(correlation: number, write: (into: ByteWriter) => void): void {
    write(this.#host.answers.begin(FrameType.vnodeReply, correlation));
    try {
      this.#host.answers.end();
    } catch (tooLarge) {
      // The frame has been taken back out: a single item has more than fits.
      this.#fail(correlation, tooLarge);
    }
  }

  #fail(correlation: number, error: unknown): void {
    const failure = error instanceof WhorlError
      ? error
      : new WhorlError("vnode_error", reasonOf(error));
    writeFailure(
      this.#host.answers.begin(FrameType.vnodeError, correlation),
      failure,
    );
    this.#host.answers.end();
  }

  async #perform(
    from: ByteReader,
  ): Promise<((into: ByteWriter) => void) | undefined> {
    const request = readHandoffRequest(from);
    const { transfer } = request;
    switch (request.action) {
      case HandoffAction.open:
        return await this.#open(request);
      case HandoffAction.next: {
        this.#sourceOf(transfer);
        this.#heardOf();
        // What is asked for together with a switch is the rest.
        await this.#switching?.catch(() => {});
        const source = this.#sourceOf(transfer);
        const { promise, resolve, reject } = Promise.withResolvers<
          Uint8Array<ArrayBuffer>
        >();
        source.next(request.acked, request.repeat, resolve, reject);
        const batch = await promise;
        return (into) => into.raw(batch);
      }
      case HandoffAction.acked: {
        const source = this.#sourceOf(transfer);
        this.#heardOf();
        source.acknowledged(request.acked);
        return;
      }
      case HandoffAction.switch: {
        const switching = this.#switch(this.#sourceOf(transfer));
        this.#switching = switching;
        try {
          return await switching;
        } finally {
          if (this.#switching === switching) this.#switching = undefined;
        }
      }
      case HandoffAction.vouch: {
        const source = this.#sourceOf(transfer);
        this.#heardOf();
        if (!this.#followed.holds) throw notBound();
        await source.vouch();
        return;
      }
      case HandoffAction.finish:
        return await this.#finish(request);
      case HandoffAction.offer: {
        const number = await this.#target.offered(transfer);
        return (into) => into.u53(number);
      }
      case HandoffAction.batch: {
        const number = await this.#target.take(transfer, from);
        return (into) => into.u53(number);
      }
      case HandoffAction.spread:
        await this.#target.takeSpread(from);
        return;
      case HandoffAction.final:
        await this.#target.complete(transfer, request.items, request.hash);
        this.#host.dataReturned();
        return;
      default:
        return request satisfies never;
    }
  }

  #sourceOf(transfer: number): HandoffSource {
    const source = this.#source;
    if (source?.transfer === transfer) return source;
    throw new WhorlError(
      "handoff_mismatch",
      "Cannot go on with a handoff as the vnode does not know of it: it has been started anew, or has given it up",
    );
  }

  async #open(
    opening: HandoffOpening,
  ): Promise<((into: ByteWriter) => void) | undefined> {
    const known = this.#source;
    this.#heardMs = this.#host.now();
    if (known?.transfer === opening.transfer) {
      this.#goOn();
      return (into) => {
        into.u8(OpenAnswer.resumed);
        into.u8(Number(known.sendsCommands));
        into.u8(0);
      };
    }
    if (this.#stillUntilMs === Infinity) throw leaving();
    this.#asked = opening;
    await this.#abandon();
    const willing = await this.#vnode.handoffStarting?.(opening.target) ?? true;
    const empty = willing && await this.#vnode.isEmpty();
    if (this.#ended) throw vnodeEnded();
    if (this.#asked !== opening) throw overtaken();
    if (!willing) return (into) => into.u8(OpenAnswer.notNow);
    const begin = (): void => {
      this.#begin(opening);
    };
    // Where commands follow, what the first items show must be all there was
    // before the first of them.
    const commands = opening.mode === HandoffMode.move &&
      this.#vnode.itemAt === undefined;
    if (!commands) begin();
    else if (!await this.#whileQuiet(begin)) {
      if (this.#ended) throw vnodeEnded();
      return (into) => into.u8(OpenAnswer.notNow);
    }
    this.#asked = undefined;
    return (into) => {
      into.u8(OpenAnswer.begun);
      into.u8(Number(commands));
      into.u8(Number(empty));
    };
  }

  #begin(opening: HandoffOpening): void {
    if (this.#asked !== opening) throw overtaken();
    const host = this.#host;
    const source: HandoffSource = new HandoffSource({
      pace: this.#host.pace,
      partition: host.partition,
      ringSize: host.ringSize,
      vnode: this.#vnode,
      storage: this.#storage,
      followed: this.#followed,
      now: () => host.now(),
      later: (afterMs, callback) => host.later(afterMs, callback),
      crash: (error) => host.crash(error),
      // Not now: a handler is at work.
      overrun: () => host.later(0, () => this.#giveUp(source)),
      whileQuiet: (what) => this.#whileQuiet(what),
    }, opening);
    this.#source = source;
    this.#heardMs = this.#host.now();
    this.#watchSilence(source);
  }

  /** Gives up a transfer of which nothing is heard. */
  #watchSilence(source: HandoffSource): void {
    const host = this.#host;
    const longest = source.sendsCommands
      ? SILENT_COMMANDS_MS_MAX
      : SILENT_MS_MAX;
    host.later(this.#heardMs + longest - host.now(), () => {
      if (this.#source !== source) return;
      if (this.#heardMs + longest > host.now()) this.#watchSilence(source);
      else this.#giveUp(source);
    });
  }

  /** Ends a transfer that nobody asked to end. */
  #giveUp(source: HandoffSource): void {
    if (this.#source !== source) return;
    this.#abandon().catch((error) => this.#host.crash(error));
  }

  /** Has the vnode stand still, once no handler is at work and no batch is being taken. */
  async #switch(
    source: HandoffSource,
  ): Promise<((into: ByteWriter) => void)> {
    if (this.#stillUntilMs === undefined) {
      this.#hold();
      this.#stillUntilMs = this.#host.now() + STAND_STILL_MS_MAX;
      this.#watchStill();
    }
    this.#heardOf();
    source.comesToStand();
    const quiet = await this.#quiet() && this.#stillUntilMs !== undefined &&
      this.#source === source;
    if (quiet) {
      source.standsStill();
      this.#heardOf();
    } else this.#goOn();
    return (into) => into.u8(Number(quiet));
  }

  /** The transfer goes on, so the vnode may stand still a little longer. */
  #heardOf(): void {
    this.#heardMs = this.#host.now();
    if (this.#stillUntilMs === undefined || this.#stillUntilMs === Infinity) {
      return;
    }
    this.#stillUntilMs = this.#heardMs + STAND_STILL_MS_MAX;
  }

  #watchStill(): void {
    const host = this.#host;
    if (this.#watchingStill || this.#stillUntilMs === undefined) return;
    // What is being removed has no deadline, and a timer cannot be endless.
    if (this.#stillUntilMs === Infinity) return;
    this.#watchingStill = true;
    host.later(this.#stillUntilMs - host.now(), () => {
      this.#watchingStill = false;
      if (this.#stillUntilMs === undefined || this.#ended) return;
      if (host.now() >= this.#stillUntilMs) this.#goOn();
      else this.#watchStill();
    });
  }

  #goOn(): void {
    if (this.#stillUntilMs === undefined) return;
    this.#stillUntilMs = undefined;
    this.#source?.goesOn();
    this.#letGo();
  }

  async #finish(
    { transfer, outcome, owner, decided }: HandoffFinish,
  ): Promise<undefined> {
    if (outcome === HandoffOutcome.abandoned) {
      // What is not known need not be given up.
      if (this.#asked?.transfer === transfer) this.#asked = undefined;
      if (this.#source?.transfer === transfer) await this.#abandon();
      return;
    }
    const source = this.#sourceOf(transfer);
    const { target } = source;
    const keeps = outcome === HandoffOutcome.copied;
    if (keeps !== (source.opening.mode === HandoffMode.copy)) {
      throw new WhorlError(
        "invalid_argument",
        "Cannot end a handoff as what becomes of the data must be what it was begun with",
      );
    }
    if (!keeps && (this.#stillUntilMs === undefined || !source.exhausted)) {
      throw new WhorlError(
        "handoff_mismatch",
        "Cannot end a handoff as the vnode has gone on serving meanwhile",
      );
    }
    this.#source = undefined;
    source.end();
    // Removing may take its time, and nothing may come in between.
    if (this.#stillUntilMs !== undefined) this.#stillUntilMs = Infinity;
    if (outcome === HandoffOutcome.released) {
      this.#host.released(owner, decided);
    }
    try {
      if (outcome === HandoffOutcome.removed) await this.#delete();
      await this.#vnode.handoffFinished?.(target);
    } catch (error) {
      // Nobody knows what is left.
      this.#host.crash(error);
      throw error;
    }
    if (this.#ended) throw vnodeEnded();
    const stays = this.#host.hasWaiting;
    this.#goOn();
    if (outcome === HandoffOutcome.removed) this.#host.removed(stays);
    return;
  }

  /**
   * Removes all data while nothing comes in; the vnode stands still until
   * {@linkcode VnodeHandoff.serve}.
   */
  async remove(): Promise<void> {
    if (this.#stillUntilMs === undefined) this.#hold();
    this.#stillUntilMs = Infinity;
    try {
      await this.#delete();
    } catch (error) {
      this.#host.crash(error);
      throw error;
    }
  }

  /** Serves again after {@linkcode VnodeHandoff.remove}. */
  serve(): void {
    this.#goOn();
  }

  /** Gives up the transfer from here, if there is one; what was sent stays with the target. */
  async #abandon(): Promise<void> {
    const source = this.#source;
    if (source === undefined) return;
    this.#source = undefined;
    source.end();
    this.#goOn();
    await this.#vnode.handoffCancelled?.();
  }

  /** The vnode ends. */
  close(): void {
    this.#ended = true;
    this.#stillUntilMs = undefined;
    this.#source?.end();
    this.#source = undefined;
    for (const resolve of this.#untilServing.splice(0)) resolve();
  }
}

const nothing = (): void => {};

function notBound(): WhorlError {
  return new WhorlError(
    "handoff_refused",
    "Cannot vouch for what was written as writes are not held",
  );
}

function leaving(): WhorlError {
  return new WhorlError(
    "handoff_refused",
    "Cannot begin a handoff as the vnode is giving up what it has",
  );
}

function overtaken(): WhorlError {
  return new WhorlError(
    "handoff_mismatch",
    "Cannot begin a handoff as another one was asked for meanwhile, or this one given up",
  );
}

function vnodeEnded(): WhorlError {
  return new WhorlError(
    "vnode_crashed",
    "Cannot go on with a handoff as the vnode has stopped",
  );
}
