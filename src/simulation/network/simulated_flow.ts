/**
 * One direction of a connection, as the systems at its ends keep it: TCP with
 * what matters to a process above it, and without what does not.
 *
 * Kept: bounded send and receive buffers with a window, acknowledgements that
 * need a way back, loss that is made good after a timeout that doubles, order,
 * and giving up in the end. So a process sees late and bunched bytes,
 * back-pressure, and connections that are half-open.
 *
 * Left out: congestion control and fast retransmission, so a loss costs more
 * than in reality; and timers for what is known to arrive. A real sender sets a
 * timer for each segment and mostly calls it off. This one is only set once
 * something has been lost, which saves half of all events and cannot be told
 * from outside.
 *
 * @module
 */
import { invariant } from "../../base/invariant.ts";
import { ByteRing } from "./byte_ring.ts";
import {
  HELD,
  LOST,
  type NetworkConditions,
  type NetworkPath,
} from "./network_path.ts";
import type { ScheduledEvent } from "../virtual_time.ts";

/** Bytes the sender's system keeps until they are acknowledged; a write waits for room. */
export const SEND_BUFFER_BYTES_MAX: number = 256 * 1024;
/** A write that waits is woken once no more than this is unacknowledged, so that it is not fed by the byte. */
const WRITE_AGAIN_BYTES_MAX = SEND_BUFFER_BYTES_MAX * 3 / 4;
/** Bytes the receiver's system keeps until they are read; the sender may send no more. */
export const RECEIVE_BUFFER_BYTES_MAX: number = 256 * 1024;
/** Bytes of one segment, which stands for the burst that a network card makes of one write. */
export const SEGMENT_BYTES_MAX: number = 64 * 1024;
/** Timeouts in a row, each twice as long as the one before, after which a sender gives the connection up; as `tcp_retries2`. */
export const RETRANSMITS_MAX = 15;
/** Longest timeout. */
const RETRANSMIT_MS_MAX = 120_000;

/** The end that sends. */
export interface FlowSender {
  /** There is room in the send buffer that a write waited for. */
  roomCame(): void;
  /** The other end has not answered for so long that the system gives it up. */
  timedOut(): void;
  /** Nothing more will be sent. */
  senderDone(): void;
}

/** The end that receives. */
export interface FlowReceiver {
  /** Whether the system takes what arrives; if not, it has answered with a reset. */
  takes(bytes: number): boolean;
  /** Something can be read, or the end has come. */
  arrived(): void;
}

/** Bytes on their way. */
interface Segment {
  /** Place of its first byte. */
  readonly start: number;
  /** Place behind its last byte. */
  end: number;
  /** Whether it says that the stream ends here. */
  last: boolean;
  /** When it arrives, whatever goes before it; or LOST or HELD. */
  arriveAtMs: number;
  readonly sentAtMs: number;
}

/** What the receiver says on the way back. */
interface Acknowledgement {
  arriveAtMs: number;
  /** It has all bytes before this place. */
  readonly end: number;
  /** It has room for the bytes before this place. */
  readonly windowEnd: number;
}

/** One direction of a connection. */
export class SimulatedFlow {
  readonly path: NetworkPath;
  readonly back: NetworkPath;
  readonly #conditions: NetworkConditions;
  readonly #sender: FlowSender;
  readonly #receiver: FlowReceiver;
  readonly #ring: ByteRing = new ByteRing();

  // What the sender's system knows.
  #sentEnd = 0;
  #acknowledgedEnd = 0;
  #windowEnd = RECEIVE_BUFFER_BYTES_MAX;
  #roomWanted = false;
  #finished = false;
  #lastSent = false;
  #dropped = false;
  /** Timeouts since something was acknowledged. */
  #timeouts = 0;
  #timer: ScheduledEvent | undefined;

  /** Segments that have left and not arrived in order, by place. */
  readonly #underWay: Segment[] = [];
  #arrival: ScheduledEvent | undefined;
  /** Acknowledgements the sender has not looked at, by arrival. */
  readonly #acknowledgements: Acknowledgement[] = [];
  #acknowledging: ScheduledEvent | undefined;

  // What the receiver's system knows.
  #arrivedEnd = 0;
  #toldWindowEnd = RECEIVE_BUFFER_BYTES_MAX;
  #ended = false;
  /** Whether it no longer knows the connection, so that nobody will tell of room again. */
  #deaf = false;

  readonly #onArrival = (): void => this.#arrive();
  readonly #onTimeout = (): void => this.#timeout();
  readonly #onAcknowledged = (): void => {
    this.#acknowledging = undefined;
    this.#readAcknowledgements();
    this.#awaitAcknowledgements();
  };

  constructor(
    path: NetworkPath,
    back: NetworkPath,
    conditions: NetworkConditions,
    sender: FlowSender,
    receiver: FlowReceiver,
  ) {
    this.path = path;
    this.back = back;
    this.#conditions = conditions;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** Whether the sender's system has nothing left to do: all has arrived, or it no longer cares. */
  get over(): boolean {
    return this.#dropped || this.#ended;
  }

  /** Bytes the receiver can read now. */
  get readable(): number {
    return this.#arrivedEnd - this.#ring.start;
  }

  /** Whether everything has arrived, the end included. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Place behind the last byte that was written. */
  get writtenEnd(): number {
    return this.#ring.end;
  }

  /** Place of the next byte to read. */
  get readEnd(): number {
    return this.#ring.start;
  }

  /** Sends a segment without bytes, by which the receiver's system learns that the connection stands. */
  open(): void {
    this.#send(0, false);
  }

  /** Takes over what there is room for of `bytes` from `from` on, and returns how much that was. */
  push(bytes: Uint8Array, from: number): number {
    invariant(!this.#finished, "nothing is written behind the end");
    // Whoever writes need not be told of room meanwhile.
    this.#roomWanted = false;
    this.#readAcknowledgements();
    const room = SEND_BUFFER_BYTES_MAX -
      (this.#ring.end - this.#acknowledgedEnd);
    const count = Math.min(bytes.length - from, room);
    if (count > 0) {
      this.#ring.append(bytes, from, count);
      const bit = this.path.changedBit(count);
      if (bit !== undefined) this.#ring.flip(this.#ring.end - count, bit);
      this.#transmit();
    }
    this.#roomWanted = from + count < bytes.length;
    this.#awaitAcknowledgements();
    return count;
  }

  /** No more is written. What was is still sent, then the end. */
  finish(): void {
    this.#finished = true;
    this.#roomWanted = false;
    this.#transmit();
    this.#awaitAcknowledgements();
  }

  /** Moves bytes that have arrived into `into` and returns how many. */
  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.readable);
    if (count === 0) return 0;
    this.#ring.take(into, count);
    this.#conditions.counts.bytes += count;
    // The sender hears of room once there is much of it, not of every byte.
    const half = RECEIVE_BUFFER_BYTES_MAX / 2;
    if (
      this.#toldWindowEnd - this.#arrivedEnd < half &&
      this.#ring.start + RECEIVE_BUFFER_BYTES_MAX - this.#toldWindowEnd >= half
    ) this.#acknowledge();
    return count;
  }

  /** The sender's system no longer cares; what is under way still arrives. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    this.#roomWanted = false;
    const { time } = this.#conditions;
    if (this.#timer !== undefined) time.cancel(this.#timer);
    if (this.#acknowledging !== undefined) time.cancel(this.#acknowledging);
    this.#timer = this.#acknowledging = undefined;
    this.#acknowledgements.length = 0;
  }

  /** The receiver's system no longer knows the connection. A sender that waits for room asks for it in the end, and hears of that. */
  deafen(): void {
    this.#deaf = true;
    this.#awaitAcknowledgements();
  }

  /** The sender's system says that it knows no such connection, once: if that is lost, nobody hears of it. */
  reset(arrived: () => void): void {
    this.drop();
    this.#conditions.counts.resets++;
    this.path.carry(arrived);
  }

  /** Neither end's system cares, and what is under way is lost. */
  destroy(): void {
    this.drop();
    this.#conditions.counts.lost += this.#underWay.length;
    this.#underWay.length = 0;
    if (this.#arrival === undefined) return;
    this.#conditions.time.cancel(this.#arrival);
    this.#arrival = undefined;
  }

  #transmit(): void {
    // After a timeout the sender waits for a sign of life.
    if (this.#dropped || this.#timeouts > 0) return;
    while (this.#sentEnd < this.#ring.end && this.#sentEnd < this.#windowEnd) {
      const count = Math.min(
        this.#ring.end - this.#sentEnd,
        this.#windowEnd - this.#sentEnd,
        SEGMENT_BYTES_MAX,
      );
      this.#send(count, false);
    }
    if (
      this.#finished && !this.#lastSent && this.#sentEnd === this.#ring.end
    ) {
      this.#lastSent = true;
      this.#send(0, true);
    }
  }

  /** Sends the next `count` bytes. */
  #send(count: number, last: boolean): void {
    const end = this.#sentEnd + count;
    const { time, counts } = this.#conditions;
    const now = time.now();
    const before = this.#underWay.at(-1);
    // What is written at one moment leaves as one segment.
    if (
      before !== undefined && before.sentAtMs === now &&
      end - before.start <= SEGMENT_BYTES_MAX
    ) {
      before.end = end;
      before.last = last;
      this.#sentEnd = end;
      return;
    }
    const start = this.#sentEnd;
    this.#sentEnd = end;
    counts.segments++;
    const arriveAtMs = this.path.arrival();
    this.#underWay.push({ start, end, last, arriveAtMs, sentAtMs: now });
    if (arriveAtMs === LOST) this.#startTimer();
    else this.#awaitArrival();
  }

  /** The next event is the arrival of the first segment: later ones cannot be read before it. */
  #awaitArrival(): void {
    if (this.#arrival !== undefined) return;
    const first = this.#underWay[0];
    if (first === undefined || first.arriveAtMs >= HELD) return;
    const { time } = this.#conditions;
    this.#arrival = time.schedule(
      first.arriveAtMs - time.now(),
      this.#onArrival,
    );
  }

  #arrive(): void {
    this.#arrival = undefined;
    const now = this.#conditions.time.now();
    const underWay = this.#underWay;
    let end = this.#arrivedEnd, last = false, arrived = 0;
    for (; arrived < underWay.length; arrived++) {
      const segment = underWay[arrived] as Segment;
      if (segment.arriveAtMs > now) break;
      end = segment.end;
      last = segment.last;
    }
    // Called a rounding error early, or for what was lost at this very moment.
    if (arrived === 0) return this.#awaitArrival();
    if (!this.#receiver.takes(end - this.#arrivedEnd)) {
      // Should the reset that answers it get lost, the sender will try again.
      for (let i = 0; i < arrived; i++) {
        (underWay[i] as Segment).arriveAtMs = LOST;
      }
      return this.#startTimer();
    }
    if (arrived === 1) underWay.shift();
    else underWay.splice(0, arrived);
    this.#awaitArrival();
    const anything = end > this.#arrivedEnd || last;
    this.#arrivedEnd = end;
    if (last) this.#ended = true;
    if (anything) this.#receiver.arrived();
    // A process that waited has read by now, so there is room again.
    this.#acknowledge();
    if (last) this.#sender.senderDone();
  }

  /** The receiver's system says what it has and what it has room for. */
  #acknowledge(): void {
    if (this.#dropped) return;
    this.#toldWindowEnd = this.#ring.start + RECEIVE_BUFFER_BYTES_MAX;
    let arriveAtMs = this.back.arrival();
    if (arriveAtMs === LOST) return this.#startTimer();
    // An acknowledgement that was overtaken says nothing new; kept in order they are a queue.
    const before = this.#acknowledgements.at(-1);
    if (before !== undefined && before.arriveAtMs > arriveAtMs) {
      arriveAtMs = before.arriveAtMs;
    }
    this.#acknowledgements.push({
      arriveAtMs,
      end: this.#arrivedEnd,
      windowEnd: this.#toldWindowEnd,
    });
    this.#awaitAcknowledgements();
  }

  /** Whether the sender would do anything on an acknowledgement; otherwise it looks when it next writes. */
  get #waiting(): boolean {
    return this.#roomWanted || this.#timeouts > 0 ||
      this.#sentEnd < this.#ring.end || (this.#finished && !this.#lastSent);
  }

  #awaitAcknowledgements(): void {
    if (this.#acknowledging !== undefined || !this.#waiting) return;
    if (this.#deaf) this.#startTimer();
    const first = this.#acknowledgements[0];
    if (first === undefined || first.arriveAtMs >= HELD) return;
    const { time } = this.#conditions;
    this.#acknowledging = time.schedule(
      first.arriveAtMs - time.now(),
      this.#onAcknowledged,
    );
  }

  /** The sender's system looks at what has come back. */
  #readAcknowledgements(): void {
    const queue = this.#acknowledgements;
    const now = this.#conditions.time.now();
    let read = 0;
    for (; read < queue.length; read++) {
      const { arriveAtMs, end, windowEnd } = queue[read] as Acknowledgement;
      if (arriveAtMs > now) break;
      this.#acknowledgedEnd = end;
      this.#windowEnd = windowEnd;
    }
    if (read === 0) return;
    if (read === 1) queue.shift();
    else queue.splice(0, read);
    if (this.#timeouts > 0) {
      this.#timeouts = 0;
      this.#sendLostAgain(Infinity);
    }
    this.#transmit();
    if (
      this.#roomWanted &&
      this.#ring.end - this.#acknowledgedEnd <= WRITE_AGAIN_BYTES_MAX
    ) {
      this.#roomWanted = false;
      this.#sender.roomCame();
    }
  }

  #startTimer(): void {
    if (this.#timer !== undefined || this.#dropped) return;
    this.#timer = this.#conditions.time.schedule(
      Math.min(
        RETRANSMIT_MS_MAX,
        this.path.retransmitMs * 2 ** this.#timeouts,
      ),
      this.#onTimeout,
    );
  }

  #timeout(): void {
    this.#timer = undefined;
    this.#readAcknowledgements();
    const lost = this.#underWay.some(({ arriveAtMs }) => arriveAtMs === LOST);
    // What was lost may have been an acknowledgement that a later one makes good.
    const latest = this.#acknowledgements.at(-1);
    const unheard = (latest?.end ?? this.#acknowledgedEnd) < this.#arrivedEnd ||
      (latest?.windowEnd ?? this.#windowEnd) < this.#toldWindowEnd ||
      (this.#timeouts > 0 && latest === undefined &&
        this.#underWay.length === 0) ||
      (this.#deaf && this.#waiting);
    if (!lost && !unheard) return;
    if (this.#timeouts === RETRANSMITS_MAX) {
      this.drop();
      return this.#sender.timedOut();
    }
    this.#timeouts++;
    if (lost) this.#sendLostAgain(1);
    else this.#probe();
    this.#awaitAcknowledgements();
  }

  /** Sends up to `count` lost segments again, the first ones first. */
  #sendLostAgain(count: number): void {
    const { counts } = this.#conditions;
    for (const segment of this.#underWay) {
      if (segment.arriveAtMs !== LOST) continue;
      if (count-- === 0) break;
      counts.segments++;
      counts.retransmitted++;
      segment.arriveAtMs = this.path.arrival();
      if (segment.arriveAtMs === LOST) this.#startTimer();
    }
    this.#awaitArrival();
  }

  /** Sends something the receiver has already, to hear what it says to that. */
  #probe(): void {
    this.#conditions.counts.segments++;
    this.#conditions.counts.retransmitted++;
    this.#startTimer();
    this.path.carry(() => {
      if (this.#receiver.takes(0)) this.#acknowledge();
    });
  }

  /** Everything on its way to the receiver is lost. */
  pathBroke(): void {
    const now = this.#conditions.time.now();
    let lost = 0;
    for (const segment of this.#underWay) {
      if (segment.arriveAtMs <= now || segment.arriveAtMs === LOST) continue;
      segment.arriveAtMs = LOST;
      lost++;
    }
    if (lost === 0) return;
    this.#conditions.counts.lost += lost;
    this.#recallArrival();
    this.#startTimer();
  }

  /** Everything on its way back to the sender is lost. */
  backBroke(): void {
    const now = this.#conditions.time.now();
    const queue = this.#acknowledgements;
    const first = queue.findIndex(({ arriveAtMs }) => arriveAtMs > now);
    if (first === -1) return;
    this.#conditions.counts.lost += queue.splice(first).length;
    this.#recallAcknowledging();
    this.#startTimer();
  }

  /** The path was stalled, or flows again. */
  pathStalled(stalled: boolean): void {
    this.#holdOrRelease(this.#underWay, this.path, stalled);
    this.#recallArrival();
    this.#awaitArrival();
  }

  /** The way back was stalled, or flows again. */
  backStalled(stalled: boolean): void {
    this.#holdOrRelease(this.#acknowledgements, this.back, stalled);
    let latest = 0;
    for (const one of this.#acknowledgements) {
      one.arriveAtMs = latest = Math.max(latest, one.arriveAtMs);
    }
    this.#recallAcknowledging();
    this.#awaitAcknowledgements();
  }

  #holdOrRelease(
    packets: { arriveAtMs: number }[],
    path: NetworkPath,
    stalled: boolean,
  ): void {
    const now = this.#conditions.time.now();
    for (const packet of packets) {
      const { arriveAtMs } = packet;
      if (stalled && arriveAtMs > now && arriveAtMs < HELD) {
        packet.arriveAtMs = HELD;
      } else if (!stalled && arriveAtMs === HELD) {
        packet.arriveAtMs = path.arrivalAfterStall();
      }
    }
  }

  #recallArrival(): void {
    if (this.#arrival === undefined) return;
    // What is due at this very moment has arrived.
    if (this.#arrival.atMs <= this.#conditions.time.now()) return;
    this.#conditions.time.cancel(this.#arrival);
    this.#arrival = undefined;
  }

  #recallAcknowledging(): void {
    if (this.#acknowledging === undefined) return;
    this.#conditions.time.cancel(this.#acknowledging);
    this.#acknowledging = undefined;
  }
}
