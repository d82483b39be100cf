/**
 * One direction of a connection, as kept by the systems at its ends: the parts
 * of TCP that a process can notice.
 *
 * Included: bounded send and receive buffers with a window, acknowledgements
 * that need a way back, retransmission after a timeout that doubles, ordering,
 * and giving up in the end. So a process sees late and batched bytes,
 * back-pressure, and half-open connections.
 *
 * Left out: congestion control and fast retransmission, so a loss costs more
 * than in reality; and timers for what is known to arrive. A real sender sets a
 * timer for each segment and usually cancels it. This one sets a timer only
 * once something has been lost, which saves half of all events and is invisible
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

/**
 * Bytes the sending system keeps until they are acknowledged; a write waits for
 * room.
 */
export const SEND_BUFFER_BYTES_MAX: number = 256 * 1024;
/**
 * A waiting write continues once no more than this is unacknowledged, so that
 * it does not trickle.
 */
const WRITE_AGAIN_BYTES_MAX = SEND_BUFFER_BYTES_MAX * 3 / 4;
/**
 * Bytes the receiving system keeps until they are read; the sender may not send
 * more.
 */
export const RECEIVE_BUFFER_BYTES_MAX: number = 256 * 1024;
/**
 * Bytes of one segment, which stands for the burst that a network card makes of
 * one write.
 */
export const SEGMENT_BYTES_MAX: number = 64 * 1024;
/**
 * Consecutive timeouts, each twice as long as the previous one, after which a
 * sender gives up the connection; as `tcp_retries2`.
 */
export const RETRANSMITS_MAX = 15;
/** Longest timeout. */
const RETRANSMIT_MS_MAX = 120_000;

/** The end that sends. */
export interface FlowSender {
  /** The send buffer has room that a write waited for. */
  roomCame(): void;
  /** The other end has not answered for so long that the system gives up. */
  timedOut(): void;
  /** Nothing more will be sent. */
  senderDone(): void;
}

/** The end that receives. */
export interface FlowReceiver {
  /**
   * Whether the system accepts what arrives; if not, it has answered with a
   * reset.
   */
  takes(bytes: number): boolean;
  /** Something can be read, or the stream has ended. */
  arrived(): void;
}

/** Bytes in flight. */
interface Segment {
  /** Position of its first byte. */
  readonly start: number;
  /** Position after its last byte. */
  end: number;
  /** Whether it carries the end of the stream. */
  last: boolean;
  /** When it arrives, regardless of earlier segments; or LOST or HELD. */
  arriveAtMs: number;
  readonly sentAtMs: number;
}

/** Feedback from the receiver. */
interface Acknowledgement {
  arriveAtMs: number;
  /** It has all bytes before this position. */
  readonly end: number;
  /** It has room for the bytes before this position. */
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

  // State of the sending system.
  #sentEnd = 0;
  #acknowledgedEnd = 0;
  #windowEnd = RECEIVE_BUFFER_BYTES_MAX;
  #roomWanted = false;
  #finished = false;
  #lastSent = false;
  #dropped = false;
  /** Timeouts since the last acknowledgement. */
  #timeouts = 0;
  #timer: ScheduledEvent | undefined;

  /** Segments sent and not yet arrived in order, by position. */
  readonly #underWay: Segment[] = [];
  #arrival: ScheduledEvent | undefined;
  /** Acknowledgements not yet processed by the sender, by arrival. */
  readonly #acknowledgements: Acknowledgement[] = [];
  #acknowledging: ScheduledEvent | undefined;

  // State of the receiving system.
  #arrivedEnd = 0;
  #toldWindowEnd = RECEIVE_BUFFER_BYTES_MAX;
  #ended = false;
  /**
   * Whether it has forgotten the connection, so that nobody will announce room
   * again.
   */
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

  /**
   * Whether the sending system has nothing left to do: everything has arrived,
   * or it has given up.
   */
  get over(): boolean {
    return this.#dropped || this.#ended;
  }

  /** Bytes the receiver can read now. */
  get readable(): number {
    return this.#arrivedEnd - this.#ring.start;
  }

  /** Whether everything has arrived, including the end. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Position after the last byte written. */
  get writtenEnd(): number {
    return this.#ring.end;
  }

  /** Position of the next byte to read. */
  get readEnd(): number {
    return this.#ring.start;
  }

  /**
   * Sends a segment without bytes, which tells the receiving system that the
   * connection is established.
   */
  open(): void {
    this.#send(0, false);
  }

  /**
   * Accepts as many of `bytes` from `from` on as there is room for, and returns
   * how many.
   */
  push(bytes: Uint8Array, from: number): number {
    invariant(!this.#finished, "nothing is written behind the end");
    // A writer needs no notification of room meanwhile.
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

  /** Ends the writing. Everything written is still sent, then the end. */
  finish(): void {
    this.#finished = true;
    this.#roomWanted = false;
    this.#transmit();
    this.#awaitAcknowledgements();
  }

  /** Moves arrived bytes into `into` and returns how many. */
  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.readable);
    if (count === 0) return 0;
    this.#ring.take(into, count);
    this.#conditions.counts.bytes += count;
    // The sender is told of room once there is much of it, not for every byte.
    const half = RECEIVE_BUFFER_BYTES_MAX / 2;
    if (
      this.#toldWindowEnd - this.#arrivedEnd < half &&
      this.#ring.start + RECEIVE_BUFFER_BYTES_MAX - this.#toldWindowEnd >= half
    ) this.#acknowledge();
    return count;
  }

  /** The sending system gives up; what is in flight still arrives. */
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

  /**
   * The receiving system forgets the connection. A sender that waits for room
   * probes in the end, and learns of that.
   */
  deafen(): void {
    this.#deaf = true;
    this.#awaitAcknowledgements();
  }

  /**
   * The sending system sends a reset, once: if that is lost, nobody learns of
   * it.
   */
  reset(arrived: () => void): void {
    this.drop();
    this.#conditions.counts.resets++;
    this.path.carry(arrived);
  }

  /** Both systems forget the connection, and what is in flight is lost. */
  destroy(): void {
    this.drop();
    this.#conditions.counts.lost += this.#underWay.length;
    this.#underWay.length = 0;
    if (this.#arrival === undefined) return;
    this.#conditions.time.cancel(this.#arrival);
    this.#arrival = undefined;
  }

  #transmit(): void {
    // After a timeout the sender waits for an acknowledgement.
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

  /**
   * Schedules the arrival of the first segment: later ones cannot be read
   * before it.
   */
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
    // The event came early by a rounding error, or its segment was lost at this
    // moment.
    if (arrived === 0) return this.#awaitArrival();
    if (!this.#receiver.takes(end - this.#arrivedEnd)) {
      // If the reset that answers it is lost, the sender will retry.
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
    // A waiting process has read by now, so there is room again.
    this.#acknowledge();
    if (last) this.#sender.senderDone();
  }

  /** The receiving system reports what it has, and its window. */
  #acknowledge(): void {
    if (this.#dropped) return;
    this.#toldWindowEnd = this.#ring.start + RECEIVE_BUFFER_BYTES_MAX;
    let arriveAtMs = this.back.arrival();
    if (arriveAtMs === LOST) return this.#startTimer();
    // An overtaken acknowledgement is redundant; kept in order, they form a
    // queue.
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

  /**
   * Whether the sender would act on an acknowledgement; otherwise it processes
   * it at its next write.
   */
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

  /** The sending system processes acknowledgements. */
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
    // A lost acknowledgement may be covered by a later one.
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

  /** Retransmits up to `count` lost segments, in order. */
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

  /**
   * Sends something the receiver already has, to provoke an acknowledgement.
   */
  #probe(): void {
    this.#conditions.counts.segments++;
    this.#conditions.counts.retransmitted++;
    this.#startTimer();
    this.path.carry(() => {
      if (this.#receiver.takes(0)) this.#acknowledge();
    });
  }

  /** Everything in flight to the receiver is lost. */
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

  /** Everything in flight back to the sender is lost. */
  backBroke(): void {
    const now = this.#conditions.time.now();
    const queue = this.#acknowledgements;
    const first = queue.findIndex(({ arriveAtMs }) => arriveAtMs > now);
    if (first === -1) return;
    this.#conditions.counts.lost += queue.splice(first).length;
    this.#recallAcknowledging();
    this.#startTimer();
  }

  /** The path was stalled, or is no longer stalled. */
  pathStalled(stalled: boolean): void {
    this.#holdOrRelease(this.#underWay, this.path, stalled);
    this.#recallArrival();
    this.#awaitArrival();
  }

  /** The way back was stalled, or is no longer stalled. */
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
