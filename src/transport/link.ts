/**
 * An authenticated connection. Frames written in one turn of the event loop are
 * sent in one write; while a write is in progress, further frames are gathered
 * for the next, so a busy link makes few large writes instead of many small
 * ones. Each write is a record with a checksum (`src/wire/record.ts`). Received
 * frames are handed on synchronously, without copying.
 *
 * Pings and pongs do not queue behind megabytes: they are sent between two
 * frames, so that a busy link is not taken for a silent one.
 *
 * A link protects its node: the bytes that wait to be sent are bounded, writes
 * and partly received frames have deadlines, and corrupted or invalid bytes end
 * the link, never the node.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import type { Log } from "../environment/log.ts";
import type { ByteStream } from "../environment/transport.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import {
  beginFrame,
  endFrame,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  frameEndAt,
} from "../wire/frame.ts";
import type { FrameSink } from "../wire/frame_sink.ts";
import { FrameType } from "../wire/frame_type.ts";
import {
  isBadRecord,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  sealRecord,
} from "../wire/record.ts";
import type { LinkPeer } from "./link_peer.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Bounds of a link. */
export interface LinkLimits {
  /** Bytes that may wait to be sent before the link is closed as overloaded. @default {67108864} */
  readonly bufferedBytesMax?: number;
  /** Milliseconds in which the stream must take each record (at most 256 KiB). @default {5000} */
  readonly writeDeadlineMs?: number;
  /** Milliseconds without a byte after which the link gives up on a partly received record or frame. @default {5000} */
  readonly partialFrameDeadlineMs?: number;
  /** Milliseconds a closed link waits for its goodbye to arrive. @default {500} */
  readonly lingerMs?: number;
}

/** Values of {@linkcode LinkLimits} that are used when none is given. */
export const LINK_LIMITS: Required<LinkLimits> = {
  bufferedBytesMax: 64 * 1024 * 1024,
  writeDeadlineMs: 5_000,
  partialFrameDeadlineMs: 5_000,
  lingerMs: 500,
};

/** Initial size of a writer: most links carry little at a time. */
const WRITER_BYTES = 1024;
/** A write up to this size counts as small. */
const SMALL_WRITE_BYTES = 64 * 1024;
/** A writer that has grown beyond this is released after `SMALL_WRITES_BEFORE_SHRINKING` small writes. */
const WRITER_BYTES_KEPT = 1024 * 1024;
const SMALL_WRITES_BEFORE_SHRINKING = 64;
/** How often a link that is writing, or in the middle of a frame, checks its deadlines. */
const WATCH_INTERVAL_MS = 250;
/** Flag of a ping: a pong has arrived since the last ping, so the receiver of this ping has been heard. */
const PING_HEARD = 1;
/** A longer reason in a goodbye is cut to this many characters. */
const REASON_LENGTH_MAX = 200;

/** Why a link ended. */
export interface LinkClosed {
  /**
   * - `closed`: this side closed it
   * - `goodbye`: the other side closed it and said why
   * - `lost`: the stream ended or broke without a goodbye
   * - `protocol_error`: the other side violated the protocol
   * - `overloaded`: it took frames more slowly than they were written
   * - `write_timeout`: it took nothing at all
   * - `silent`: it no longer answers pings
   * - `failed`: the frame handler, or a `whenBelow` callback, threw
   */
  readonly code:
    | "closed"
    | "goodbye"
    | "lost"
    | "protocol_error"
    | "overloaded"
    | "write_timeout"
    | "silent"
    | "failed";
  /** The reason in words. */
  readonly message: string;
  /** Whether it is a `protocol_error` because of corrupted bytes. @default {false} */
  readonly badRecord?: boolean;
}

/** Receives the events of a link. Calls are synchronous and in order, and none follows `onClosed`. */
export interface LinkHandler {
  /**
   * A frame that does not belong to the link layer itself. `bytes[start, end)`
   * is its payload, valid only during the call. Answer unknown types with
   * {@linkcode sendUnknownType}. A `protocol_error` thrown here closes the
   * link.
   */
  onFrame(
    link: Link,
    type: number,
    flags: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void;
  /** The other end has heard this one: it answered a ping, or its ping says that it got our pong. */
  onHeard(link: Link): void;
  /** The link is closed; called once. */
  onClosed(link: Link, closed: LinkClosed): void;
}

/** What a link needs. */
export interface LinkOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly limits?: LinkLimits;
}

/** Tells the other end that this node does not know frames of `type`. */
export function sendUnknownType(
  sink: FrameSink,
  type: number,
  correlation: number,
): void {
  sink.begin(FrameType.unknownType, correlation).u8(type);
  sink.end();
}

/** Leaves room for the record header before the first frame. */
function emptyWriter(): ByteWriter {
  const writer = new ByteWriter(WRITER_BYTES);
  writer.length = RECORD_HEADER_BYTES;
  return writer;
}

/** One authenticated connection; see the module comment. */
export class Link implements FrameSink {
  /** Who is at the other end. */
  readonly peer: LinkPeer;
  /** Resolves when the stream is closed and the link has released everything. */
  readonly finished: Promise<void>;

  readonly #stream: ByteStream;
  readonly #runtime: Runtime;
  readonly #log: Log;
  readonly #limits: Required<LinkLimits>;
  readonly #received: ReceiveBuffer;
  readonly #handler: LinkHandler;
  #started = false;

  #pending = emptyWriter();
  #spare = emptyWriter();
  /** Pings and pongs that overtake the frames waiting to be sent. */
  #urgent: ByteWriter | undefined;
  #frameStart = -1;
  #flushDue = false;
  #writing = false;
  #inFlightBytes = 0;
  #waitingForRoom: { readonly bytes: number; readonly callback: () => void }[] =
    [];
  #smallWrites = 0;

  #partial = false;
  // Deadlines count the watch's ticks, not time: a process that was paused
  // finds them unchanged, and reads what arrived meanwhile before it judges.
  #partialTicks = 0;
  #writeTicks = 0;
  #watch: TimerHandle | undefined;
  #linger: TimerHandle | undefined;
  #pings = 0;
  /** Whether a pong has come since the last ping. */
  #ponged = false;
  #closed: LinkClosed | undefined;
  #streamClosed = false;
  #receiving: Promise<void> = Promise.resolve();
  #sending: Promise<void> = Promise.resolve();
  readonly #finish: () => void;

  /**
   * @param leftover Bytes that followed the handshake; the link reads them
   * first.
   */
  constructor(
    stream: ByteStream,
    peer: LinkPeer,
    options: LinkOptions,
    handler: LinkHandler,
    leftover: Uint8Array = new Uint8Array(0),
  ) {
    this.#stream = stream;
    this.peer = peer;
    this.#handler = handler;
    this.#runtime = options.runtime;
    this.#log = options.log;
    this.#limits = { ...LINK_LIMITS, ...options.limits };
    this.#received = new ReceiveBuffer(leftover);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  /** Starts receiving. Before that, frames can be written, but none are handed on. */
  start(): void {
    invariant(!this.#started, "a link is started once");
    this.#started = true;
    if (!this.#streamClosed) this.#receiving = this.#receive();
  }

  /** Why the link ended, or undefined while it lives. */
  get closed(): LinkClosed | undefined {
    return this.#closed;
  }

  get bufferedBytes(): number {
    const urgent = this.#urgent === undefined
      ? 0
      : this.#urgent.length - RECORD_HEADER_BYTES;
    return this.#pending.length - RECORD_HEADER_BYTES + this.#inFlightBytes +
      urgent;
  }

  begin(type: number, correlation: number, flags = 0): ByteWriter {
    invariant(this.#frameStart < 0, "a frame ends before the next one begins");
    this.#frameStart = beginFrame(this.#pending, type, correlation, flags);
    return this.#pending;
  }

  end(): void {
    const start = this.#frameStart;
    invariant(start >= 0, "a frame begins before it ends");
    this.#frameStart = -1;
    if (this.#closed !== undefined) {
      // Its users have been told by onClosed.
      this.#pending.length = start;
      return;
    }
    endFrame(this.#pending, start);
    this.#flushWithin();
  }

  /** Schedules a flush, or breaks the link if too much waits. */
  #flushWithin(): void {
    if (this.bufferedBytes > this.#limits.bufferedBytesMax) {
      this.#break(
        "overloaded",
        `${this.bufferedBytes} bytes wait to be sent: the limit is ${this.#limits.bufferedBytesMax}`,
      );
    } else this.#flushSoon();
  }

  /** Writes a ping or pong. */
  #signal(type: number, correlation: number, flags = 0): void {
    const urgentBytes = this.#urgent?.length ?? RECORD_HEADER_BYTES;
    if (
      this.bufferedBytes <= RECORD_BYTES_MAX || this.#closed !== undefined ||
      // All urgent frames are sent in one record.
      urgentBytes + FRAME_HEADER_BYTES > RECORD_HEADER_BYTES + RECORD_BYTES_MAX
    ) {
      this.begin(type, correlation, flags);
      this.end();
      return;
    }
    this.#urgent ??= emptyWriter();
    endFrame(this.#urgent, beginFrame(this.#urgent, type, correlation, flags));
    this.#flushWithin();
  }

  /**
   * Calls back once, asynchronously, when at most `bytes` wait to be sent or
   * the link has ended. For senders that hold data back meanwhile.
   */
  whenBelow(bytes: number, callback: () => void): void {
    this.#waitingForRoom.push({ bytes, callback });
    if (this.#closed !== undefined || this.bufferedBytes <= bytes) {
      this.#runtime.defer(this.#tellOfRoom);
    }
  }

  readonly #tellOfRoom = (): void => {
    const waiting = this.#waitingForRoom;
    this.#waitingForRoom = [];
    for (const waiter of waiting) {
      // An earlier callback may have filled the link again.
      if (this.#closed === undefined && this.bufferedBytes > waiter.bytes) {
        this.#waitingForRoom.push(waiter);
        continue;
      }
      try {
        waiter.callback();
      } catch (error) {
        this.#fail("sending more on it", error);
      }
    }
  };

  /**
   * Asks the other end for a pong, which its link layer sends by itself. The
   * ping also says whether a pong has arrived since the last one, which tells
   * the other end as much as a ping of its own would.
   */
  ping(): void {
    const heard = this.#ponged ? PING_HEARD : 0;
    this.#ponged = false;
    this.#signal(FrameType.ping, ++this.#pings, heard);
  }

  /**
   * Ends the link: frames already written are still sent, then a goodbye with
   * the reason. The handler is told before this returns. Closing twice does
   * nothing.
   */
  close(reason = "closed"): void {
    this.#end({ code: "closed", message: reason }, reason);
  }

  /** Ends the link because the other end no longer answers; nothing more is sent. */
  closeSilent(silentMs: number): void {
    this.#break("silent", `No answer for ${Math.round(silentMs)} ms`);
  }

  #flushSoon(): void {
    if (this.#flushDue || this.#writing) return;
    this.#flushDue = true;
    this.#runtime.defer(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushDue = false;
    if (this.#streamClosed || this.#writing) return;
    if (this.#frameStart >= 0) {
      // Its writer threw between begin and end: half a frame must not be sent.
      this.#log.error("Dropping a frame that was begun and never ended", {
        peer: this.peer.name,
      });
      this.#pending.length = this.#frameStart;
      this.#frameStart = -1;
    }
    const outgoing = this.#pending;
    if (outgoing.length === RECORD_HEADER_BYTES) return;
    this.#pending = this.#spare;
    this.#spare = outgoing;
    this.#writing = true;
    this.#inFlightBytes = outgoing.length - RECORD_HEADER_BYTES;
    this.#sending = this.#write(outgoing);
    if (this.#watch === undefined) this.#runtime.defer(this.#watchWrite);
  };

  /** Most writes complete at once and need no timer. */
  readonly #watchWrite = (): void => {
    if (this.#writing) this.#watchSoon();
  };

  async #write(outgoing: ByteWriter): Promise<void> {
    const length = outgoing.length;
    // The first frame boundary at or after `at`; computed only when needed.
    let frameEnd = RECORD_HEADER_BYTES;
    try {
      for (let at = RECORD_HEADER_BYTES;;) {
        let next = Math.min(at + RECORD_BYTES_MAX, length);
        if (this.#urgent !== undefined) {
          while (frameEnd < at) frameEnd = frameEndAt(outgoing.bytes, frameEnd);
          if (frameEnd === at) {
            await this.#writeUrgent();
            continue;
          }
          next = Math.min(next, frameEnd);
        }
        if (at === length) break;
        this.#writeTicks = 0;
        // The header overwrites the last bytes of the previous record, which
        // have been sent, so nothing has to be moved.
        sealRecord(outgoing, at, next);
        await this.#stream.write(
          outgoing.bytes.subarray(at - RECORD_HEADER_BYTES, next),
        );
        at = next;
        this.#inFlightBytes = length - at;
        if (this.#waitingForRoom.length > 0) this.#tellOfRoom();
      }
    } catch (error) {
      return this.#break("lost", reasonOf(error));
    }
    this.#writing = false;
    this.#giveBack(outgoing, length);
    this.#flush();
  }

  async #writeUrgent(): Promise<void> {
    const urgent = this.#urgent as ByteWriter;
    this.#urgent = undefined;
    this.#writeTicks = 0;
    sealRecord(urgent, RECORD_HEADER_BYTES, urgent.length);
    await this.#stream.write(urgent.bytes.subarray(0, urgent.length));
  }

  /** Keeps a writer for reuse, unless it is much too large for what is sent now. */
  #giveBack(writer: ByteWriter, length: number): void {
    writer.length = RECORD_HEADER_BYTES;
    this.#smallWrites = length > SMALL_WRITE_BYTES ? 0 : this.#smallWrites + 1;
    if (
      writer.bytes.length > WRITER_BYTES_KEPT &&
      this.#smallWrites >= SMALL_WRITES_BEFORE_SHRINKING
    ) this.#spare = emptyWriter();
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        this.#received.drain(FRAME_BYTES_MAX, this.#onFrame);
        // A frame was a goodbye, or its handler broke the link.
        if (this.#streamClosed) return;
        this.#partialTicks = 0;
        this.#partial = this.#received.pendingBytes > 0;
        if (this.#partial) this.#watchSoon();
        const count = await this.#stream.read(this.#received.space());
        if (count === null) {
          return this.#break("lost", "The other end hung up");
        }
        this.#received.filled(count);
      }
    } catch (error) {
      if (
        this.#closed !== undefined || isWhorlError(error, "connection_closed")
      ) return this.#break("lost", reasonOf(error));
      this.#refuse(error);
    }
    await this.#discard();
  }

  /** Reads and drops what still comes, so that our goodbye gets across before the stream closes. */
  async #discard(): Promise<void> {
    this.#partial = false;
    const scratch = new Uint8Array(4096);
    try {
      while (await this.#stream.read(scratch) !== null);
      this.#closeStream();
    } catch (error) {
      this.#break("lost", reasonOf(error));
    }
  }

  #refuse(error: unknown): void {
    if (
      isWhorlError(error, "protocol_error") ||
      isWhorlError(error, "frame_too_large")
    ) {
      const { message } = error;
      this.#log.warn("Closing a link that violates the protocol", {
        peer: this.peer.name,
        address: this.peer.address,
        reason: message,
      });
      this.#end(
        {
          code: "protocol_error",
          message,
          ...(isBadRecord(error) ? { badRecord: true } : {}),
        },
        "protocol_error",
      );
    } else this.#fail("handling its frame", error);
  }

  /** A bug of our own: it ends this link, not the node. */
  #fail(doing: string, error: unknown): void {
    this.#log.error(`Closing a link as ${doing} failed`, {
      peer: this.peer.name,
      address: this.peer.address,
      error,
    });
    this.#end({ code: "failed", message: reasonOf(error) }, "internal");
  }

  readonly #onFrame = (
    type: number,
    flags: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void => {
    if (type === FrameType.goodbye) {
      const reason = new ByteReader(bytes, start, end).text();
      return this.#break("goodbye", reason.slice(0, REASON_LENGTH_MAX));
    }
    if (this.#closed !== undefined) return;
    const handler = this.#handler;
    if (type === FrameType.ping) {
      this.#signal(FrameType.pong, correlation);
      if ((flags & PING_HEARD) !== 0) handler.onHeard(this);
    } else if (type === FrameType.pong) {
      this.#ponged = true;
      handler.onHeard(this);
    } else {
      handler.onFrame(this, type, flags, correlation, bytes, start, end);
    }
  };

  #watchSoon(): void {
    if (this.#watch !== undefined || this.#streamClosed) return;
    this.#watch = this.#runtime.setTimer(WATCH_INTERVAL_MS, () => {
      this.#watch = undefined;
      this.#checkDeadlines();
    });
  }

  #checkDeadlines(): void {
    const { writeDeadlineMs, partialFrameDeadlineMs } = this.#limits;
    if (this.#writing) {
      if (++this.#writeTicks * WATCH_INTERVAL_MS > writeDeadlineMs) {
        return this.#break(
          "write_timeout",
          `A write did not finish in ${writeDeadlineMs} ms`,
        );
      }
    }
    if (this.#partial && this.#closed === undefined) {
      if (++this.#partialTicks * WATCH_INTERVAL_MS > partialFrameDeadlineMs) {
        this.#refuse(
          new WhorlError(
            "protocol_error",
            `Cannot wait longer for a frame that has begun: nothing came for ${partialFrameDeadlineMs} ms`,
          ),
        );
      }
    }
    if (this.#writing || this.#partial) this.#watchSoon();
  }

  /** Ends in order: sends what was written and a goodbye, and lets the other end close. */
  #end(closed: LinkClosed, reason: string): void {
    if (this.#closed !== undefined) return;
    // A frame that will never be ended, because its encoder threw.
    if (this.#frameStart >= 0) this.#pending.length = this.#frameStart;
    this.#frameStart = -1;
    this.begin(FrameType.goodbye, 0).text(reason);
    this.end();
    // The goodbye itself can be what overloads the link.
    if (this.#closed !== undefined) return;
    this.#closed = closed;
    this.#linger = this.#runtime.setTimer(
      this.#limits.lingerMs,
      () => this.#closeStream(),
    );
    this.#handler.onClosed(this, closed);
    this.#runtime.defer(this.#tellOfRoom);
  }

  /** Ends at once, without a goodbye. */
  #break(code: LinkClosed["code"], message: string): void {
    this.#closeStream();
    if (this.#closed !== undefined) return;
    this.#closed = { code, message };
    this.#handler.onClosed(this, this.#closed);
    this.#runtime.defer(this.#tellOfRoom);
  }

  #closeStream(): void {
    if (this.#streamClosed) return;
    this.#streamClosed = true;
    this.#stream.close();
    if (this.#watch !== undefined) this.#runtime.clearTimer(this.#watch);
    if (this.#linger !== undefined) this.#runtime.clearTimer(this.#linger);
    // Both loops end by themselves now that the stream is closed.
    Promise.all([this.#receiving, this.#sending]).then(() => this.#finish());
  }
}
