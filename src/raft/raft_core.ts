/**
 * Runs the core of a member (`raft_fsm.ts`): steps it with one event at a time,
 * in order, and has all effects of an event performed before the next event.
 * Events that performing brings about wait for their turn.
 *
 * @module
 */
import {
  createRaft,
  type RaftEffect,
  type RaftEvent,
  type RaftStart,
  type RaftState,
  stepRaft,
} from "./raft_fsm.ts";

/** The member around its core. */
export interface CoreShell {
  /** Called before the core is stepped with `event`. */
  beforeStep(event: RaftEvent): void;
  /** Performs an effect. */
  perform(effect: RaftEffect): void;
  /** A step, or performing its effects, threw; the events that waited are dropped. */
  failed(error: unknown): void;
}

/** The core of one member; see the module comment. */
export class RaftCore {
  readonly state: RaftState;
  readonly #shell: CoreShell;
  readonly #events: RaftEvent[] = [];
  readonly #effects: RaftEffect[] = [];
  /** True until {@linkcode RaftCore.start}, so that events wait. */
  #isStepping = true;

  constructor(start: RaftStart, shell: CoreShell) {
    this.state = createRaft(start, this.#effects);
    this.#shell = shell;
  }

  /** Performs the effects of creating the core, and handles the events that wait. */
  start(): void {
    this.#stepAll();
  }

  /** Steps the core with `event`, now or when the current step is done. */
  deliver(event: RaftEvent): void {
    this.#events.push(event);
    if (!this.#isStepping) this.#stepAll();
  }

  #stepAll(): void {
    this.#isStepping = true;
    try {
      this.#performAll();
      for (let i = 0; i < this.#events.length; i++) {
        const event = this.#events[i] as RaftEvent;
        this.#shell.beforeStep(event);
        stepRaft(this.state, event, this.#effects);
        this.#performAll();
      }
      this.#events.length = 0;
    } catch (error) {
      this.#events.length = 0;
      this.#effects.length = 0;
      this.#shell.failed(error);
    } finally {
      this.#isStepping = false;
    }
  }

  #performAll(): void {
    for (let i = 0; i < this.#effects.length; i++) {
      this.#shell.perform(this.#effects[i] as RaftEffect);
    }
    this.#effects.length = 0;
  }
}
