/**
 * The coverage queries that a vnode is answering. Each iterates over what its
 * handler yields and stays at most one window ahead of its reader:
 *
 *     open ──► pump ── window full ──► idle ── asked for more ──► pump …
 *                └──── the handler has ended ──► ended, until that has been told
 *
 * A reader that asks gets what there is as soon as there is something. The
 * handler's signal fires when the query is cancelled, when its time is over,
 * and when the vnode ends. If the handler throws before that, the vnode
 * crashes, as with commands.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { type ErrorCode, reasonOf, WhorlError } from "../base/errors.ts";
import { writeFailure } from "../wire/failure.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  appendChunk,
  beginCoverageBatch,
  COVERAGE_CHUNK_BYTES_MAX,
  endCoverageBatch,
} from "./coverage_codec.ts";
import type { Awaitable } from "../environment/storage.ts";
import type { BackgroundPace } from "./background_pace.ts";
import type { CommandDeclaration } from "./vnode.ts";

/** Coverage queries one vnode answers at a time; a further one is answered `overload`. */
export const COVERAGE_STREAMS_MAX = 256;
/** Bytes of chunks that a stream gathers before it waits to be asked for more. */
export const COVERAGE_WINDOW_BYTES = 64 * 1024;
/** How long a stream works, in milliseconds, before it yields to commands, while these arrive. */
export const COVERAGE_SLICE_MS = 2;
/** How long it works before it yields to anything else. */
export const COVERAGE_TURN_MS = 10;
/** Memory a stream keeps for its next chunks. */
const BATCH_BYTES_KEPT = 4 * COVERAGE_WINDOW_BYTES;

type ChunkIterator = Iterator<unknown> | AsyncIterator<unknown>;

/** What streams need from the vnode around them. */
export interface CoverageStreamsHost {
  readonly partition: number;
  /** Where answers go. */
  readonly answers: FrameSink;
  now(): number;
  /** How fast queries may go. */
  readonly pace: BackgroundPace;
  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void;
  /** A handler failed, and the vnode crashes. */
  crash(error: unknown): void;
}

/** One query being answered. */
interface Stream {
  readonly id: number;
  readonly declaration: CommandDeclaration;
  readonly abort: AbortController;
  readonly deadline: number;
  readonly iterator: ChunkIterator;
  /** The next answer. */
  batch: ByteWriter;
  /** How many chunks are in it. */
  chunks: number;
  ended: boolean;
  /** Why the stream ended, if no reader was waiting to be told. */
  failure: WhorlError | undefined;
  pumping: boolean;
  /** Correlation of the reader that waits for chunks, or 0. */
  asker: number;
  askerDeadline: number;
}

/** The streams of one vnode; see the module comment. */
export class CoverageStreams {
  readonly #host: CoverageStreamsHost;
  readonly #streams = new Map<number, Stream>();

  constructor(host: CoverageStreamsHost) {
    this.#host = host;
  }

  /** Queries being answered. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Begins a stream and answers `correlation` with its first chunks.
   *
   * @param begin Calls the handler. If it throws, the vnode crashes.
   */
  open(
    id: number,
    correlation: number,
    askerDeadline: number,
    deadline: number,
    declaration: CommandDeclaration,
    begin: (signal: AbortSignal) => Iterable<unknown> | AsyncIterable<unknown>,
  ): void {
    if (this.#streams.has(id)) {
      this.#fail(
        correlation,
        "invalid_argument",
        `Cannot begin a coverage query as number ${id} is taken`,
      );
      return;
    }
    if (this.#streams.size >= COVERAGE_STREAMS_MAX) {
      this.#fail(
        correlation,
        "overload",
        `Cannot begin a coverage query: ${COVERAGE_STREAMS_MAX} are being answered`,
      );
      return;
    }
    const abort = new AbortController();
    let iterator: ChunkIterator;
    try {
      const chunks = begin(abort.signal);
      iterator = Symbol.asyncIterator in chunks
        ? chunks[Symbol.asyncIterator]()
        : chunks[Symbol.iterator]();
    } catch (error) {
      this.#failWith(correlation, this.#vnodeError(error));
      this.#host.crash(error);
      return;
    }
    const stream: Stream = {
      id,
      declaration,
      abort,
      deadline,
      iterator,
      batch: new ByteWriter(256),
      chunks: 0,
      ended: false,
      failure: undefined,
      pumping: false,
      asker: correlation,
      askerDeadline,
    };
    beginCoverageBatch(stream.batch);
    this.#streams.set(id, stream);
    this.#pump(stream);
  }

  /** Answers `correlation` with the next chunks. */
  more(id: number, correlation: number, askerDeadline: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.asker !== 0) {
      this.#fail(
        correlation,
        stream === undefined ? "vnode_crashed" : "protocol_error",
        stream === undefined
          ? `The vnode of partition ${this.#host.partition} has no such coverage query: it was restarted, or the query's time is over`
          : "Cannot ask for more of a coverage query twice at once",
      );
      return;
    }
    if (stream.failure !== undefined) {
      this.#failWith(correlation, stream.failure);
      this.#streams.delete(id);
      return;
    }
    stream.asker = correlation;
    stream.askerDeadline = askerDeadline;
    if (stream.chunks > 0 || stream.ended) this.#answer(stream);
    else this.#pump(stream);
  }

  /** Nobody wants more of the stream; `correlation` gets an empty answer. */
  cancel(id: number, correlation: number): void {
    this.#host.answers.begin(FrameType.vnodeReply, correlation);
    this.#host.answers.end();
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.asker !== 0) {
      this.#fail(stream.asker, "cancelled", "The coverage query was cancelled");
    }
    this.#drop(stream, "The coverage query was cancelled");
  }

  /** Drops streams whose time is over or whose reader has stopped waiting. */
  giveUpOverdue(): void {
    const now = this.#host.now();
    for (const stream of [...this.#streams.values()]) {
      const waitedTooLong = stream.asker !== 0 && stream.askerDeadline <= now;
      if (!waitedTooLong && stream.deadline > now) continue;
      const message = "The coverage query was not answered in time";
      if (stream.asker !== 0) this.#fail(stream.asker, "timeout", message);
      this.#drop(stream, message);
    }
  }

  /** The vnode ends: all readers that wait are answered with `vnode_crashed`. */
  close(message: string): void {
    for (const stream of [...this.#streams.values()]) {
      if (stream.asker !== 0) {
        this.#fail(stream.asker, "vnode_crashed", message);
      }
      this.#drop(stream, message);
    }
  }

  /** Takes chunks from the handler until a window is full. */
  #pump(stream: Stream): void {
    if (stream.pumping) return;
    stream.pumping = true;
    this.#gather(stream).then(() => {
      stream.pumping = false;
      if (stream.abort.signal.aborted) return;
      if (stream.asker !== 0) this.#answer(stream);
    }, (error) => {
      // It was told to stop; how it does so does not matter.
      if (stream.abort.signal.aborted) return;
      const { asker } = stream;
      stream.asker = 0;
      if (asker !== 0) this.#failWith(asker, this.#vnodeError(error));
      this.#host.crash(error);
    });
  }

  async #gather(stream: Stream): Promise<void> {
    const { pace, now } = this.#host;
    let beganMs = now();
    let turnMs = beganMs;
    while (!stream.ended && stream.batch.length < COVERAGE_WINDOW_BYTES) {
      const workedMs = beganMs - turnMs;
      // Waiting after each of many small chunks would cost more than the
      // chunks.
      const waitMs = stream.chunks === 0 || workedMs >= COVERAGE_SLICE_MS
        ? pace.waitMs(beganMs)
        : 0;
      if (waitMs > 0 || workedMs >= COVERAGE_TURN_MS) {
        if (stream.chunks > 0 && stream.asker !== 0) this.#answer(stream);
        await this.#turn(waitMs);
        if (stream.abort.signal.aborted) return;
        beganMs = turnMs = now();
      }
      const next = stepOf(stream.iterator);
      let step: IteratorResult<unknown>;
      if (next instanceof Promise) {
        // The next chunk may take long, and a reader waits for what there is.
        if (stream.chunks > 0 && stream.asker !== 0) {
          this.#answer(stream);
        }
        step = await next;
        if (stream.abort.signal.aborted) return;
      } else step = next;
      if (step.done) stream.ended = true;
      else if (!this.#take(stream, step.value)) return;
      const nowMs = now();
      // Measured after each chunk, since several streams share a turn.
      pace.worked(beganMs, nowMs);
      beganMs = nowMs;
    }
  }

  #turn(afterMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#host.later(afterMs, resolve);
    return promise;
  }

  /** Adds a chunk; false if it cannot be encoded or is too large, which fails the query and not the vnode. */
  #take(stream: Stream, value: unknown): boolean {
    const { batch, declaration } = stream;
    const before = batch.length;
    let failure: WhorlError | undefined;
    try {
      appendChunk(batch, (into) => declaration.reply.encode(value, into));
    } catch (error) {
      failure = new WhorlError(
        "vnode_error",
        `Cannot encode a chunk of a coverage query: ${reasonOf(error)}`,
      );
    }
    const byteCount = batch.length - before - 4;
    if (byteCount > COVERAGE_CHUNK_BYTES_MAX) {
      failure = new WhorlError(
        "frame_too_large",
        `Cannot send a chunk of a coverage query of ${byteCount} bytes: the limit is ${COVERAGE_CHUNK_BYTES_MAX}`,
      );
    }
    if (failure !== undefined) {
      const { asker } = stream;
      this.#drop(stream, failure.message);
      if (asker !== 0) this.#failWith(asker, failure);
      else {
        stream.failure = failure;
        this.#streams.set(stream.id, stream);
      }
      return false;
    }
    stream.chunks++;
    return true;
  }

  /** Sends the gathered chunks, and goes on gathering. */
  #answer(stream: Stream): void {
    const { answers } = this.#host;
    const { asker, batch, ended } = stream;
    endCoverageBatch(batch, ended);
    answers.begin(FrameType.vnodeReply, asker)
      .rawRange(batch.bytes, 0, batch.length);
    answers.end();
    stream.asker = 0;
    stream.chunks = 0;
    if (batch.bytes.length > BATCH_BYTES_KEPT) {
      stream.batch = new ByteWriter(256);
    }
    beginCoverageBatch(stream.batch);
    if (ended) this.#streams.delete(stream.id);
    else this.#pump(stream);
  }

  #drop(stream: Stream, message: string): void {
    this.#streams.delete(stream.id);
    stream.asker = 0;
    stream.abort.abort(new WhorlError("cancelled", message));
    if (stream.ended) return;
    // Releases what the handler holds; whether that fails does not matter any
    // more.
    Promise.try(() => stream.iterator.return?.()).catch(() => undefined);
  }

  #vnodeError(error: unknown): WhorlError {
    return new WhorlError(
      "vnode_error",
      `The vnode of partition ${this.#host.partition} failed: ${
        reasonOf(error)
      }`,
      { details: { partition: this.#host.partition } },
    );
  }

  #fail(correlation: number, code: ErrorCode, message: string): void {
    this.#failWith(
      correlation,
      new WhorlError(code, message, {
        details: { partition: this.#host.partition },
      }),
    );
  }

  #failWith(correlation: number, error: WhorlError): void {
    const { answers } = this.#host;
    writeFailure(answers.begin(FrameType.vnodeError, correlation), error);
    answers.end();
  }
}

/** The next chunk, at once if it is there. */
function stepOf(
  iterator: ChunkIterator,
): Awaitable<IteratorResult<unknown>> {
  const next = iterator.next();
  if (next instanceof Promise || next.done) return next;
  const { value } = next;
  return value instanceof Promise
    ? value.then((chunk) => ({ done: false, value: chunk }))
    : next;
}
