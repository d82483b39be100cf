/**
 * The parent's side of a program: it starts with a deadline, has heartbeats, is
 * stopped or killed, and ends for one reason, wherever it runs. Only the link
 * to the child depends on the placement.
 *
 *     starting ── ready ──► running ── stop ──► (stopping) ── exit ──► ended
 *        └── start_failed, timeout, exit ──► start rejects
 *
 * @module
 */
import { ChildBase, type ChildKind } from "./child.ts";
import {
  crash,
  type ExitReason,
  formatReason,
  RemoteError,
} from "./exit_reason.ts";
import {
  answerBeat,
  askBeat,
  createHeartbeat,
  defaultHeartbeat,
  hearChild,
  type HeartbeatState,
  silentForMs,
  tickHeartbeat,
} from "./heartbeat_fsm.ts";
import type { Message, ProgramChild, StartProgramOptions } from "./program.ts";
import type { FromProgram, ToProgram } from "./program_protocol.ts";
import { type Runtime, systemRuntime, type TimerHandle } from "./runtime.ts";
import { SupervisorError } from "./supervisor_error.ts";
import type { TreeNode } from "./tree_view.ts";

/** Messages of a child that are kept until a handler is set; more are dropped. */
export const UNTAKEN_MESSAGES_MAX = 1_024;

/**
 * Default time for a program to load and start, in milliseconds. The first
 * start compiles all imports, which has taken more than 10 s on a busy machine;
 * a failure is reported at once, so only hangs are detected late.
 */
export const START_TIMEOUT_MS_DEFAULT = 60_000;

/**
 * A worker that is killed while a ping has been unanswered for this many
 * milliseconds counts as a zombie. An idle one answers in well under one.
 */
const ZOMBIE_SILENCE_MS = 200;
/** Time for the ping that is sent before a worker that does not start is killed; longer than the above. */
const LAST_QUESTION_MS = 300;

/** The way to a child. */
export interface ProgramLink {
  /** The operating system's id, of subprocesses. */
  readonly pid?: number;
  post(message: ToProgram): void;
  send(message: Message): void;
  /** Asks the other end to stop by means of the link, besides the message. */
  interrupt?(): void;
  /** The child has sent its last message; releases it. {@linkcode HostedChild.closed} follows. */
  release(): void;
  /** Kills it. {@linkcode HostedChild.closed} follows. */
  end(): void;
}

/** A running program behind a link, in whatever placement. */
export class HostedChild extends ChildBase implements ProgramChild {
  readonly kind: ChildKind;
  readonly name: string;
  /** Settles when the program has started or has not. */
  readonly started: Promise<void>;
  #zombie = false;
  #droppedMessages = 0;
  readonly #options: StartProgramOptions;
  readonly #runtime: Runtime;
  readonly #link: ProgramLink;
  readonly #heartbeat: HeartbeatState;
  readonly #startOutcome = Promise.withResolvers<void>();
  #phase: "starting" | "running" | "ended" = "starting";
  #startTimer: TimerHandle;
  #beatTimer: TimerHandle;
  #startError: unknown = undefined;
  #asked: ExitReason | undefined = undefined;
  #announced: ExitReason | undefined = undefined;
  #killed = false;
  #handler: ((message: Message) => void) | undefined;
  #untaken: Message[] = [];
  readonly #onAbort = (): void => this.kill();

  /**
   * @param options What {@linkcode startProgram} was given.
   * @param connect Creates the link; it calls the child with what arrives.
   */
  constructor(
    options: StartProgramOptions,
    connect: (child: HostedChild) => ProgramLink,
  ) {
    super();
    this.kind = options.placement;
    this.name = options.name ?? nameOf(options.module);
    this.#options = options;
    this.#runtime = options.runtime ?? systemRuntime;
    this.#handler = options.onMessage;
    this.started = this.#startOutcome.promise;
    this.#heartbeat = createHeartbeat(
      { ...defaultHeartbeat(options.placement), ...options.heartbeat },
      this.#runtime.now(),
    );
    const startTimeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS_DEFAULT;
    this.#link = connect(this);
    this.#startTimer = this.#runtime.setTimer(
      startTimeoutMs,
      () => this.#startTimedOut(startTimeoutMs),
    );
    // A task shares this thread: if it hangs, so does the one who would ping
    // it.
    if (this.kind !== "task") this.#scheduleBeat();
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    // Last, because a task may start, or fail, synchronously.
    try {
      this.#link.post({
        type: "start",
        module: options.module.href,
        name: this.name,
        args: options.args,
      });
    } catch (error) {
      // The arguments are not plain data.
      this.#startError = error;
      this.kill();
    }
    if (options.signal?.aborted) this.kill();
  }

  /** Where it runs; the same as `kind`. */
  get placement(): ChildKind {
    return this.kind;
  }

  /** The operating system's id, of subprocesses. */
  get pid(): number | undefined {
    return this.#link.pid;
  }

  /** True if its thread may keep spinning after its end. */
  get zombie(): boolean {
    return this.#zombie;
  }

  /** Messages sent to it after its end, or never taken from it. */
  get droppedMessages(): number {
    return this.#droppedMessages;
  }

  /** The reason it has been asked to end with, if it has. */
  get asked(): ExitReason | undefined {
    return this.#asked;
  }

  /** Sends `message`, transferring its buffer. Dropped if the child has ended. */
  send(message: Message): void {
    if (this.#phase === "ended" || this.#announced !== undefined) {
      this.#droppedMessages++;
    } else {
      this.#link.send(message);
    }
  }

  /** Passes each message of the child to `handler`, beginning with those that wait. */
  onMessage(handler: (message: Message) => void): void {
    this.#handler = handler;
    for (const message of this.#untaken.splice(0)) handler(message);
  }

  /** Asks it to end with `reason`. */
  stop(reason: ExitReason): void {
    if (this.#phase === "ended" || this.#asked !== undefined) return;
    this.#asked = reason;
    const beat = askBeat(this.#heartbeat, this.#runtime.now());
    this.#link.post({ type: "stop", beat, reason });
    this.#link.interrupt?.();
  }

  /** Kills it. A subprocess has ended when the operating system says so. */
  kill(): void {
    if (this.#phase === "ended" || this.#killed) return;
    this.#killed = true;
    const silentMs = silentForMs(this.#heartbeat, this.#runtime.now());
    if (silentMs >= ZOMBIE_SILENCE_MS) this.#markZombie();
    this.#link.end();
  }

  /** What it says of itself. */
  describe(): Partial<TreeNode> {
    return {
      id: this.name,
      ...(this.pid === undefined ? {} : { pid: this.pid }),
      ...this.#options.describe?.(),
    };
  }

  /** For links: the child sent a message of the protocol. */
  control(message: FromProgram): void {
    if (this.#phase === "ended") return;
    switch (message.type) {
      case "ready":
        if (this.#phase !== "starting" || this.#startError) return;
        this.#phase = "running";
        this.#runtime.clearTimer(this.#startTimer);
        return this.#startOutcome.resolve();
      case "start_failed":
        this.#startError = new RemoteError(message.error);
        return this.#link.release();
      case "pong":
        return answerBeat(this.#heartbeat, message.beat);
      case "exit":
        this.#announced = message.reason;
        return this.#link.release();
      default:
        message satisfies never;
    }
  }

  /** For links: the child sent a message of the application. */
  message(message: Message): void {
    if (this.#phase === "ended" || this.#killed) return;
    hearChild(this.#heartbeat);
    if (this.#handler !== undefined) this.#handler(message);
    else if (this.#untaken.length < UNTAKEN_MESSAGES_MAX) {
      this.#untaken.push(message);
    } else this.#droppedMessages++;
  }

  /** For links: the thread or process of the child is gone, for `observed` unless more is known. */
  closed(observed: ExitReason): void {
    if (this.#phase === "ended") return;
    const reason = this.#finalReason(observed);
    const starting = this.#phase === "starting";
    this.#phase = "ended";
    this.#runtime.clearTimer(this.#startTimer);
    this.#runtime.clearTimer(this.#beatTimer);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#droppedMessages += this.#untaken.splice(0).length;
    if (starting) this.#startOutcome.reject(this.#startFailure(reason));
    this.end(reason);
  }

  #finalReason(observed: ExitReason): ExitReason {
    if (this.#startError !== undefined) return crash(this.#startError);
    if (this.#killed) return "killed";
    // A child that got SIGTERM before the message only knows of a shutdown.
    if (this.#announced === "shutdown") return this.#asked ?? "shutdown";
    return this.#announced ?? observed;
  }

  #startFailure(reason: ExitReason): SupervisorError {
    const { module, placement } = this.#options;
    const cause = this.#startError ??
      (typeof reason === "object" && reason.type === "crash"
        ? new RemoteError(reason.error)
        : undefined);
    const why = cause instanceof Error
      ? cause.message
      : `it ended before it had started: ${formatReason(reason)}`;
    return new SupervisorError(
      "start_failed",
      `Cannot start ${module.href} as ${placement} '${this.name}': ${why}`,
      {
        details: { module: module.href, placement, reason },
        ...(cause === undefined ? {} : { cause }),
      },
    );
  }

  #startTimedOut(afterMs: number): void {
    this.#startError = new SupervisorError(
      "timeout",
      `it did not start within ${afterMs} ms`,
    );
    if (this.kind !== "worker") return this.kill();
    // One more ping tells a program that waits from a thread that hangs.
    const beat = askBeat(this.#heartbeat, this.#runtime.now());
    this.#link.post({ type: "ping", beat });
    this.#startTimer = this.#runtime.setTimer(
      LAST_QUESTION_MS,
      () => this.kill(),
    );
  }

  #scheduleBeat(): void {
    this.#beatTimer = this.#runtime.setTimer(
      this.#heartbeat.limits.intervalMs,
      () => this.#beat(),
    );
  }

  #beat(): void {
    const nowMs = this.#runtime.now();
    const verdict = tickHeartbeat(this.#heartbeat, nowMs);
    // While it loads, the start deadline decides: compiling blocks a thread for long.
    if (verdict === "hung" && this.#phase === "running") return this.#hung();
    const beat = askBeat(this.#heartbeat, nowMs);
    this.#link.post({ type: "ping", beat });
    this.#scheduleBeat();
  }

  #hung(): void {
    this.#killed = true;
    this.#markZombie();
    this.#link.end();
  }

  #markZombie(): void {
    if (this.kind !== "worker" || this.#zombie) return;
    this.#zombie = true;
    this.#options.onZombie?.(this);
  }
}

/** The last part of the path, without its ending. */
function nameOf(module: URL): string {
  const last = module.pathname.split("/").at(-1) ?? "";
  return last.replace(/\.[a-z]+$/, "") || "program";
}
