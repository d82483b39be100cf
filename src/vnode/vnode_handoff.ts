/**
 * The handoffs a vnode takes part in: one at most that takes its data elsewhere
 * (`handoff_source.ts`), and any number that bring data (`handoff_target.ts`).
 * What it is asked is in `handoff_codec.ts`.
 *
 * A vnode that was made to stand still goes on by itself if nothing is heard of
 * the transfer for {@linkcode STAND_STILL_MS_MAX}; what was agreed on then counts
 * for nothing.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import { writeFailure } from "../wire/failure.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  HandoffAction,
  HandoffEntry,
  HandoffMode,
  type HandoffOpening,
  HandoffOutcome,
  readHandoffRequest,
} from "./handoff_codec.ts";
import { HandoffSource } from "./handoff_source.ts";
import { HandoffTarget } from "./handoff_target.ts";
import type { Vnode } from "./vnode.ts";
import type { WatchedPartition } from "./watched_partition.ts";

/** Longest time a vnode stands still without a word of its transfer, in milliseconds. */
export const STAND_STILL_MS_MAX = 3_000;
/** How long a vnode is waited for until no handler is at work, in milliseconds; then it goes on and is asked again later. */
export const QUIET_MS_MAX = 1_000;

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
  readonly answers: FrameSink;
  now(): number;
  later(afterMs: number, callback: () => void): void;
  /** Takes no commands until `goOn`; they wait. */
  hold(): void;
  goOn(): void;
  /** Calls `callback` once no handler is at work; while it is held, that stays so. */
  whenQuiet(callback: () => void): void;
  /** Whether commands wait. */
  readonly hasWaiting: boolean;
  /** Runs a command that came with a handoff. */
  run(command: number, body: Uint8Array): Promise<void>;
  crash(error: unknown): void;
  /** The partition is `owner`'s: commands are refused with its name from now on. */
  released(owner: string): void;
  /** What was here is elsewhere: the vnode need not run, unless commands came meanwhile. */
  removed(stays: boolean): void;
}

/** The handoffs of one vnode; see the module's text. */
export class VnodeHandoff {
  readonly #host: VnodeHandoffHost;
  readonly #vnode: Vnode;
  readonly #storage: WatchedPartition;
  readonly #target: HandoffTarget;
  #source: HandoffSource | undefined;
  /** Until when it stands still without a further word; undefined while it serves. */
  #stillUntilMs: number | undefined;
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
      now: () => host.now(),
      turn: () => new Promise((resolve) => host.later(0, resolve)),
      run: (command, body) => host.run(command, body),
      itemTaken: (content) => {
        if (!this.#source?.sendsCommands) return;
        this.#source.forward(HandoffEntry.item, 0, content.slice(), () => {});
      },
    });
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
    this.#host.answers.end();
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
        const source = this.#sourceOf(transfer);
        this.#heardOf();
        const { promise, resolve, reject } = Promise.withResolvers<
          Uint8Array<ArrayBuffer>
        >();
        source.next(request.acked, request.repeat, resolve, reject);
        const batch = await promise;
        return (into) => into.raw(batch);
      }
      case HandoffAction.acked:
        this.#heardOf();
        this.#sourceOf(transfer).acknowledged(request.acked);
        return;
      case HandoffAction.switch:
        return await this.#switch(this.#sourceOf(transfer));
      case HandoffAction.finish:
        return await this.#finish(transfer, request.outcome, request.owner);
      case HandoffAction.offer: {
        const number = await this.#target.offered(transfer);
        return (into) => into.u53(number);
      }
      case HandoffAction.batch: {
        const number = await this.#target.take(transfer, from);
        return (into) => into.u53(number);
      }
      case HandoffAction.final:
        await this.#target.complete(transfer, request.items, request.hash);
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
    if (known?.transfer === opening.transfer) {
      this.#goOn();
      return (into) => {
        into.u8(OpenAnswer.resumed);
        into.u8(Number(known.sendsCommands));
        into.u8(0);
      };
    }
    await this.#abandon();
    const willing = await this.#vnode.handoffStarting?.(opening.target) ?? true;
    const empty = willing && await this.#vnode.isEmpty();
    if (!willing) return (into) => into.u8(OpenAnswer.notNow);
    if (this.#ended) throw vnodeEnded();
    // Another one may have been begun meanwhile.
    this.#source?.end();
    const source = new HandoffSource({
      vnode: this.#vnode,
      storage: this.#storage,
      now: () => this.#host.now(),
      later: (afterMs, callback) => this.#host.later(afterMs, callback),
      crash: (error) => this.#host.crash(error),
    }, opening);
    this.#source = source;
    return (into) => {
      into.u8(OpenAnswer.begun);
      into.u8(Number(source.sendsCommands));
      into.u8(Number(empty));
    };
  }

  /** Has the vnode stand still, once no handler is at work. */
  async #switch(
    source: HandoffSource,
  ): Promise<((into: ByteWriter) => void)> {
    const host = this.#host;
    if (this.#stillUntilMs === undefined) {
      host.hold();
      this.#stillUntilMs = host.now() + STAND_STILL_MS_MAX;
      this.#watchStill();
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    host.whenQuiet(() => resolve(true));
    host.later(QUIET_MS_MAX, () => resolve(false));
    const quiet = await promise && this.#stillUntilMs !== undefined &&
      this.#source === source;
    if (quiet) {
      source.standsStill();
      this.#heardOf();
    } else this.#goOn();
    return (into) => into.u8(Number(quiet));
  }

  /** The transfer goes on, so the vnode may stand still a little longer. */
  #heardOf(): void {
    if (this.#stillUntilMs === undefined) return;
    this.#stillUntilMs = this.#host.now() + STAND_STILL_MS_MAX;
  }

  #watchStill(): void {
    const { now, later } = this.#host;
    later.call(this.#host, STAND_STILL_MS_MAX, () => {
      if (this.#stillUntilMs === undefined || this.#ended) return;
      if (now.call(this.#host) >= this.#stillUntilMs) this.#goOn();
      else this.#watchStill();
    });
  }

  #goOn(): void {
    if (this.#stillUntilMs === undefined) return;
    this.#stillUntilMs = undefined;
    this.#source?.goesOn();
    this.#host.goOn();
  }

  async #finish(
    transfer: number,
    outcome: number,
    owner: string,
  ): Promise<undefined> {
    if (outcome === HandoffOutcome.abandoned) {
      // What is not known need not be given up.
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
    if (outcome === HandoffOutcome.released) this.#host.released(owner);
    if (outcome === HandoffOutcome.removed) await this.#vnode.delete();
    await this.#vnode.handoffFinished?.(target);
    if (this.#ended) throw vnodeEnded();
    const { hasWaiting } = this.#host;
    this.#goOn();
    if (outcome === HandoffOutcome.removed) this.#host.removed(hasWaiting);
    return;
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
  }
}

const nothing = (): void => {};

function vnodeEnded(): WhorlError {
  return new WhorlError(
    "vnode_crashed",
    "Cannot go on with a handoff as the vnode has stopped",
  );
}
