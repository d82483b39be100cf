/**
 * A supervisor of many children of one kind (OTP's `simple_one_for_one`). They
 * have no ids and no order, differ by their arguments, and stop concurrently.
 *
 * It is built for short-lived children: each request of a node has a
 * coordinator under one of these. Starting a temporary child synchronously
 * costs one set insertion and one listener shared by all children: no promise,
 * no timer, no copy.
 *
 * @module
 */
import { type Child, ChildBase, type ExitListener, treeOf } from "./child.ts";
import { type Backoff, backoffDelayMs } from "./backoff.ts";
import {
  type ChildPolicy,
  type ResolvedPolicy,
  resolvePolicy,
} from "./child_spec.ts";
import {
  crash,
  type ExitReason,
  formatReason,
  isAbnormal,
} from "./exit_reason.ts";
import {
  addRestart,
  createIntensity,
  INTENSITY_DEFAULT,
  type IntensityState,
} from "./restart_intensity.ts";
import { shouldRestart } from "./restart_strategy.ts";
import { type Runtime, systemRuntime, type TimerHandle } from "./runtime.ts";
import type { ChildCounts, SupervisorReport } from "./supervisor.ts";
import { SupervisorError } from "./supervisor_error.ts";
import type { TreeNode } from "./tree_view.ts";

/**
 * Options of a {@linkcode DynamicSupervisor}. `Args` are the arguments that
 * each child is started with, `Started` is the result of `start`: a child or a
 * promise of one.
 */
export interface DynamicSupervisorOptions<
  Args extends readonly unknown[],
  Started extends Child | Promise<Child> = Child,
> extends Omit<ChildPolicy, "significant"> {
  /** Shown in trees and messages. @default {"dynamic_supervisor"} */
  readonly name?: string;
  /** Starts one child. If it returns a promise, so does {@linkcode DynamicSupervisor.startChild}. */
  readonly start: (...args: Args) => Started;
  /** Most children at a time, starting ones included; any more are refused. @default {Infinity} */
  readonly maxChildren?: number;
  /** Restarts allowed within `periodMs`. @default {1} */
  readonly intensity?: number;
  /** The window for `intensity`, in milliseconds. @default {5000} */
  readonly periodMs?: number;
  /** Called on failed restarts, abnormal exits and when it gives up. Must not throw. */
  readonly onReport?: (report: SupervisorReport) => void;
  /** Time, timers and chance. @default {systemRuntime} */
  readonly runtime?: Runtime;
}

/** The record of a child that may be restarted. */
interface Life<Args> {
  readonly args: Args;
  readonly startedAtMs: number;
  readonly attempt: number;
}

/** Most children that {@linkcode DynamicSupervisor.describe} lists; the rest are counted. */
const LISTED_MAX = 20;

/** Supervises any number of children of one kind. It runs as soon as it is constructed. */
export class DynamicSupervisor<
  Args extends readonly unknown[],
  Started extends Child | Promise<Child> = Child,
> extends ChildBase implements AsyncDisposable {
  /** A supervisor runs in this thread, wherever its children do. */
  readonly kind = "task";
  /** Shown in trees and messages. */
  readonly name: string;
  /** Most children at a time. */
  readonly maxChildren: number;
  readonly #start: (...args: Args) => Started;
  readonly #policy: ResolvedPolicy;
  readonly #temporary: boolean;
  readonly #intensity: IntensityState;
  readonly #runtime: Runtime;
  readonly #report: ((report: SupervisorReport) => void) | undefined;
  readonly #children = new Set<Child>();
  /** Filled only for children that may be restarted. */
  readonly #lives = new Map<Child, Life<Args>>();
  readonly #backoffTimers = new Set<TimerHandle>();
  readonly #terminating = new Set<Child>();
  /** Starts under way and pending restarts. */
  #starting = 0;
  #restarts = 0;
  #zombies = 0;
  #stopReason: ExitReason | undefined = undefined;
  #shutdownTimer: TimerHandle | undefined = undefined;
  /** Shared by all children. */
  readonly #onChildExit: ExitListener = (reason, child) =>
    this.#childExited(reason, child);

  /**
   * Creates one, which runs at once.
   *
   * @throws {RangeError} If a number in `options` is out of range.
   */
  constructor(options: DynamicSupervisorOptions<Args, Started>) {
    super();
    this.name = options.name ?? "dynamic_supervisor";
    this.maxChildren = options.maxChildren ?? Infinity;
    if (!(this.maxChildren >= 0)) {
      throw new RangeError(
        `Cannot start supervisor as 'maxChildren' must be at least 0: current value is ${this.maxChildren}`,
      );
    }
    this.#start = options.start;
    this.#policy = resolvePolicy({
      ...options,
      restart: options.restart ?? "temporary",
    });
    this.#temporary = this.#policy.restart === "temporary";
    this.#intensity = createIntensity({
      intensity: options.intensity ?? INTENSITY_DEFAULT.intensity,
      periodMs: options.periodMs ?? INTENSITY_DEFAULT.periodMs,
    });
    this.#runtime = options.runtime ?? systemRuntime;
    this.#report = options.onReport;
  }

  /** Whether {@linkcode DynamicSupervisor.startChild} would be refused; cheaper than catching its error. */
  get full(): boolean {
    return this.#children.size + this.#starting >= this.maxChildren ||
      this.#stopReason !== undefined || !this.alive;
  }

  /** Number of children, starting ones included. */
  get size(): number {
    return this.#children.size + this.#starting;
  }

  /**
   * Starts a child. Returns it directly if it starts synchronously.
   *
   * @throws {SupervisorError} `max_children`, `start_failed`, or `noproc` if it
   * is stopping; thrown if the start is synchronous, otherwise the promise
   * rejects.
   */
  startChild(...args: Args): Started {
    if (this.full) throw this.#refusal();
    let started: Started;
    try {
      started = this.#start(...args);
    } catch (error) {
      throw this.#startFailed(error);
    }
    if (started instanceof Promise) {
      return this.#startLater(started, args) as Started;
    }
    this.#adopt(started, args, 0);
    return started;
  }

  /**
   * Stops a child, within its time, and removes it.
   *
   * @throws {SupervisorError} `not_found` if it is not a child of this supervisor.
   */
  terminateChild(child: Child): Promise<void> {
    if (!this.#children.has(child)) {
      return Promise.reject(
        new SupervisorError(
          "not_found",
          `Cannot terminate child as '${this.name}' has no such child`,
        ),
      );
    }
    this.#terminating.add(child);
    const { promise, resolve } = Promise.withResolvers<void>();
    const { shutdown } = this.#policy;
    const timer = typeof shutdown === "number"
      ? this.#runtime.setTimer(shutdown, () => child.kill())
      : undefined;
    child.onExit(() => {
      this.#runtime.clearTimer(timer);
      resolve();
    });
    if (shutdown === "brutal") child.kill();
    else child.stop("shutdown");
    return promise;
  }

  /**
   * Not for children without ids.
   *
   * @throws {SupervisorError} Always `simple_one_for_one`.
   */
  restartChild(): never {
    throw this.#noIds("restart");
  }

  /**
   * Not for children without ids.
   *
   * @throws {SupervisorError} Always `simple_one_for_one`.
   */
  deleteChild(): never {
    throw this.#noIds("delete");
  }

  /** The running children, in no particular order. */
  whichChildren(): IterableIterator<Awaited<Started>> {
    return this.#children.values() as IterableIterator<Awaited<Started>>;
  }

  /** How many children there are. */
  countChildren(): ChildCounts {
    const specs = this.size;
    const supervisors = this.#policy.type === "supervisor" ? specs : 0;
    return {
      specs,
      active: this.#children.size,
      supervisors,
      workers: specs - supervisors,
    };
  }

  /** Stops all children concurrently, kills those that take too long, then exits with `reason`. */
  stop(reason: ExitReason): void {
    if (!this.alive || this.#stopReason !== undefined) return;
    this.#stopReason = reason;
    for (const timer of this.#backoffTimers) {
      this.#runtime.clearTimer(timer);
      this.#starting--;
    }
    this.#backoffTimers.clear();
    const { shutdown } = this.#policy;
    if (typeof shutdown === "number" && this.size > 0) {
      this.#shutdownTimer = this.#runtime.setTimer(shutdown, () => {
        this.#killAll();
        // Starts that are still under way are no longer awaited; the children
        // they yield are killed.
        this.#starting = 0;
        this.#exitIfEmpty();
      });
    }
    if (shutdown === "brutal") this.#killAll();
    else for (const child of [...this.#children]) child.stop("shutdown");
    this.#exitIfEmpty();
  }

  /** Kills the children and exits with `killed`, at once. */
  kill(): void {
    if (!this.alive) return;
    this.#stopReason = "killed";
    for (const timer of this.#backoffTimers) this.#runtime.clearTimer(timer);
    this.#runtime.clearTimer(this.#shutdownTimer);
    this.#killAll();
    this.end("killed");
  }

  /** Asks it to stop, and resolves to its exit reason once it has. */
  shutdown(reason: ExitReason = "shutdown"): Promise<ExitReason> {
    const { promise, resolve } = Promise.withResolvers<ExitReason>();
    this.onExit(resolve);
    this.stop(reason);
    return promise;
  }

  /** The same as {@linkcode DynamicSupervisor.shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** Describes it and its children. */
  describe(): Partial<TreeNode> {
    const children: TreeNode[] = [];
    for (const child of this.#children) {
      if (children.length === LISTED_MAX) break;
      children.push(treeOf(child, "-"));
    }
    const unlisted = this.#children.size - children.length;
    return {
      id: this.name,
      kind: "supervisor",
      strategy: "simple_one_for_one",
      restarts: this.#restarts,
      children,
      ...(unlisted > 0 ? { unlisted } : {}),
      ...(this.#zombies > 0 ? { zombies: this.#zombies } : {}),
    };
  }

  async #startLater(started: Promise<Child>, args: Args): Promise<Child> {
    this.#starting++;
    let child: Child;
    try {
      child = await started;
    } catch (error) {
      this.#starting--;
      this.#exitIfEmpty();
      throw this.#startFailed(error);
    }
    this.#starting--;
    // This child was not among those being stopped.
    if (this.#stopReason !== undefined || !this.alive) {
      child.kill();
      this.#exitIfEmpty();
      throw this.#refusal();
    }
    this.#adopt(child, args, 0);
    return child;
  }

  #adopt(child: Child, args: Args, attempt: number): void {
    this.#children.add(child);
    if (!this.#temporary) {
      const startedAtMs = this.#runtime.now();
      this.#lives.set(child, { args, startedAtMs, attempt });
    }
    child.onExit(this.#onChildExit);
  }

  #childExited(reason: ExitReason, child: Child): void {
    this.#children.delete(child);
    if (child.zombie) this.#zombies++;
    if (this.#stopReason !== undefined) return this.#exitIfEmpty();
    if (this.#terminating.size > 0 && this.#terminating.delete(child)) {
      this.#lives.delete(child);
      return;
    }
    if (reason !== "normal" && isAbnormal(reason)) {
      this.#report?.({
        type: "child_exited",
        supervisor: this.name,
        id: "-",
        reason,
      });
    }
    if (this.#temporary) return;
    const life = this.#lives.get(child)!;
    this.#lives.delete(child);
    const { restart, backoffAfter } = this.#policy;
    if (shouldRestart(restart, reason)) {
      this.#restart(life, backoffAfter?.(reason, true) ?? true);
    }
  }

  #restart(life: Life<Args>, pauses: boolean): void {
    const nowMs = this.#runtime.now();
    if (!addRestart(this.#intensity, nowMs)) {
      this.#report?.({ type: "gave_up", supervisor: this.name, id: "-" });
      return this.stop("shutdown");
    }
    this.#restarts++;
    const { backoff } = this.#policy;
    const attempt = pauses ? nextAttempt(backoff, life, nowMs) : life.attempt;
    const delayMs = backoff === undefined || !pauses
      ? 0
      : backoffDelayMs(backoff, attempt - 1, this.#runtime.random());
    this.#starting++;
    if (delayMs === 0) return this.#startAgain(life.args, attempt);
    const timer = this.#runtime.setTimer(delayMs, () => {
      this.#backoffTimers.delete(timer);
      this.#startAgain(life.args, attempt);
    });
    this.#backoffTimers.add(timer);
  }

  #startAgain(args: Args, attempt: number): void {
    const started = (child: Child): void => {
      this.#starting--;
      if (this.#stopReason !== undefined || !this.alive) {
        child.kill();
        return this.#exitIfEmpty();
      }
      this.#adopt(child, args, attempt);
    };
    const failed = (error: unknown): void => {
      this.#starting--;
      if (this.#stopReason !== undefined || !this.alive) {
        return this.#exitIfEmpty();
      }
      const reason = crash(error);
      this.#report?.({
        type: "start_failed",
        supervisor: this.name,
        id: "-",
        reason,
      });
      // A failed restart counts again and is tried again. The child never ran.
      const pauses = this.#policy.backoffAfter?.(reason, false) ?? true;
      this.#restart({ args, startedAtMs: Infinity, attempt }, pauses);
    };
    let child: Started;
    try {
      child = this.#start(...args);
    } catch (error) {
      return failed(error);
    }
    if (child instanceof Promise) child.then(started, failed);
    else started(child);
  }

  #killAll(): void {
    for (const child of [...this.#children]) child.kill();
  }

  #exitIfEmpty(): void {
    if (this.#stopReason === undefined || this.size > 0) return;
    this.#runtime.clearTimer(this.#shutdownTimer);
    this.end(this.#stopReason);
  }

  #refusal(): SupervisorError {
    if (this.#stopReason !== undefined || !this.alive) {
      return new SupervisorError(
        "noproc",
        `Cannot start child as '${this.name}' has ended or is stopping`,
      );
    }
    return new SupervisorError(
      "max_children",
      `Cannot start child as '${this.name}' may have at most ${this.maxChildren}: current number is ${this.size}`,
      { details: { maxChildren: this.maxChildren } },
    );
  }

  #startFailed(error: unknown): SupervisorError {
    const reason = crash(error);
    return new SupervisorError(
      "start_failed",
      `Cannot start child of '${this.name}': ${formatReason(reason)}`,
      {
        details: { reason },
        cause: error,
      },
    );
  }

  #noIds(verb: string): SupervisorError {
    return new SupervisorError(
      "simple_one_for_one",
      `Cannot ${verb} child of '${this.name}' as its children have no ids`,
    );
  }
}

/** Restarts in a row, this one included. */
function nextAttempt(
  backoff: Backoff | undefined,
  life: Life<unknown>,
  nowMs: number,
): number {
  if (backoff === undefined) return 0;
  return nowMs - life.startedAtMs > backoff.maxMs ? 1 : life.attempt + 1;
}
