/**
 * An authenticated connection. Frames that are written in one turn of the event
 * loop leave in one write; while a write is under way the next one gathers, so
 * that a busy link sends few large pieces instead of many small ones. Each write
 * is a record with a checksum of its own (`src/wire/record.ts`). Frames that
 * arrive are handed on synchronously, without copying.
 *
 * Pings and pongs do not stand in line behind megabytes: they leave between two
 * frames, so that a link with much to send is not taken for a silent one.
 *
 * A link defends this node: what waits to leave is bounded, a write must finish,
 * a frame that has begun must go on, and bytes that were changed on the way or
 * are no frames end the link, never the node.
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
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
  /** Bytes that may wait to leave before the link is closed as overloaded. @default {67108864} */
  readonly bufferedBytesMax?: number;
  /** Milliseconds in which the stream must take each record, of at most 256 KiB. @default {5000} */
  readonly writeDeadlineMs?: number;
  /** Milliseconds without a byte after which a record or frame that has begun is given up. @default {5000} */
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

/** Space of a writer to begin with: most links carry little at a time. */
const WRITER_BYTES = 1024;
/** A write up to this size counts as small. */
const SMALL_WRITE_BYTES = 64 * 1024;
/** A writer that has grown beyond this is given back after so many small writes. */
const WRITER_BYTES_KEPT = 1024 * 1024;
const SMALL_WRITES_BEFORE_SHRINKING = 64;
/** How often a link that is writing, or in the middle of a frame, looks at its deadlines. */
const WATCH_INTERVAL_MS = 250;
/** Flag of a ping: a pong has come since the ping before, so whoever reads this has been heard. */
const PING_HEARD = 1;
/** Longest reason in a goodbye that is believed, in characters. */
const REASON_LENGTH_MAX = 200;

/** Why a link ended. */
export interface LinkClosed {
  /**
   * - `closed`: this side closed it
   * - `goodbye`: the other side closed it and said why
   * - `lost`: the stream ended or broke without a word
   * - `protocol_error`: the other side sent what no peer sends
   * - `overloaded`: it took frames more slowly than they were made
   * - `write_timeout`: it took none at all
   * - `silent`: it no longer answers pings
   * - `failed`: the handler of its frames, or who waits for room, threw
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
  /** Whether it is a `protocol_error` because bytes were changed on the way. @default {false} */
  readonly badRecord?: boolean;
}

/** Who is told what a link brings. Calls are synchronous, in order, and none follows `onClosed`. */
export interface LinkHandler {
  /**
   * A frame that is not the link layer's own. `bytes[start, end)` is its
   * payload, valid only during the call. Answer types you do not know with
   * {@linkcode sendUnknownType}. A `protocol_error` thrown here closes the link.
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
  /** The other end has heard this one: it answered a ping, or says that it had an answer to one. */
  onHeard(link: Link): void;
  /** The link is closed; called once. */
  onClosed(link: Link, closed: LinkClosed): void;
}

/** What a link stands on. */
export interface LinkOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly limits?: LinkLimits;
}

/** Tells the other end that this node knows no frames of `type`. */
export function sendUnknownType(
  sink: FrameSink,
  type: number,
  correlation: number,
): void {
  sink.begin(FrameType.unknownType, correlation).u8(type);
  sink.end();
}

/** With room before the first frame for the header of its record. */
function emptyWriter(): ByteWriter {
  const writer = new ByteWriter(WRITER_BYTES);
  writer.length = RECORD_HEADER_BYTES;
  return writer;
}

/** One authenticated connection; see the module's text. */
export class Link implements FrameSink {
  /** Who is at the other end. */
  readonly peer: LinkPeer;
  /** Resolves when the stream is closed and nothing of the link is left. */
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
  /** Pings and pongs that overtake what waits. */
  #urgent: ByteWriter | undefined;
  #frameStart = -1;
  #flushDue = false;
  #writing = false;
  #inFlightBytes = 0;
  #waitingForRoom: { readonly bytes: number; readonly callback: () => void }[] =
    [];
  #smallWrites = 0;

  #partial = false;
  // Deadlines count the watch's ticks, not time: a node that was stopped itself
  // finds them unmoved and gets to read what came meanwhile before it judges.
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
   * @param leftover What came behind the handshake; the link reads on from there.
   */
  constructor(
    stream: ByteStream,
    peer: LinkPeer,
    options: LinkOptions,
    handler: LinkHandler,
    leftover: Uint8Array = NO_BYTES,
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

  /** Begins to receive. Until then frames can be written, and none is handed on. */
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
      // Whoever asks something of this link has been told by onClosed.
      this.#pending.length = start;
      return;
    }
    endFrame(this.#pending, start);
    this.#flushWithin();
  }

  /** Sees to it that what waits leaves, unless it is too much. */
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
      // All that overtakes leaves in one record.
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
   * Calls back once, later, when at most `bytes` wait to leave or the link has
   * ended, so that what is kept elsewhere meanwhile can follow or be given up.
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
      // One that is told first may fill the link again.
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
   * Asks the other end for a pong, which its link layer gives without anybody's
   * help. It is told whether one has come since the ping before: so it knows as
   * much as by a ping of its own.
   */
  ping(): void {
    const heard = this.#ponged ? PING_HEARD : 0;
    this.#ponged = false;
    this.#signal(FrameType.ping, ++this.#pings, heard);
  }

  /**
   * Ends the link: frames already written still leave, then a goodbye with the
   * reason. The handler is told before this returns. Repeating it does nothing.
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
      // Its writer threw between begin and end: half a frame must not leave.
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

  /** Most writes are taken at once, and need no timer. */
  readonly #watchWrite = (): void => {
    if (this.#writing) this.#watchSoon();
  };

  async #write(outgoing: ByteWriter): Promise<void> {
    const length = outgoing.length;
    // The first end of a frame that is not before `at`, when it is looked for.
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
        // The header takes the place of the last bytes of the record before,
        // which have left, so that nothing is moved to make room for it.
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

  /** Keeps a writer for the next turn, unless it has become much too large for what is sent. */
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
        // A frame was a goodbye, or its handler closed the link at once.
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

  /** After garbage nothing is understood any more, but the goodbye must get across before the stream closes. */
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
      this.#log.warn("Closing a link that does not keep the protocol", {
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

  /** A bug of ours met on one link: that link ends, the node lives on. */
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

  /** Ends in good order: what is written leaves, then the goodbye, and the other end hangs up. */
  #end(closed: LinkClosed, reason: string): void {
    if (this.#closed !== undefined) return;
    // A frame that its writer will never end, because its encoder threw.
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

  /** Ends at once. */
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
