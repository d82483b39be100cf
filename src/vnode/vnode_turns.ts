/**
 * Shares the time of a vnode master's thread out among its vnodes. Commands are
 * handled as they come until that has taken long. Those that come then wait in the
 * mailboxes of their vnodes, which are served in turns, a few commands of each,
 * with a pause between one turn and the next.
 *
 * In the pause the thread takes in what has come meanwhile. Without it all of
 * that would wait in the port before the master, where it is not bounded by
 * mailboxes, grows old unseen and hides that the master is alive.
 *
 *     message ──► handled at once ── turn is over ──► mailbox ── pause ──► next turn
 *
 * Messages that wait in the port are taken out of it one after the other without
 * a pause. So a turn goes on with the next message, or a command in each of them
 * would keep the thread for as long as there are any.
 *
 * What goes on in the background, listings and transfers, has a part of each turn
 * when commands wait, one piece of it, and else all of it.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { ThreadLoad } from "./thread_load.ts";

/** How long commands are handled until others have their turn, in milliseconds; a pause takes one or two. */
export const TURN_MS = 40;
/** A pause is asked for once there was so much work since the last one, in milliseconds: a timer after each message would cost more than most of them. */
const PAUSE_AFTER_MS = 10;
/** Commands that a vnode handles before the next vnode has its turn. */
const COMMANDS_PER_VNODE = 16;
/** Commands for each look at the clock, which costs as much as a tenth of a short one. */
const COMMANDS_PER_LOOK = 8;
/** The clock is looked at after each command if the last ones took longer than this, in milliseconds. */
const LONG_MS = 1;

/** A vnode with commands that wait for its turn. */
export interface TurnTaker {
  /** Handles up to `commandsMax` of them while there is time, and says `VnodeTurns.wait` if others are left. */
  takeTurn(commandsMax: number): void;
}

/** The turns of one master; see the module's text. */
export class VnodeTurns {
  /** What comes for its vnodes, and what they get done. */
  readonly load: ThreadLoad = new ThreadLoad();
  readonly #runtime: Runtime;
  /** In the order of their turns. */
  readonly #waiting = new Set<TurnTaker>();
  /** Pieces of work in the background that wait for a turn. */
  #background: (() => void)[] = [];
  /** The next pause, if one has been asked for; after it those that wait have their turn. */
  #pause: TimerHandle | undefined;
  #running = false;
  #closed = false;
  /** Work since the last pause, in milliseconds, without what goes on. */
  #workedMs = 0;
  #longestMs = 0;
  /** When what goes on was begun. */
  #begunMs = 0;
  /** When the turn under way is over; that of a master to which nothing has come never is. */
  #endsMs = Infinity;
  #over = false;
  #lookedMs = 0;
  #commandMs = 0;
  /** Commands since the last look at the clock, and until the next one. */
  #unlooked = 0;
  #unlookedMax = COMMANDS_PER_LOOK;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Whether nobody waits for a turn. */
  get idle(): boolean {
    return this.#waiting.size === 0;
  }

  /** A message has come, at `nowMs`: the turn goes on with the commands in it, unless others wait for theirs. */
  begin(nowMs: number): void {
    this.#begunMs = nowMs;
    this.#endsMs = nowMs + TURN_MS - this.#workedMs;
    this.#over = this.#workedMs >= TURN_MS;
    this.#lookedMs = nowMs;
  }

  /** What came with the message has been handled or waits. */
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

  /** How long commands have taken lately, in milliseconds, as far as they waited. */
  get commandMs(): number {
    return this.#commandMs;
  }

  /** Whether a command may be handled now. */
  hasTime(): boolean {
    // Those that wait go first.
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

  /** What was done just now may have taken long: the clock is looked at before the next command. */
  tookLong(): void {
    this.#unlooked = this.#unlookedMax;
  }

  /** Has a piece of work done in the background, or begun: at once, or in a later turn if this one is over. */
  background(work: () => void): void {
    if (this.#closed) return;
    this.begin(this.#runtime.now());
    if (this.#over || this.#background.length > 0) {
      this.#background.push(work);
      this.#pauseSoon();
    } else this.#do(work);
  }

  /** Work goes on in what it resolves, and that is done before what is deferred now. */
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
      // Or commands without end would leave it no time.
      if (work !== undefined) this.#do(work);
    });
  }

  #run(): void {
    this.#running = true;
    try {
      for (const vnode of this.#waiting) {
        // It comes to the end of the row if it waits again.
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

  /** No vnode has a turn any more. */
  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#background = [];
    if (this.#pause !== undefined) this.#runtime.clearTimer(this.#pause);
    this.#pause = undefined;
  }
}
