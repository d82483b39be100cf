/**
 * What a client has learned about overload, and respects: an operation that
 * shares the fate of a refused one (`shared_fate.ts`) is refused by the client
 * itself until asking again makes sense. At ten times the capacity of vnodes,
 * nine of ten operations are refused; most of their cost is the way there and
 * back, and it is taken from those that are served.
 *
 *     refused ── held: refused here ── time is over ──► asked again
 *        ▲                                                │ the first one
 *        └── refused too: held for twice as long ◄────────┴──► taken: as ever
 *
 * The time is the one that vnodes give, about half of their backlog, randomized
 * by a quarter so that clients do not come back all at once. Others may have
 * used up the room: the first operation afterwards is a probe, and if it is
 * refused as well, the next time is twice as long, up to a second. So many
 * clients ask less often, a single one asks when there is room, and all
 * operations are sent again at most 1.25 s after the nodes take them again.
 * (The node says when to come back, and doubling is for those who do not know
 * of each other, as with `Retry-After` and back-off in HTTP, RFC 9110, and as
 * clients throttle themselves in Beyer et al., "Site Reliability Engineering",
 * 2016, chapter 21, though by chance, and for all of a server together.)
 *
 * It has no clock; callers pass the time.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { RING_SIZE_MAX, RING_SIZE_MIN } from "../ring/chash.ts";
import { OPERATION_KEY_OFFSET } from "./operation_codec.ts";
import { partitionOfKey } from "./operation_partition.ts";
import { type Demand, demandOf } from "./shared_fate.ts";
import { TOLD_MS_MAX } from "./told_overloads.ts";

/** Longest time for which nothing is asked, in milliseconds, before randomization. */
export const HELD_MS_MAX: number = TOLD_MS_MAX;
/** Share by which times are randomized. */
const JITTER = 0.25;
/** A partition's record is dropped once it has not been refused for this long, in milliseconds. */
const FORGOTTEN_AFTER_MS = 1_000;
/** Kinds of demand that are remembered, each for all partitions; an application has few. */
const DEMANDS_MAX = 64;
/** No operation has this number. */
const NONE = 0;

/** One partition for one demand. */
interface Held {
  /** Nothing is asked until then. */
  untilMs: number;
  /** For how long, before randomization. */
  holdMs: number;
  /** The first operation since then. */
  probe: number;
}

/** The records of one kind of demand. */
interface HeldPartitions extends Demand {
  readonly ringSize: number;
  readonly partitions: Map<number, Held>;
  /** When the last of them may be asked again. */
  untilMs: number;
}

/** What one client has been told, or several that share it; see the module comment. */
export class HeededOverloads {
  readonly #random: () => number;
  #held: HeldPartitions[] = [];
  #next = 1;

  /** @param random Chance, from 0 up to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A number that identifies an operation, among those of all clients that share this. */
  numberNext(): number {
    return this.#next++;
  }

  /** Whether nothing is held. */
  get empty(): boolean {
    return this.#held.length === 0;
  }

  /**
   * Why the operation in `bytes[start, end)` must not be sent, if so; otherwise
   * it counts as sent.
   *
   * @param number Identifies the operation when it is answered.
   */
  refusal(
    number: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    nowMs: number,
  ): WhorlError | undefined {
    if (this.empty) return undefined;
    const at = this.#indexOf(demandOf(bytes, start));
    if (at < 0) return undefined;
    const { ringSize, partitions, untilMs } = this.#held[at] as HeldPartitions;
    if (nowMs > untilMs + FORGOTTEN_AFTER_MS) {
      this.#held.splice(at, 1);
      return undefined;
    }
    const partition = partitionOfOperation(bytes, start, end, ringSize);
    const held = partitions.get(partition);
    if (held === undefined) return undefined;
    const leftMs = held.untilMs - nowMs;
    if (leftMs > 0) return refusal(partition, ringSize, Math.ceil(leftMs));
    if (-leftMs > FORGOTTEN_AFTER_MS) partitions.delete(partition);
    else if (held.probe === NONE) held.probe = number;
    return undefined;
  }

  /** The operation `number` was answered with `error`. */
  hear(
    number: number,
    demand: Demand,
    { code, details }: WhorlError,
    nowMs: number,
  ): void {
    if (code !== "overload") return;
    const { againAfterMs, keyPartition, ringSize } = details;
    // It comes from another process and may have any shape.
    if (typeof againAfterMs !== "number" || !(againAfterMs > 0)) return;
    if (!isRingSize(ringSize) || !isPartition(keyPartition, ringSize)) return;
    const shared = this.#heldFor(demand, ringSize);
    let held = shared.partitions.get(keyPartition);
    if (held === undefined) {
      held = { untilMs: -Infinity, holdMs: 0, probe: NONE };
      shared.partitions.set(keyPartition, held);
    }
    const toldMs = Math.min(againAfterMs, HELD_MS_MAX);
    let holdMs = toldMs;
    if (held.probe === number) {
      holdMs = Math.min(HELD_MS_MAX, Math.max(toldMs, 2 * held.holdMs));
    }
    const untilMs = nowMs + this.#about(holdMs);
    if (held.untilMs <= nowMs) {
      held.holdMs = holdMs;
      held.probe = NONE;
    }
    // Otherwise it was sent before that was known.
    held.untilMs = Math.max(held.untilMs, untilMs);
    shared.untilMs = Math.max(shared.untilMs, held.untilMs);
  }

  #about(ms: number): number {
    return ms * (1 - JITTER + 2 * JITTER * this.#random());
  }

  #indexOf({ moduleId, demand, bucketSum }: Demand): number {
    return this.#held.findIndex((one) =>
      one.moduleId === moduleId && one.demand === demand &&
      one.bucketSum === bucketSum
    );
  }

  #heldFor(demand: Demand, ringSize: number): HeldPartitions {
    const at = this.#indexOf(demand);
    const known = this.#held[at];
    if (known?.ringSize === ringSize) return known;
    // The ring has been resized, or a caller keeps varying its demands.
    if (known !== undefined) this.#held.splice(at, 1);
    else if (this.#held.length === DEMANDS_MAX) this.#held.shift();
    const held: HeldPartitions = {
      ...demand,
      ringSize,
      partitions: new Map(),
      untilMs: -Infinity,
    };
    this.#held.push(held);
    return held;
  }
}

function refusal(
  keyPartition: number,
  ringSize: number,
  againAfterMs: number,
): WhorlError {
  return new WhorlError(
    "overload",
    `Cannot begin an operation as vnodes of partition ${keyPartition} have said that they are overloaded: again after ${againAfterMs} ms`,
    { details: { keyPartition, ringSize, againAfterMs, heeded: true } },
  );
}

/** The partition of the operation in `bytes[start, end)`; -1 if the node will refuse it anyway. */
function partitionOfOperation(
  bytes: Uint8Array,
  start: number,
  end: number,
  ringSize: number,
): number {
  const lengthAt = start + OPERATION_KEY_OFFSET;
  const keyStart = lengthAt + 2;
  const keyEnd = keyStart +
    ((bytes[lengthAt] as number) << 8 | (bytes[lengthAt + 1] as number));
  if (!(keyEnd <= end)) return -1;
  try {
    return partitionOfKey(bytes, keyStart, keyEnd, ringSize);
  } catch (error) {
    if (isWhorlError(error)) return -1;
    throw error;
  }
}

function isRingSize(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= RING_SIZE_MIN &&
    (value as number) <= RING_SIZE_MAX &&
    Number.isInteger(Math.log2(value as number));
}

function isPartition(value: unknown, ringSize: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 &&
    (value as number) < ringSize;
}
