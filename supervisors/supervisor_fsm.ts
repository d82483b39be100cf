/**
 * The decisions of a supervisor: it starts children in order, restarts them by
 * its strategy, gives up when they crash too often, and stops them in reverse
 * order. This file only decides; `supervisor.ts` starts, asks, kills and keeps
 * timers.
 *
 *     starting ── all started ──► running ── stop, or too many restarts ──► stopping ──► done
 *        └────────── a child does not start ────────────────────────────────▲
 *
 * One operation runs at a time, as in OTP, where a supervisor is one process:
 * an exit or a request that arrives meanwhile waits for its turn. Only `stop`
 * takes precedence. The rules are those of OTP's `supervisor.erl`; backoff
 * before restarts is an addition.
 *
 * @module
 */
import type { ExitReason } from "./exit_reason.ts";
import { backoffDelayMs } from "./backoff.ts";
import {
  type ChildPolicy,
  type ChildStatus,
  type ResolvedPolicy,
  resolvePolicy,
} from "./child_spec.ts";
import {
  addRestart,
  createIntensity,
  type IntensityLimit,
  type IntensityState,
} from "./restart_intensity.ts";
import {
  type AutoShutdown,
  restartGroup,
  shouldRestart,
  type Strategy,
} from "./restart_strategy.ts";
import type { SupervisorErrorCode } from "./supervisor_error.ts";

/** The events of a supervisor. A `generation` is one start of one child, unique in its supervisor. */
export type SupervisorEvent =
  | { readonly type: "boot" }
  | {
    readonly type: "child_started";
    readonly generation: number;
    readonly nowMs: number;
  }
  | {
    readonly type: "child_start_failed" | "child_exited";
    readonly generation: number;
    readonly reason: ExitReason;
    readonly nowMs: number;
    /** In [0, 1), for jitter. */
    readonly chance: number;
  }
  | { readonly type: "shutdown_elapsed"; readonly generation: number }
  | { readonly type: "backoff_elapsed"; readonly id: string }
  | {
    readonly type: "add_child";
    readonly request: number;
    readonly id: string;
    readonly policy: ChildPolicy;
  }
  | {
    readonly type: "terminate_child" | "restart_child" | "delete_child";
    readonly request: number;
    readonly id: string;
  }
  | { readonly type: "stop"; readonly reason: ExitReason };

/** An event that is answered with `reply` or `refuse`. */
export type RequestEvent = Extract<
  SupervisorEvent,
  { readonly request: number }
>;

/** The effects of an event, in order. */
export type SupervisorEffect =
  | {
    readonly type: "start_child";
    readonly id: string;
    readonly generation: number;
  }
  /** Abort the start under way; its outcome is still awaited. */
  | { readonly type: "abort_start"; readonly generation: number }
  | {
    readonly type: "stop_child";
    readonly generation: number;
    /** Milliseconds until `shutdown_elapsed` is due, or `undefined` for never. */
    readonly timeoutMs: number | undefined;
  }
  | { readonly type: "kill_child"; readonly generation: number }
  | {
    readonly type: "set_backoff";
    readonly id: string;
    readonly afterMs: number;
  }
  /** The child that `request` brings is accepted. */
  | {
    readonly type: "remember_child";
    readonly id: string;
    readonly request: number;
  }
  /** The child is forgotten. */
  | { readonly type: "forget_child"; readonly id: string }
  | { readonly type: "booted" }
  /** One restart too many, of `id`. The shutdown follows. */
  | { readonly type: "gave_up"; readonly id: string }
  | { readonly type: "reply"; readonly request: number }
  | {
    readonly type: "refuse";
    readonly request: number;
    readonly code: SupervisorErrorCode;
    /** Why the child did not start. */
    readonly reason?: ExitReason;
  }
  | { readonly type: "exit"; readonly reason: ExitReason };

/** One child as its supervisor knows it. */
export interface ChildState {
  readonly id: string;
  readonly policy: ResolvedPolicy;
  status: ChildStatus;
  /** Its current or last start; 0 before the first. */
  generation: number;
  /** How often it was restarted after it had ended. */
  restarts: number;
  /** Restarts since it last stayed up, which determines the backoff. */
  attempt: number;
  /** When its current process began to run, if it has. */
  startedAtMs: number | undefined;
  lastExit: ExitReason | undefined;
}

type Step =
  | { readonly type: "start"; readonly id: string }
  /** Wait for a start or a stop that is under way. */
  | { readonly type: "settle"; readonly id: string }
  /** `then` is what the child is once it has ended. */
  | {
    readonly type: "stop";
    readonly id: string;
    readonly then: "restarting" | "stopped";
  }
  | {
    readonly type: "set_backoff";
    readonly id: string;
    readonly afterMs: number;
  };

interface Operation {
  readonly kind: "boot" | "restart" | "request" | "shutdown";
  readonly request?: number;
  /** Whether the request adds a child, which is removed if it does not start. */
  readonly adds?: boolean;
  readonly steps: readonly Step[];
  at: number;
}

type Waiting =
  | {
    readonly type: "child_down";
    readonly generation: number;
    readonly reason: ExitReason;
    readonly nowMs: number;
    readonly chance: number;
  }
  /** A failed restart is tried again, after operations that came before it. */
  | {
    readonly type: "try_again";
    readonly id: string;
    readonly delayMs: number;
  }
  | { readonly type: "resume"; readonly id: string }
  | RequestEvent;

/** How a supervisor is set up. */
export interface SupervisorPolicy {
  readonly strategy: Strategy;
  readonly limit: IntensityLimit;
  readonly autoShutdown: AutoShutdown;
}

/** A supervisor. Has one owner and changes in place. */
export interface SupervisorState {
  readonly policy: SupervisorPolicy;
  readonly intensity: IntensityState;
  phase: "starting" | "running" | "stopping" | "done";
  /** In start order. */
  readonly children: ChildState[];
  operation: Operation | undefined;
  readonly waiting: Waiting[];
  generations: number;
  /** What it will exit with. */
  exitReason: ExitReason;
}

/**
 * Sets up a supervisor with its first children.
 *
 * @throws {RangeError} If a limit or a number of a child is invalid.
 * @throws {TypeError} If two children have one id.
 */
export function createSupervisor(
  policy: SupervisorPolicy,
  children: readonly ({ readonly id: string } & ChildPolicy)[],
): SupervisorState {
  const ids = new Set<string>();
  for (const { id } of children) {
    if (ids.has(id)) {
      throw new TypeError(
        `Cannot start supervisor as ids of children must differ: '${id}' stands twice`,
      );
    }
    ids.add(id);
  }
  return {
    policy,
    intensity: createIntensity(policy.limit),
    phase: "starting",
    children: children.map((spec) => createChild(spec.id, spec)),
    operation: undefined,
    waiting: [],
    generations: 0,
    exitReason: "normal",
  };
}

function createChild(id: string, policy: ChildPolicy): ChildState {
  return {
    id,
    policy: resolvePolicy(policy),
    status: "stopped",
    generation: 0,
    restarts: 0,
    attempt: 0,
    startedAtMs: undefined,
    lastExit: undefined,
  };
}

/** Advances the supervisor by one event. */
export function stepSupervisor(
  state: SupervisorState,
  event: SupervisorEvent,
): SupervisorEffect[] {
  const effects: SupervisorEffect[] = [];
  if (state.phase === "done") {
    if ("request" in event) refuse(effects, event.request, "noproc");
    return effects;
  }
  switch (event.type) {
    case "boot":
      state.operation = {
        kind: "boot",
        steps: state.children.map(({ id }) => ({ type: "start", id })),
        at: 0,
      };
      break;
    case "child_started": {
      const child = findLife(state, event.generation);
      if (child === undefined) break;
      child.status = "running";
      child.startedAtMs = event.nowMs;
      break;
    }
    case "child_start_failed":
      startFailed(state, event, effects);
      break;
    case "child_exited":
      childExited(state, event);
      break;
    case "shutdown_elapsed": {
      const child = findLife(state, event.generation);
      if (child?.status === "stopping") {
        effects.push({ type: "kill_child", generation: event.generation });
      }
      break;
    }
    case "backoff_elapsed":
      state.waiting.push({ type: "resume", id: event.id });
      break;
    case "add_child":
    case "terminate_child":
    case "restart_child":
    case "delete_child":
      if (state.phase === "stopping") refuse(effects, event.request, "noproc");
      else state.waiting.push(event);
      break;
    case "stop":
      beginShutdown(state, event.reason, effects);
      break;
    default:
      event satisfies never;
  }
  advance(state, effects);
  return effects;
}

/** Advances the current operation, and begins waiting ones, until something has to be awaited. */
function advance(state: SupervisorState, effects: SupervisorEffect[]): void {
  for (;;) {
    const operation = state.operation;
    if (operation === undefined) {
      const next = state.waiting.shift();
      if (next === undefined) return;
      begin(state, next, effects);
    } else if (operation.at === operation.steps.length) {
      finish(state, operation, effects);
      if (state.phase === "done") return;
    } else if (
      takeStep(state, operation.steps[operation.at]!, effects) === "await"
    ) {
      return;
    } else {
      operation.at++;
    }
  }
}

function takeStep(
  state: SupervisorState,
  step: Step,
  effects: SupervisorEffect[],
): "await" | "done" {
  if (step.type === "set_backoff") {
    effects.push(step);
    return "done";
  }
  const child = find(state, step.id);
  if (child === undefined) return "done";
  if (step.type === "settle") return isSettled(child) ? "done" : "await";
  if (step.type === "start") {
    if (child.status === "running") return "done";
    if (child.status === "starting") return "await";
    child.status = "starting";
    child.startedAtMs = undefined;
    child.generation = ++state.generations;
    effects.push({
      type: "start_child",
      id: child.id,
      generation: child.generation,
    });
    return "await";
  }
  switch (child.status) {
    case "starting":
    case "stopping":
      return "await";
    case "running": {
      child.status = "stopping";
      const { shutdown } = child.policy;
      effects.push(
        shutdown === "brutal"
          ? { type: "kill_child", generation: child.generation }
          : {
            type: "stop_child",
            generation: child.generation,
            timeoutMs: shutdown === "infinity" ? undefined : shutdown,
          },
      );
      return "await";
    }
    default:
      // It ended before its turn came. Its reason does not count: it was to end
      // anyway.
      leave(state, child, step.then, effects);
      return "done";
  }
}

/** The child has ended as intended. Temporary ones are removed, as in OTP. */
function leave(
  state: SupervisorState,
  child: ChildState,
  then: "restarting" | "stopped",
  effects: SupervisorEffect[],
): void {
  if (child.policy.restart === "temporary") forget(state, child, effects);
  else child.status = then;
}

function finish(
  state: SupervisorState,
  operation: Operation,
  effects: SupervisorEffect[],
): void {
  state.operation = undefined;
  switch (operation.kind) {
    case "boot":
      state.phase = "running";
      effects.push({ type: "booted" });
      break;
    case "request":
      effects.push({ type: "reply", request: operation.request! });
      break;
    case "shutdown":
      state.phase = "done";
      effects.push({ type: "exit", reason: state.exitReason });
      break;
    case "restart":
      break;
    default:
      operation.kind satisfies never;
  }
}

/** Begins the operations that have waited for their turn. */
function begin(
  state: SupervisorState,
  next: Waiting,
  effects: SupervisorEffect[],
): void {
  switch (next.type) {
    case "child_down":
      return decideOnExit(state, next, effects);
    case "try_again":
    case "resume": {
      const trigger = find(state, next.id);
      // Terminated or started by request meanwhile: nothing is left to do for
      // it, though others of its group may wait for this moment too.
      const alone = state.policy.strategy === "one_for_one";
      if (trigger?.status !== "restarting" && alone) return;
      if (next.type === "try_again" && trigger?.status === "restarting") {
        return restart(state, trigger, next.delayMs);
      }
      const ids = alone
        ? [next.id]
        : state.children.filter((c) => c.status === "restarting")
          .map((c) => c.id);
      state.operation = {
        kind: "restart",
        steps: ids.map((id) => ({ type: "start", id })),
        at: 0,
      };
      return;
    }
    default:
      return beginRequest(state, next, effects);
  }
}

function beginRequest(
  state: SupervisorState,
  event: RequestEvent,
  effects: SupervisorEffect[],
): void {
  const { request, id } = event;
  const child = find(state, id);
  const run = (steps: readonly Step[], adds = false): void => {
    state.operation = { kind: "request", request, adds, steps, at: 0 };
  };
  if (event.type === "add_child") {
    if (child !== undefined) {
      return refuse(
        effects,
        request,
        child.status === "stopped" ? "already_present" : "already_started",
      );
    }
    state.children.push(createChild(id, event.policy));
    effects.push({ type: "remember_child", id, request });
    return run([{ type: "start", id }], true);
  }
  if (child === undefined) return refuse(effects, request, "not_found");
  if (event.type === "terminate_child") {
    return run([{ type: "stop", id, then: "stopped" }]);
  }
  if (child.status === "restarting") {
    return refuse(effects, request, "restarting");
  }
  if (child.status !== "stopped") return refuse(effects, request, "running");
  if (event.type === "restart_child") return run([{ type: "start", id }]);
  forget(state, child, effects);
  effects.push({ type: "reply", request });
}

function childExited(
  state: SupervisorState,
  event: SupervisorEvent & {
    readonly type: "child_start_failed" | "child_exited";
  },
): void {
  const child = findLife(state, event.generation);
  if (child === undefined) return;
  child.lastExit = event.reason;
  // Whether it was told to (`stopping`, the current step then sees that it
  // has ended) or not: `exited` is the truth until somebody acts on it.
  const wasRunning = child.status === "running";
  child.status = "exited";
  if (wasRunning && state.phase !== "stopping") {
    const { generation, reason, nowMs, chance } = event;
    state.waiting.push({
      type: "child_down",
      generation,
      reason,
      nowMs,
      chance,
    });
  }
}

function decideOnExit(
  state: SupervisorState,
  down: Waiting & { readonly type: "child_down" },
  effects: SupervisorEffect[],
): void {
  const child = findLife(state, down.generation);
  // A stop that came first has dealt with it.
  if (child?.status !== "exited") return;
  if (!shouldRestart(child.policy.restart, down.reason)) {
    leave(state, child, "stopped", effects);
    if (endsSupervisor(state, child)) beginShutdown(state, "shutdown", effects);
    return;
  }
  child.status = "restarting";
  const delayMs = countRestart(state, child, down, true, effects);
  if (delayMs !== undefined) restart(state, child, delayMs);
}

/** Records a restart of `child` and returns the pause before it, or gives up. */
function countRestart(
  state: SupervisorState,
  child: ChildState,
  { reason, nowMs, chance }: {
    readonly reason: ExitReason;
    readonly nowMs: number;
    readonly chance: number;
  },
  ran: boolean,
  effects: SupervisorEffect[],
): number | undefined {
  if (!addRestart(state.intensity, nowMs)) {
    effects.push({ type: "gave_up", id: child.id });
    beginShutdown(state, "shutdown", effects);
    return undefined;
  }
  child.restarts++;
  const { backoff, backoffAfter } = child.policy;
  if (backoff === undefined || backoffAfter?.(reason, ran) === false) return 0;
  const { startedAtMs } = child;
  if (startedAtMs !== undefined && nowMs - startedAtMs > backoff.maxMs) {
    child.attempt = 0;
  }
  return backoffDelayMs(backoff, child.attempt++, chance);
}

/** Stops the rest of the group in reverse, then starts it in order, now or after `delayMs`. */
function restart(
  state: SupervisorState,
  trigger: ChildState,
  delayMs: number,
): void {
  const { from, to } = restartGroup(
    state.policy.strategy,
    state.children.indexOf(trigger),
    state.children.length,
  );
  const group = state.children.slice(from, to);
  const stops = group.toReversed()
    .filter((child) => child !== trigger)
    .map((child): Step => ({
      type: "stop",
      id: child.id,
      then: "restarting",
    }));
  // Temporary children are gone once stopped; a start of a child that is gone does nothing.
  const starts: Step[] = delayMs > 0
    ? [{ type: "set_backoff", id: trigger.id, afterMs: delayMs }]
    : group.map(({ id }) => ({ type: "start", id }));
  state.operation = { kind: "restart", steps: [...stops, ...starts], at: 0 };
}

function startFailed(
  state: SupervisorState,
  event: SupervisorEvent & {
    readonly type: "child_start_failed" | "child_exited";
  },
  effects: SupervisorEffect[],
): void {
  const child = findLife(state, event.generation);
  if (child === undefined) return;
  child.lastExit = event.reason;
  const operation = state.operation!;
  switch (operation.kind) {
    case "boot":
      child.status = "stopped";
      return beginShutdown(state, bootFailure(child.id, event.reason), effects);
    case "request": {
      state.operation = undefined;
      // OTP keeps nothing of a child that could not be added.
      if (operation.adds) forget(state, child, effects);
      else child.status = "stopped";
      return refuse(
        effects,
        operation.request!,
        "start_failed",
        event.reason,
      );
    }
    case "restart": {
      state.operation = undefined;
      child.status = "restarting";
      const delayMs = countRestart(state, child, event, false, effects);
      if (delayMs !== undefined) {
        state.waiting.push({ type: "try_again", id: child.id, delayMs });
      }
      return;
    }
    case "shutdown":
      child.status = "exited";
      return;
    default:
      operation.kind satisfies never;
  }
}

/** From here on everything stops, in reverse order, after what is under way. */
function beginShutdown(
  state: SupervisorState,
  reason: ExitReason,
  effects: SupervisorEffect[],
): void {
  if (state.phase === "stopping") return;
  state.phase = "stopping";
  state.exitReason = reason;
  const interrupted = state.operation;
  if (interrupted?.request !== undefined) {
    refuse(effects, interrupted.request, "noproc");
  }
  for (const waiting of state.waiting.splice(0)) {
    if ("request" in waiting) refuse(effects, waiting.request, "noproc");
  }
  const unsettled = state.children.filter((child) => !isSettled(child));
  for (const { status, generation } of unsettled) {
    if (status === "starting") {
      effects.push({ type: "abort_start", generation });
    }
  }
  state.operation = {
    kind: "shutdown",
    steps: [
      ...unsettled.map(({ id }): Step => ({ type: "settle", id })),
      ...state.children.toReversed().map(({ id }): Step => ({
        type: "stop",
        id,
        then: "stopped",
      })),
    ],
    at: 0,
  };
}

function isSettled(child: ChildState): boolean {
  return child.status !== "starting" && child.status !== "stopping";
}

/** Whether the final exit of `child` ends its supervisor too. */
function endsSupervisor(state: SupervisorState, child: ChildState): boolean {
  if (!child.policy.significant) return false;
  switch (state.policy.autoShutdown) {
    case "never":
      return false;
    case "any_significant":
      return true;
    case "all_significant":
      return !state.children.some((other) =>
        other !== child && other.policy.significant &&
        other.status !== "stopped"
      );
    default:
      return state.policy.autoShutdown satisfies never;
  }
}

/** The exit reason of a supervisor that could not start its children. */
function bootFailure(id: string, reason: ExitReason): ExitReason {
  return {
    type: "shutdown",
    detail: { failedToStartChild: id, reason },
  };
}

/** The child whose failed start made a supervisor exit with `reason`, if any. */
export function bootFailureOf(
  exit: ExitReason,
): { readonly id: string; readonly reason: ExitReason } | undefined {
  if (typeof exit === "string" || exit.type !== "shutdown") return undefined;
  const detail = exit.detail as
    | { failedToStartChild?: string; reason?: ExitReason }
    | null
    | undefined;
  const id = detail?.failedToStartChild;
  if (id === undefined) return undefined;
  return { id, reason: detail!.reason! };
}

function forget(
  state: SupervisorState,
  child: ChildState,
  effects: SupervisorEffect[],
): void {
  state.children.splice(state.children.indexOf(child), 1);
  effects.push({ type: "forget_child", id: child.id });
}

function refuse(
  effects: SupervisorEffect[],
  request: number,
  code: SupervisorErrorCode,
  reason?: ExitReason,
): void {
  effects.push({
    type: "refuse",
    request,
    code,
    ...(reason === undefined ? {} : { reason }),
  });
}

function find(state: SupervisorState, id: string): ChildState | undefined {
  return state.children.find((child) => child.id === id);
}

function findLife(
  state: SupervisorState,
  generation: number,
): ChildState | undefined {
  return state.children.find((child) => child.generation === generation);
}
