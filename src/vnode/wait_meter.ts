/**
 * Measures whether a vnode keeps up with its mailbox, and how long a command
 * that arrives now would wait.
 *
 *     keeps up ── all it takes has waited too long, for long ──► behind
 *        ▲                                                          │
 *        └──── nothing waits for it, nor for others of its thread ◄─┘
 *
 * It is behind sooner, as soon as a command has waited too long, if its thread
 * is swamped (`thread_load.ts`).
 *
 * The criterion is the wait of the oldest command and not the length of the
 * queue: it suits commands of any duration and is not triggered by a burst that
 * is being worked off (Nichols and Jacobson, "Controlling Queue Delay", 2012).
 * It is not over when the mailbox is empty: a thread serves many vnodes, and
 * empties one mailbox while it falls behind with others.
 *
 * The expected wait follows from Little's law: the number of waiting commands
 * times the time for each, as measured on handled ones. Time in which the vnode
 * accepts no commands, for reasons of its own, does not count as falling
 * behind.
 *
 * @module
 */

/**
 * Commands over which the time for each is measured; the weight of older ones
 * is halved each time.
 */
const MEASURED_COMMANDS = 64;

/** When a vnode counts as behind. */
export interface WaitRule {
  /**
   * How long every command taken must have waited too long, in milliseconds.
   */
  readonly behindAfterMs: number;
  /** Waiting longer than this is too long, in milliseconds. */
  readonly waitMsMax: number;
}

/** The meter of one mailbox. It has no clock; callers pass the time. */
export class WaitMeter {
  readonly #rule: WaitRule;
  /** When the vnode began to accept commands, if it does. */
  #openedMs: number | undefined;
  /** Since when every command taken has waited too long. */
  #overSinceMs: number | undefined;
  #behind = false;
  #handled = 0;
  /** Total wait of the measured commands, and how many were handled meanwhile. */
  #waitedMs = 0;
  #places = 0;

  constructor(rule: WaitRule) {
    this.#rule = rule;
  }

  /** Whether the vnode has fallen behind since it last caught up. */
  get behind(): boolean {
    return this.#behind;
  }

  /** Number of commands handled so far. */
  get handled(): number {
    return this.#handled;
  }

  /** The vnode accepts commands from now on. */
  open(nowMs: number): void {
    this.#openedMs = nowMs;
    this.keptUp();
  }

  /** The vnode accepts no commands for a while. */
  close(): void {
    this.#openedMs = undefined;
    this.keptUp();
  }

  /**
   * Notes that the oldest waiting command, or the one taken just now, arrived
   * at `arrivedMs`.
   *
   * @param swamped Whether far more commands arrive for the thread than it
   * handles.
   */
  look(arrivedMs: number, nowMs: number, swamped: boolean): void {
    if (this.#openedMs === undefined) return;
    const { waitMsMax, behindAfterMs } = this.#rule;
    const overMs = Math.max(arrivedMs, this.#openedMs) + waitMsMax;
    if (nowMs > overMs) {
      this.#overSinceMs ??= overMs;
      const forMs = nowMs - this.#overSinceMs;
      if (swamped || forMs >= behindAfterMs) this.#behind = true;
    } else if (!this.#behind) this.#overSinceMs = undefined;
  }

  /**
   * Notes that a command which arrived at `arrivedMs`, when `handledBefore`
   * commands had been handled, is handled now.
   */
  serve(arrivedMs: number, handledBefore: number, nowMs: number): void {
    this.#waitedMs += nowMs - Math.max(arrivedMs, this.#openedMs ?? nowMs);
    this.#places += this.#handled - handledBefore + 1;
    this.#handled++;
    if (this.#places < MEASURED_COMMANDS) return;
    this.#waitedMs /= 2;
    this.#places /= 2;
  }

  /** How long a command would wait behind that many others, in milliseconds; 0 if unknown. */
  expectedMs(waiting: number): number {
    return this.#places === 0
      ? 0
      : (waiting + 1) * this.#waitedMs / this.#places;
  }

  /**
   * The mailbox is empty, but other vnodes of the thread may have waiting
   * commands.
   */
  emptied(): void {
    if (!this.#behind) this.#overSinceMs = undefined;
  }

  /** No command waits, for this vnode or for others of its thread. */
  keptUp(): void {
    this.#behind = false;
    this.#overSinceMs = undefined;
    this.#waitedMs = 0;
    this.#places = 0;
  }
}
