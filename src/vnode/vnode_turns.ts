/**
 * Shares the time of a vnode master's thread among its vnodes. Commands are
 * handled on arrival until a turn is used up. Later ones wait in the mailboxes
 * of their vnodes, which are served in turns, a few commands each, with a pause
 * between turns.
 *
 * In the pause the thread takes in the messages that have arrived. Without it
 * they would wait in the master's message port, where no mailbox bounds them,
 * their age goes unnoticed, and heartbeats queue behind them.
 *
 *     message ──► handled at once ── turn is over ──► mailbox ── pause ──► next turn
 *
 * The event loop takes messages out of the port one after the other without a
 * pause. A turn therefore extends over messages; if each message began a new
 * one, the thread would be busy for as long as there are messages.
 *
 * Background work, that is, listings and transfers, gets one slice of each turn
 * while commands wait, and otherwise the whole turn.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ThreadLoad } from "./thread_load.ts";

/** Length of a turn, in milliseconds; a pause takes one or two. */
export const TURN_MS = 40;
/** Work after which a pause is scheduled, in milliseconds: a timer after each message would cost more than most messages. */
const PAUSE_AFTER_MS = 10;
/** Commands that a vnode handles before the next vnode has its turn. */
const COMMANDS_PER_VNODE = 16;
/** Commands per reading of the clock, which costs a tenth of a short command. */
const COMMANDS_PER_LOOK = 8;
/** The clock is read after each command if recent ones took longer than this, in milliseconds. */
const LONG_MS = 1;

/** A vnode with commands that wait for its turn. */
export interface TurnTaker {
  /** Handles up to `commandsMax` of them while the turn lasts, and calls `VnodeTurns.wait` if others are left. */
  takeTurn(commandsMax: number): void;
}

/** The turns of one master; see the module comment. */
export class VnodeTurns {
  /** The load of its vnodes. */
  readonly load: ThreadLoad = new ThreadLoad();
  readonly #runtime: Runtime;
  /** In the order of their turns. */
  readonly #waiting = new Set<TurnTaker>();
  /** Slices of background work that wait for a turn. */
  #background: (() => void)[] = [];
  /** The next pause, if one is scheduled; after it waiting vnodes have their turn. */
  #pause: TimerHandle | undefined;
  #running = false;
  #closed = false;
  /** Work since the last pause, in milliseconds, without that of the present turn. */
  #workedMs = 0;
  #longestMs = 0;
  /** When the present work began. */
  #begunMs = 0;
  /** When the present turn is over; never, before the first message. */
  #endsMs = Infinity;
  #over = false;
  #lookedMs = 0;
  #commandMs = 0;
  /** Commands since the last reading of the clock, and until the next one. */
  #unlooked = 0;
  #unlookedMax = COMMANDS_PER_LOOK;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Whether no vnode and no background work waits for a turn. */
  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  /** A message has arrived, at `nowMs`: the turn continues with its commands, unless others wait for theirs. */
  begin(nowMs: number): void {
    this.#begunMs = nowMs;
    this.#endsMs = nowMs + TURN_MS - this.#workedMs;
    this.#over = this.#workedMs >= TURN_MS;
    this.#lookedMs = nowMs;
  }

  /** The commands of the message have been handled or queued. */
  end(nowMs: number): void {
    this.#workedMs += nowMs - this.#begunMs;
    this.#begunMs = nowMs;
    this.#longestMs = Math.max(this.#longestMs, this.#workedMs);
    if (this.#workedMs >= PAUSE_AFTER_MS) this.#pauseSoon();
  }

  /** The longest turn so far, in milliseconds. */
  get longestMs(): number {
    return this.#longestMs;
  }

  /** How long recent queued commands have taken, in milliseconds. */
  get commandMs(): number {
    return this.#commandMs;
  }

  /** Whether a command may be handled now. */
  hasTime(): boolean {
    // Waiting vnodes go first.
    if (this.#over || (!this.#running && this.#waiting.size > 0)) return false;
    if (this.#unlooked++ < this.#unlookedMax) return true;
    const nowMs = this.#runtime.now();
    const tookMs = nowMs - this.#lookedMs;
    if (this.#running) {
      const commands = Math.max(1, this.#unlooked - 1);
      this.#commandMs += (tookMs / commands - this.#commandMs) / 8;
    }
    const long = tookMs > LONG_MS;
    this.#unlookedMax = long ? 1 : COMMANDS_PER_LOOK;
    this.#lookedMs = nowMs;
    this.#unlooked = 1;
    this.#over = nowMs >= this.#endsMs;
    return !this.#over;
  }

  /** The last command may have taken long: reads the clock before the next one. */
  tookLong(): void {
    this.#unlooked = this.#unlookedMax;
  }

  /** Runs, or begins, a slice of background work: now, or in a later turn if this one is over. */
  background(work: () => void): void {
    if (this.#closed) return;
    this.begin(this.#runtime.now());
    if (this.#over || this.#background.length > 0) {
      this.#background.push(work);
      this.#pauseSoon();
    } else this.#do(work);
  }

  /** A slice continues in promises it resolves, which run before a callback deferred now. */
  #do(work: () => void): void {
    work();
    this.#runtime.defer(() => this.#goOnInBackground());
  }

  #goOnInBackground(): void {
    const nowMs = this.#runtime.now();
    this.end(nowMs);
    if (this.#background.length === 0) return;
    if (nowMs >= this.#endsMs || this.#waiting.size > 0) this.#pauseSoon();
    else this.#do(this.#background.shift() as () => void);
  }

  /** `vnode` has commands that wait for its turn. */
  wait(vnode: TurnTaker): void {
    if (this.#closed) return;
    this.#waiting.add(vnode);
    if (!this.#running) this.#pauseSoon();
  }

  #pauseSoon(): void {
    if (this.#closed) return;
    this.#pause ??= this.#runtime.setTimer(0, () => {
      this.#pause = undefined;
      this.#workedMs = 0;
      this.#unlooked = 0;
      this.begin(this.#runtime.now());
      const work = this.#background.shift();
      if (this.#waiting.size > 0) this.#run();
      // Otherwise an endless stream of commands would starve it.
      if (work !== undefined) this.#do(work);
    });
  }

  #run(): void {
    this.#running = true;
    try {
      for (const vnode of this.#waiting) {
        // It goes to the end of the queue if it waits again.
        this.#waiting.delete(vnode);
        vnode.takeTurn(COMMANDS_PER_VNODE);
        if (this.#over) break;
      }
    } finally {
      this.#running = false;
      if (this.#waiting.size > 0) this.#pauseSoon();
      this.end(this.#runtime.now());
    }
  }

  /** Ends all turns. */
  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#background = [];
    if (this.#pause !== undefined) this.#runtime.clearTimer(this.#pause);
    this.#pause = undefined;
  }
}
