/**
 * Whether far more comes for the vnodes of one thread than they get done. One
 * vnode alone handles too few commands to tell a burst from a load that stays
 * until both have waited for seconds; all vnodes of a thread together tell it in
 * half a second.
 *
 *     span: 250 ms or more, four commands handled or more
 *       came ≥ 2 × handled, in two spans in a row ──► swamped
 *       anything else ──► not swamped
 *
 * It takes two, as a burst can be all in one. It takes commands that were handled,
 * as a thread that stands still for a moment is not swamped, and nor is it when it
 * then works off what has come. And how much waits must be looked at as well: the
 * thread may be about to do it.
 *
 * It knows no clock; whoever calls says what time it is.
 *
 * @module
 */

/** Shortest time over which is counted, in milliseconds. */
const SPAN_MS = 250;
/** Longest one: when so little is handled, nothing is known. */
const SPAN_MS_MAX = 1_000;
/** Fewer commands than that say little of how many can be handled. */
const HANDLED_MIN = 4;
/** How many times what is handled must have come, */
const TIMES = 2;
/** in so many spans in a row. */
const SPANS = 2;

/** What comes for the vnodes of one thread and what they get done. */
export class ThreadLoad {
  #waiting = 0;
  #came = 0;
  #handled = 0;
  #spanBegunMs = -Infinity;
  #swampedSpans = 0;
  /** How long each command has taken in the last span, in milliseconds. */
  #eachMs = 0;

  /** A command has come that begins something, whatever becomes of it. */
  came(): void {
    this.#came++;
  }

  /** So many more wait, or fewer. */
  waits(more: number): void {
    this.#waiting += more;
    // Whatever comes next is another load.
    if (this.#waiting === 0) this.#swampedSpans = 0;
  }

  /** One is handled that did not have to wait. */
  handledAtOnce(): void {
    this.#handled++;
  }

  /** One is handled that has waited. */
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

  /** Whether far more comes than is handled, and what waits already takes longer than `workMs`. */
  isSwamped(workMs: number): boolean {
    return this.#swampedSpans >= SPANS &&
      this.#waiting * this.#eachMs > workMs;
  }
}
