/**
 * A supervisor: starts its children in order, restarts those that crash, stops
 * them in reverse order. It is itself a child, so supervisors form trees.
 * `supervisor_fsm.ts` decides; this file acts.
 *
 * @module
 */
import { type Child, ChildBase, treeOf } from "./child.ts";
import {
  type ChildSpec,
  type ChildStatus,
  type ChildType,
  resolvePolicy,
} from "./child_spec.ts";
import {
  crash,
  type ExitReason,
  formatReason,
  RemoteError,
} from "./exit_reason.ts";
import { INTENSITY_DEFAULT } from "./restart_intensity.ts";
import type { AutoShutdown, Strategy } from "./restart_strategy.ts";
import { type Runtime, systemRuntime, type TimerHandle } from "./runtime.ts";
import {
  SupervisorError,
  type SupervisorErrorCode,
} from "./supervisor_error.ts";
import {
  bootFailureOf,
  createSupervisor,
  type RequestEvent,
  stepSupervisor,
  type SupervisorEffect,
  type SupervisorEvent,
  type SupervisorState,
} from "./supervisor_fsm.ts";
import type { TreeNode } from "./tree_view.ts";

/** An event that an operator may want to see. */
export type SupervisorReport =
  | {
    readonly type: "child_started";
    readonly supervisor: string;
    readonly id: string;
    /** How often it has been restarted. */
    readonly restarts: number;
  }
  | {
    /** `start_failed`: it never ran. `child_exited`: it ended without being told to. */
    readonly type: "start_failed" | "child_exited";
    readonly supervisor: string;
    readonly id: string;
    readonly reason: ExitReason;
  }
  | {
    /** It is restarted, after a pause. */
    readonly type: "restart_delayed";
    readonly supervisor: string;
    readonly id: string;
    /** How long from now, in milliseconds. */
    readonly afterMs: number;
    /** Why it ended, or did not start. */
    readonly reason: ExitReason;
  }
  | {
    /** Its children crashed too often; it stops them all and exits. */
    readonly type: "gave_up";
    readonly supervisor: string;
    readonly id: string;
  };

/** Options of a {@linkcode Supervisor}. */
export interface SupervisorOptions {
  /** Shown in trees and messages. @default {"supervisor"} */
  readonly name?: string;
  /** Who is restarted with whom. @default {"one_for_one"} */
  readonly strategy?: Strategy;
  /** Restarts allowed within `periodMs`. @default {1} */
  readonly intensity?: number;
  /** The window for `intensity`, in milliseconds. @default {5000} */
  readonly periodMs?: number;
  /** Whether final exits of significant children end it. @default {"never"} */
  readonly autoShutdown?: AutoShutdown;
  /** Started in this order. @default {none} */
  readonly children?: readonly ChildSpec[];
  /** Called on starts, exits and when it gives up. Must not throw. */
  readonly onReport?: (report: SupervisorReport) => void;
  /** Time, timers and chance. @default {systemRuntime} */
  readonly runtime?: Runtime;
  /** Stops it when it fires, even while it is still starting. */
  readonly signal?: AbortSignal;
}

/** A child as {@linkcode Supervisor.whichChildren} lists it. */
export interface ChildInfo {
  /** Its id in the supervisor. */
  readonly id: string;
  /** The process, if it runs. */
  readonly child: Child | undefined;
  /** What it is doing. */
  readonly status: ChildStatus;
  /** Whether it is itself a supervisor. */
  readonly type: ChildType;
  /** How often it was restarted. */
  readonly restarts: number;
}

/** Counts of children. */
export interface ChildCounts {
  /** All that are known. */
  readonly specs: number;
  /** Those that run. */
  readonly active: number;
  /** Those of type `supervisor`, running or not. */
  readonly supervisors: number;
  /** Those of type `worker`, running or not. */
  readonly workers: number;
}

interface Request {
  readonly id: string;
  readonly resolve: (child: Child | undefined) => void;
  readonly reject: (error: SupervisorError) => void;
}

/**
 * Starts a supervisor and its children.
 *
 * @throws {SupervisorError} `start_failed` if a child does not start; those
 * started before it have been stopped in reverse order. `noproc` if it was
 * stopped while starting.
 */
export async function startSupervisor(
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  const supervisor = new Supervisor(options);
  await supervisor.booted;
  return supervisor;
}

/** Keeps its children running. Made by {@linkcode startSupervisor}. */
export class Supervisor extends ChildBase implements AsyncDisposable {
  /** A supervisor runs in this thread, wherever its children do. */
  readonly kind = "task";
  /** Shown in trees and messages. */
  readonly name: string;
  /** Settles when all first children have started, or one has not. */
  readonly booted: Promise<void>;
  readonly #runtime: Runtime;
  readonly #state: SupervisorState;
  readonly #report: ((report: SupervisorReport) => void) | undefined;
  readonly #specs = new Map<string, ChildSpec>();
  /** Children that run, by life. */
  readonly #lives = new Map<number, Child>();
  /** Starts under way, by life. */
  readonly #starts = new Map<number, AbortController>();
  readonly #shutdownTimers = new Map<number, TimerHandle>();
  readonly #backoffTimers = new Map<string, TimerHandle>();
  readonly #requests = new Map<number, Request>();
  /** Specs of children that are not accepted yet, by request. */
  readonly #newSpecs = new Map<number, ChildSpec>();
  /** The last process of each child; it may have ended. */
  readonly #newest = new Map<string, Child>();
  readonly #zombies = new Map<string, number>();
  readonly #bootOutcome = Promise.withResolvers<void>();
  #hasBooted = false;
  #requestCount = 0;
  #events: SupervisorEvent[] = [];
  #stepping = false;

  /** Prefer {@linkcode startSupervisor}, which waits for the children. */
  constructor(options: SupervisorOptions) {
    super();
    this.name = options.name ?? "supervisor";
    this.#runtime = options.runtime ?? systemRuntime;
    this.#report = options.onReport;
    const children = options.children ?? [];
    this.#state = createSupervisor({
      strategy: options.strategy ?? "one_for_one",
      limit: {
        intensity: options.intensity ?? INTENSITY_DEFAULT.intensity,
        periodMs: options.periodMs ?? INTENSITY_DEFAULT.periodMs,
      },
      autoShutdown: options.autoShutdown ?? "never",
    }, children);
    for (const spec of children) this.#specs.set(spec.id, spec);
    this.booted = this.#bootOutcome.promise;
    // Code that constructs one without waiting learns of a failed start from
    // its exit.
    this.booted.catch(() => undefined);
    const { signal } = options;
    const onAbort = (): void => this.stop("shutdown");
    signal?.addEventListener("abort", onAbort, { once: true });
    this.onExit(() => signal?.removeEventListener("abort", onAbort));
    this.#dispatch({ type: "boot" });
    if (signal?.aborted) onAbort();
  }

  /** Stops the children in reverse order, each within its time, then exits with `reason`. */
  stop(reason: ExitReason): void {
    this.#dispatch({ type: "stop", reason });
  }

  /** Kills the children and exits with `killed`, at once. */
  kill(): void {
    if (!this.alive) return;
    this.#state.phase = "done";
    for (const controller of this.#starts.values()) controller.abort();
    for (const child of [...this.#lives.values()].reverse()) child.kill();
    this.#exit("killed");
  }

  /** Asks it to stop, and resolves to its exit reason once it has. */
  shutdown(reason: ExitReason = "shutdown"): Promise<ExitReason> {
    const { promise, resolve } = Promise.withResolvers<ExitReason>();
    this.onExit(resolve);
    this.stop(reason);
    return promise;
  }

  /** The same as {@linkcode Supervisor.shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /**
   * Adds a child and starts it.
   *
   * @returns The child, once it has started.
   * @throws {SupervisorError} `already_started`, `already_present`,
   * `start_failed` (the spec is not kept) or `noproc`.
   */
  async startChild(spec: ChildSpec): Promise<Child> {
    const { id } = spec;
    resolvePolicy(spec);
    const request = this.#requestCount++;
    // Kept apart until accepted: the id may belong to another child.
    this.#newSpecs.set(request, spec);
    try {
      const event = { type: "add_child", request, id, policy: spec } as const;
      return (await this.#request(event))!;
    } finally {
      this.#newSpecs.delete(request);
    }
  }

  /**
   * Stops a child and keeps its spec; a temporary one is removed.
   *
   * @throws {SupervisorError} `not_found` or `noproc`.
   */
  async terminateChild(id: string): Promise<void> {
    const request = this.#requestCount++;
    await this.#request({ type: "terminate_child", request, id });
  }

  /**
   * Starts a child that does not run.
   *
   * @throws {SupervisorError} `not_found`, `running`, `restarting`, `start_failed` or `noproc`.
   */
  async restartChild(id: string): Promise<Child> {
    const request = this.#requestCount++;
    return (await this.#request({ type: "restart_child", request, id }))!;
  }

  /**
   * Removes a child that does not run.
   *
   * @throws {SupervisorError} `not_found`, `running`, `restarting` or `noproc`.
   */
  async deleteChild(id: string): Promise<void> {
    const request = this.#requestCount++;
    await this.#request({ type: "delete_child", request, id });
  }

  /** All children, in start order. */
  whichChildren(): ChildInfo[] {
    return this.#state.children.map((state) => ({
      id: state.id,
      child: this.#lives.get(state.generation),
      status: state.status,
      type: state.policy.type,
      restarts: state.restarts,
    }));
  }

  /** The process of child `id`, if it runs. */
  child(id: string): Child | undefined {
    const state = this.#state.children.find((child) => child.id === id);
    return state && this.#lives.get(state.generation);
  }

  /** How many children there are. */
  countChildren(): ChildCounts {
    const { children } = this.#state;
    const supervisors =
      children.filter((child) => child.policy.type === "supervisor").length;
    return {
      specs: children.length,
      active: this.#lives.size,
      supervisors,
      workers: children.length - supervisors,
    };
  }

  /**
   * The spec of child `id`.
   *
   * @throws {SupervisorError} `not_found`.
   */
  getChildSpec(id: string): ChildSpec {
    const spec = this.#specs.get(id);
    if (spec === undefined) throw this.#refusal("not_found", id, undefined);
    return spec;
  }

  /** Describes it and its children. */
  describe(): Partial<TreeNode> {
    return {
      id: this.name,
      kind: "supervisor",
      strategy: this.#state.policy.strategy,
      children: this.#state.children.map((state): TreeNode => {
        const { id, status, restarts, lastExit } = state;
        const child = this.#lives.get(state.generation);
        const zombies = this.#zombies.get(id);
        return {
          kind: state.policy.type === "supervisor" ? "supervisor" : "task",
          children: [],
          ...(child && treeOf(child)),
          id,
          status,
          restarts,
          ...(zombies === undefined ? {} : { zombies }),
          ...(lastExit === undefined
            ? {}
            : { lastExit: formatReason(lastExit) }),
        };
      }),
    };
  }

  /** Resolves to the newest process of the child, the result of a request to start it. */
  #request(event: RequestEvent): Promise<Child | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<
      Child | undefined
    >();
    this.#requests.set(event.request, { id: event.id, resolve, reject });
    this.#dispatch(event);
    return promise;
  }

  /** Events that occur while another is handled wait until all of its effects are done. */
  #dispatch(event: SupervisorEvent): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) {
      for (const effect of stepSupervisor(this.#state, next)) {
        this.#perform(effect);
      }
    }
    this.#stepping = false;
  }

  #perform(effect: SupervisorEffect): void {
    switch (effect.type) {
      case "start_child":
        return this.#startChild(effect.id, effect.generation);
      case "abort_start":
        return this.#starts.get(effect.generation)?.abort();
      case "stop_child": {
        const { generation, timeoutMs } = effect;
        if (timeoutMs !== undefined) {
          this.#shutdownTimers.set(
            generation,
            this.#runtime.setTimer(timeoutMs, () => {
              this.#shutdownTimers.delete(generation);
              this.#dispatch({ type: "shutdown_elapsed", generation });
            }),
          );
        }
        return ask(this.#lives.get(generation)!);
      }
      case "kill_child":
        return this.#lives.get(effect.generation)?.kill();
      case "set_backoff": {
        const { id, afterMs } = effect;
        this.#runtime.clearTimer(this.#backoffTimers.get(id));
        this.#backoffTimers.set(
          id,
          this.#runtime.setTimer(afterMs, () => {
            this.#backoffTimers.delete(id);
            this.#dispatch({ type: "backoff_elapsed", id });
          }),
        );
        this.#report?.({
          type: "restart_delayed",
          supervisor: this.name,
          id,
          afterMs,
          reason: this.#state.children.find((child) => child.id === id)
            ?.lastExit ?? "normal",
        });
        return;
      }
      case "remember_child":
        this.#specs.set(effect.id, this.#newSpecs.get(effect.request)!);
        return;
      case "forget_child":
        this.#specs.delete(effect.id);
        this.#newest.delete(effect.id);
        this.#zombies.delete(effect.id);
        return;
      case "booted":
        this.#hasBooted = true;
        return this.#bootOutcome.resolve();
      case "gave_up":
        this.#report?.({
          type: "gave_up",
          supervisor: this.name,
          id: effect.id,
        });
        return;
      case "reply":
        return this.#reply(effect.request);
      case "refuse": {
        const request = this.#requests.get(effect.request);
        this.#requests.delete(effect.request);
        request?.reject(
          this.#refusal(effect.code, request.id, effect.reason),
        );
        return;
      }
      case "exit":
        return this.#exit(effect.reason);
      default:
        effect satisfies never;
    }
  }

  #reply(number: number): void {
    const request = this.#requests.get(number)!;
    this.#requests.delete(number);
    request.resolve(this.#newest.get(request.id));
  }

  #startChild(id: string, generation: number): void {
    const controller = new AbortController();
    this.#starts.set(generation, controller);
    try {
      const started = this.#specs.get(id)!.start(controller.signal);
      if (!(started instanceof Promise)) {
        return this.#childStarted(id, generation, started);
      }
      started.then(
        (child) => this.#childStarted(id, generation, child),
        (error) => this.#startFailed(id, generation, error),
      );
    } catch (error) {
      this.#startFailed(id, generation, error);
    }
  }

  #childStarted(id: string, generation: number, child: Child): void {
    this.#starts.delete(generation);
    // Killed while the child was starting: nobody is left to supervise it.
    if (!this.alive) return child.kill();
    this.#lives.set(generation, child);
    this.#newest.set(id, child);
    const state = this.#state.children.find((state) => state.id === id);
    this.#report?.({
      type: "child_started",
      supervisor: this.name,
      id,
      restarts: state?.restarts ?? 0,
    });
    this.#dispatch({
      type: "child_started",
      generation,
      nowMs: this.#runtime.now(),
    });
    child.onExit((reason) => this.#childExited(id, generation, child, reason));
  }

  #startFailed(id: string, generation: number, error: unknown): void {
    this.#starts.delete(generation);
    if (!this.alive) return;
    const reason = crash(error);
    this.#report?.({ type: "start_failed", supervisor: this.name, id, reason });
    this.#dispatch({
      type: "child_start_failed",
      generation,
      reason,
      nowMs: this.#runtime.now(),
      chance: this.#runtime.random(),
    });
  }

  #childExited(
    id: string,
    generation: number,
    child: Child,
    reason: ExitReason,
  ): void {
    this.#lives.delete(generation);
    this.#runtime.clearTimer(this.#shutdownTimers.get(generation));
    this.#shutdownTimers.delete(generation);
    if (child.zombie) this.#zombies.set(id, (this.#zombies.get(id) ?? 0) + 1);
    if (!this.alive) return;
    const state = this.#state.children.find((state) =>
      state.generation === generation
    );
    if (state?.status === "running" && this.#state.phase !== "done") {
      this.#report?.({
        type: "child_exited",
        supervisor: this.name,
        id,
        reason,
      });
    }
    this.#dispatch({
      type: "child_exited",
      generation,
      reason,
      nowMs: this.#runtime.now(),
      chance: this.#runtime.random(),
    });
  }

  #exit(reason: ExitReason): void {
    for (const timer of this.#backoffTimers.values()) {
      this.#runtime.clearTimer(timer);
    }
    for (const timer of this.#shutdownTimers.values()) {
      this.#runtime.clearTimer(timer);
    }
    for (const [number, request] of this.#requests) {
      this.#requests.delete(number);
      request.reject(this.#refusal("noproc", request.id, undefined));
    }
    if (!this.#hasBooted) this.#bootOutcome.reject(this.#bootError(reason));
    this.end(reason);
  }

  #bootError(reason: ExitReason): SupervisorError {
    const failed = bootFailureOf(reason);
    return failed === undefined
      ? this.#refusal("noproc", this.name, reason)
      : this.#refusal("start_failed", failed.id, failed.reason);
  }

  #refusal(
    code: SupervisorErrorCode,
    id: string,
    reason: ExitReason | undefined,
  ): SupervisorError {
    return new SupervisorError(
      code,
      `Cannot manage child '${id}' of '${this.name}' as ${RULES[code] ?? code}${
        reason === undefined ? "" : `: ${formatReason(reason)}`
      }`,
      {
        details: { supervisor: this.name, id, ...(reason && { reason }) },
        ...(typeof reason === "object" && reason.type === "crash"
          ? { cause: new RemoteError(reason.error) }
          : {}),
      },
    );
  }
}

/** Asks a child to stop. One that cannot even be asked is killed. */
function ask(child: Child): void {
  try {
    child.stop("shutdown");
  } catch {
    child.kill();
  }
}

const RULES: Partial<Record<SupervisorErrorCode, string>> = {
  already_started: "a child of this id runs",
  already_present: "a child of this id is known and does not run",
  not_found: "no child has this id",
  running: "it runs",
  restarting: "it is being restarted",
  start_failed: "it did not start",
  noproc: "the supervisor has ended or is stopping",
};
