/**
 * Detects that far more commands arrive for the vnodes of one thread than they
 * handle. A single vnode handles too few commands to distinguish a burst from a
 * lasting overload before both have waited for seconds; all vnodes of a thread
 * together can tell in half a second.
 *
 *     span: 250 ms or more, four commands handled or more
 *       came ≥ 2 × handled, in two spans in a row ──► swamped
 *       anything else ──► not swamped
 *
 * Two spans are needed, since a burst may fall into one. Handled commands are
 * needed, since a thread that pauses for a moment is not swamped, nor is it
 * while it then works off what has arrived. The backlog counts as well, since
 * the thread may be about to finish it.
 *
 * It has no clock; callers pass the time.
 *
 * @module
 */

/** Shortest span, in milliseconds. */
const SPAN_MS = 250;
/** Longest span, in milliseconds: if too few commands are handled in it, nothing is known. */
const SPAN_MS_MAX = 1_000;
/** Fewer handled commands than this say little about the rate. */
const HANDLED_MIN = 4;
/** A thread is swamped if this many times as many commands arrive as are handled, */
const TIMES = 2;
/** in this many consecutive spans. */
const SPANS = 2;

/** The commands that arrive for the vnodes of one thread and those they handle. */
export class ThreadLoad {
  #waiting = 0;
  #came = 0;
  #handled = 0;
  #spanBegunMs = -Infinity;
  #swampedSpans = 0;
  /** How long each command has taken in the last span, in milliseconds. */
  #eachMs = 0;

  /** A command that begins something has arrived, whether admitted or not. */
  came(): void {
    this.#came++;
  }

  /** The number of queued commands has changed by `more`, which may be negative. */
  waits(more: number): void {
    this.#waiting += more;
    // The next arrivals are a different load.
    if (this.#waiting === 0) this.#swampedSpans = 0;
  }

  /** A command is handled that did not have to wait. */
  handledAtOnce(): void {
    this.#handled++;
  }

  /** A command is handled that was queued. */
  handled(nowMs: number): void {
    this.#handled++;
    const spanMs = nowMs - this.#spanBegunMs;
    if (spanMs < SPAN_MS) return;
    if (spanMs > SPAN_MS_MAX) this.#swampedSpans = 0;
    else if (this.#handled < HANDLED_MIN) return;
    else if (this.#came >= TIMES * this.#handled) this.#swampedSpans++;
    else this.#swampedSpans = 0;
    this.#eachMs = spanMs / this.#handled;
    this.#spanBegunMs = nowMs;
    this.#came = 0;
    this.#handled = 0;
  }

  /** Whether far more commands arrive than are handled, and the backlog takes longer than `workMs`. */
  isSwamped(workMs: number): boolean {
    return this.#swampedSpans >= SPANS &&
      this.#waiting * this.#eachMs > workMs;
  }
}
