/**
 * A process that is in one of several states and handles events depending on
 * its state (OTP's `gen_statem`). An event can be postponed until the state
 * changes, a state can have a timeout, and entering a state is an event.
 *
 * @module
 */
import type { ExitReason } from "./exit_reason.ts";
import { type Incoming, Process, type ProcessOptions } from "./process.ts";
import { OpenCalls } from "./open_calls.ts";
import type { CallOptions, ReplyTo } from "./reply_to.ts";
import type { TimerHandle } from "./runtime.ts";

/** An event of a state machine. */
export type StatemEvent<State extends string, Call, Reply, Cast> =
  /** The state has been entered; the first time with `from` undefined. */
  | { readonly type: "enter"; readonly from: State | undefined }
  | {
    readonly type: "call";
    readonly request: Call;
    readonly from: ReplyTo<Reply>;
  }
  | { readonly type: "cast"; readonly message: Cast }
  /** An event that it raised itself with `raise`. */
  | { readonly type: "internal"; readonly message: Cast }
  /** The state has timed out. */
  | { readonly type: "state_timeout" }
  /** A named timer has fired. */
  | { readonly type: "timeout"; readonly name: string }
  /** An exit of a linked process or the end of a monitored one. */
  | { readonly type: "info"; readonly info: unknown };

/** The consequences of an event. All fields are optional; `undefined` means: stay, do nothing. */
export interface Transition<State extends string, Cast> {
  /** The next state. The same state is no change: it is not entered again, and postponed events stay postponed. */
  readonly next?: State;
  /** Postpone this event until the state has changed. Not for `enter`. */
  readonly postpone?: boolean;
  /** Events to handle before any that wait. */
  readonly raise?: readonly Cast[];
  /**
   * Timeout of the state, in milliseconds; a change of state or `null` cancels
   * it. @default {unchanged}
   */
  readonly stateTimeoutMs?: number | null;
  /** Timers by name, in milliseconds; `null` cancels one. They outlast changes of state. */
  readonly timeoutsMs?: Readonly<Record<string, number | null>>;
  /** End with this reason. */
  readonly stop?: ExitReason;
}

/** The callbacks of a state machine. If one throws, the machine ends. */
export interface StatemBehaviour<
  State extends string,
  Call = unknown,
  Reply = unknown,
  Cast = unknown,
> {
  /** The state it begins in. */
  readonly initial: State;
  /** Handles one event. */
  handleEvent(
    state: State,
    event: StatemEvent<State, Call, Reply, Cast>,
    self: GenStatem<State, Call, Reply, Cast>,
  ): Transition<State, Cast> | undefined | void;
  /** Cleans up after `stop`, before it exits. */
  terminate?(reason: ExitReason): void | Promise<void>;
}

/** A timer has fired; stale if it has been set again or cancelled since. */
export class DueTimer {
  /** The timer, and the number of its setting. */
  constructor(readonly name: string | undefined, readonly serial: number) {}
}

interface PendingTimer {
  readonly serial: number;
  readonly timer: TimerHandle;
}

/** Most postponed events; one more ends the machine, since it would never handle them. */
export const POSTPONED_MAX = 10_000;

/** A running state machine. */
export class GenStatem<
  State extends string,
  Call = unknown,
  Reply = unknown,
  Cast = unknown,
> extends Process<StatemEvent<State, Call, Reply, Cast> | DueTimer> {
  readonly #behaviour: StatemBehaviour<State, Call, Reply, Cast>;
  readonly #calls: OpenCalls;
  #state: State;
  #postponed: StatemEvent<State, Call, Reply, Cast>[] = [];
  /** By name; that of the state is `undefined`. Fired ones stay until they are handled. */
  readonly #timers = new Map<string | undefined, PendingTimer>();
  #timerSerial = 0;

  /** Starts it; `enter` of the first state is its first event. */
  constructor(
    behaviour: StatemBehaviour<State, Call, Reply, Cast>,
    options: ProcessOptions = {},
  ) {
    super({ name: "gen_statem", ...options });
    this.#behaviour = behaviour;
    this.#state = behaviour.initial;
    this.#calls = new OpenCalls(this, this.runtime);
    this.onExit(() => {
      for (const { timer } of this.#timers.values()) {
        this.runtime.clearTimer(timer);
      }
    });
    this.deliver({ type: "enter", from: undefined });
  }

  /** The state it is in. */
  get state(): State {
    return this.#state;
  }

  /**
   * Calls the machine and waits for the answer.
   *
   * @throws {SupervisorError} `timeout`, `noproc` if it has ended, `exited` if
   * it ends before it answers, `overload` if its mailbox is full.
   */
  call(request: Call, options: CallOptions = {}): Promise<Reply> {
    if (!this.alive) return Promise.reject(this.#calls.noproc());
    return this.#calls.call<Reply>(
      (from) => this.send({ type: "call", request, from }),
      options,
    );
  }

  /** Sends a message without waiting. False if the mailbox is full; dropped if the machine has ended. */
  cast(message: Cast): boolean {
    return this.send({ type: "cast", message });
  }

  /** Handles one event and its immediate consequences. */
  protected override receive(
    message: Incoming<StatemEvent<State, Call, Reply, Cast> | DueTimer>,
  ): void {
    const first = this.#eventOf(message);
    if (first === undefined) return;
    const queue = [first];
    for (let event = queue.shift(); event; event = queue.shift()) {
      if (!this.alive) return;
      // The caller has given up, possibly while its call was postponed.
      if (event.type === "call" && !event.from.pending) continue;
      this.#apply(event, queue);
    }
  }

  /** Lets the behaviour clean up. */
  protected override terminate(reason: ExitReason): void | Promise<void> {
    return this.#behaviour.terminate?.(reason);
  }

  #apply(
    event: StatemEvent<State, Call, Reply, Cast>,
    queue: StatemEvent<State, Call, Reply, Cast>[],
  ): void {
    const transition = this.#behaviour.handleEvent(this.#state, event, this);
    if (!transition) return;
    const { next, postpone, raise, stateTimeoutMs, timeoutsMs, stop } =
      transition;
    if (postpone) this.#postpone(event);
    const raised = (raise ?? []).map((message) => ({
      type: "internal" as const,
      message,
    }));
    if (next !== undefined && next !== this.#state) {
      const from = this.#state;
      this.#state = next;
      this.#setTimer(undefined, null);
      // Order: entering, raised events, postponed events in order of arrival,
      // then the mailbox.
      queue.unshift(
        { type: "enter", from },
        ...raised,
        ...this.#postponed.splice(0),
      );
    } else {
      queue.unshift(...raised);
    }
    if (stateTimeoutMs !== undefined) {
      this.#setTimer(undefined, stateTimeoutMs);
    }
    for (const [name, afterMs] of Object.entries(timeoutsMs ?? {})) {
      this.#setTimer(name, afterMs);
    }
    if (stop !== undefined) this.exit(stop);
  }

  #postpone(event: StatemEvent<State, Call, Reply, Cast>): void {
    if (event.type === "enter") {
      throw new TypeError(
        `Cannot postpone event of '${this.name}' as it is the entering of state '${this.#state}'`,
      );
    }
    if (this.#postponed.length >= POSTPONED_MAX) {
      throw new RangeError(
        `Cannot postpone event of '${this.name}' as ${POSTPONED_MAX} are: state is '${this.#state}'`,
      );
    }
    this.#postponed.push(event);
  }

  #eventOf(
    message: Incoming<StatemEvent<State, Call, Reply, Cast> | DueTimer>,
  ): StatemEvent<State, Call, Reply, Cast> | undefined {
    if (message instanceof DueTimer) {
      const { name, serial } = message;
      if (this.#timers.get(name)?.serial !== serial) return undefined;
      this.#timers.delete(name);
      return name === undefined
        ? { type: "state_timeout" }
        : { type: "timeout", name };
    }
    return "type" in message ? message : { type: "info", info: message };
  }

  #setTimer(name: string | undefined, afterMs: number | null): void {
    this.runtime.clearTimer(this.#timers.get(name)?.timer);
    this.#timers.delete(name);
    if (afterMs === null) return;
    const serial = ++this.#timerSerial;
    const timer = this.runtime.setTimer(
      afterMs,
      () => this.deliver(new DueTimer(name, serial)),
    );
    this.#timers.set(name, { serial, timer });
  }
}
