/**
 * One direction between two nodes: what happens to bytes on their way from one
 * to the other, whoever of the two has opened the connection.
 *
 * TCP hides loss and never reorders, so neither can happen here: bytes are held
 * back, come late, are changed, or their connection ends. A lane that is
 * blocked keeps what it has and hands it on once it is open again, as a network
 * does whose ends retransmit.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";

/** What a lane does to bytes. All may be in force at once. */
export interface LaneConditions {
  /** Nothing passes. @default {false} */
  readonly blocked?: boolean;
  /** Each byte comes so much later, in milliseconds. @default {0} */
  readonly delayMs?: number;
  /** Each piece comes up to so much later still; never before an earlier one. @default {0} */
  readonly jitterMs?: number;
  /** Nothing passes for so long … @default {0} */
  readonly stallMs?: number;
  /** … and then everything for so long, by turns. @default {100} */
  readonly flowMs?: number;
  /** So many bytes pass in a second, of all connections together. @default {all there are} */
  readonly bytesPerSecond?: number;
  /** Of so many bytes, one on average has a bit flipped. @default {none} */
  readonly corruptEveryBytes?: number;
}

const FLOW_MS_DEFAULT = 100;

/** The bytes from one node to another. */
export class Lane {
  readonly #chance: Chance;
  readonly #imposed = new Map<object, LaneConditions>();
  readonly #changed = new Set<() => void>();
  #stallsSinceMs = 0;
  #lastAtMs = 0;
  /** What takes its time to pass; the first is on its way, the others wait for it. */
  readonly #passing = new Set<object>();
  /** When the last of what took its time had passed. */
  #freeAtMs = 0;
  /** Bytes that have come through. */
  bytesPassed = 0;
  /** Bits flipped. */
  bitsFlipped = 0;

  /** @param chance Draws jitter, and which bits are flipped. */
  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** Puts `conditions` in force until {@linkcode Lane.lift} is called for the same `cause`. */
  impose(cause: object, conditions: LaneConditions): void {
    if (!this.#stalls) this.#stallsSinceMs = performance.now();
    this.#imposed.set(cause, conditions);
    this.#tell();
  }

  /** Takes back what `cause` has imposed. */
  lift(cause: object): void {
    this.#imposed.delete(cause);
    this.#tell();
  }

  #tell(): void {
    for (const tell of [...this.#changed]) tell();
  }

  #sum(name: "delayMs" | "jitterMs"): number {
    let sum = 0;
    for (const one of this.#imposed.values()) sum += one[name] ?? 0;
    return sum;
  }

  get #stalls(): LaneConditions | undefined {
    for (const one of this.#imposed.values()) {
      if ((one.stallMs ?? 0) > 0) return one;
    }
    return undefined;
  }

  /** Milliseconds until something may pass: 0 is now, `Infinity` not before the conditions change. */
  #closedForMs(): number {
    for (const { blocked } of this.#imposed.values()) {
      if (blocked) return Infinity;
    }
    const stalls = this.#stalls;
    if (stalls === undefined) return 0;
    const stallMs = stalls.stallMs as number;
    const turnMs = stallMs + (stalls.flowMs ?? FLOW_MS_DEFAULT);
    const into = (performance.now() - this.#stallsSinceMs) % turnMs;
    return Math.max(0, stallMs - into);
  }

  /** Resolves once something may pass, or when `signal` fires. */
  async opened(signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = this.#closedForMs();
      if (waitMs === 0 || signal.aborted) return;
      await this.#changedOr(waitMs, signal);
    }
  }

  get #bytesPerSecond(): number {
    let least = Infinity;
    for (const { bytesPerSecond } of this.#imposed.values()) {
      least = Math.min(least, bytesPerSecond ?? Infinity);
    }
    return least;
  }

  /** Resolves once `bytes` have had the time to pass, or when `signal` fires. */
  async passed(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === Infinity) return;
    const sinceMs = performance.now();
    const piece = {};
    this.#passing.add(piece);
    for (;;) {
      const rate = this.#bytesPerSecond;
      if (rate === Infinity || signal.aborted) break;
      const [first] = this.#passing;
      const atMs = first === piece
        ? Math.max(this.#freeAtMs, sinceMs) + bytes * 1_000 / rate
        : Infinity;
      const waitMs = atMs - performance.now();
      if (waitMs <= 0) {
        this.#freeAtMs = atMs;
        break;
      }
      await this.#changedOr(waitMs, signal);
    }
    this.#passing.delete(piece);
    this.#tell();
  }

  #changedOr(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.#changed.delete(done);
        resolve();
      };
      const timer = Number.isFinite(waitMs)
        ? setTimeout(done, waitMs)
        : undefined;
      this.#changed.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** When what is sent now arrives, on the clock of `performance.now()`. */
  arrivalMs(): number {
    const jitterMs = this.#sum("jitterMs");
    const atMs = performance.now() + this.#sum("delayMs") +
      (jitterMs > 0 ? this.#chance.next() * jitterMs : 0);
    this.#lastAtMs = Math.max(this.#lastAtMs, atMs);
    return this.#lastAtMs;
  }

  /** Changes `bytes` as the conditions say, in place, and counts them. */
  spoil(bytes: Uint8Array): void {
    this.bytesPassed += bytes.length;
    for (const { corruptEveryBytes } of this.#imposed.values()) {
      if (corruptEveryBytes === undefined) continue;
      if (!this.#chance.chance(bytes.length / corruptEveryBytes)) continue;
      const at = this.#chance.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ 1 << this.#chance.below(8);
      this.bitsFlipped++;
    }
  }
}
