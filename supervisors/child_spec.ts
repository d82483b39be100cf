/**
 * The specification of a child for its supervisor: how to start it, when to
 * restart it, and how long it may take to stop.
 *
 * @module
 */
import { type Backoff, checkBackoff } from "./backoff.ts";
import type { Child } from "./child.ts";
import type { ExitReason } from "./exit_reason.ts";

/**
 * When a child that ended is restarted: always, only after an abnormal exit, or
 * never.
 */
export type Restart = "permanent" | "transient" | "temporary";

/**
 * How a child is stopped: killed at once, asked and then killed after this many
 * milliseconds, or asked and awaited without limit (right for supervisors,
 * whose own children have limits).
 */
export type Shutdown = "brutal" | "infinity" | number;

/** Whether the child is itself a supervisor. */
export type ChildType = "worker" | "supervisor";

/** A child specification without its identity and its start function. */
export interface ChildPolicy {
  /** When to restart it. @default {"permanent"} */
  readonly restart?: Restart;
  /** How to stop it. @default {5000 for workers, "infinity" for supervisors} */
  readonly shutdown?: Shutdown;
  /** Whether the child is itself a supervisor. @default {"worker"} */
  readonly type?: ChildType;
  /** Pauses before restarts. @default {none: restarts are immediate} */
  readonly backoff?: Backoff;
  /**
   * Which exits are followed by a pause, if there is `backoff`; after others
   * the child is restarted at once. `ran` is false if a restart failed, for
   * `reason`.
   *
   * @default {all}
   */
  readonly backoffAfter?: (reason: ExitReason, ran: boolean) => boolean;
  /** Whether its final exit can end the supervisor, see `autoShutdown`; not allowed with `permanent`. @default {false} */
  readonly significant?: boolean;
}

/** A child of a supervisor. */
export interface ChildSpec extends ChildPolicy {
  /** Unique among the children of its supervisor. */
  readonly id: string;
  /**
   * Starts the child. It counts as started when this returns or resolves; if it
   * throws, the start has failed. `signal` fires if the supervisor has to stop
   * meanwhile.
   */
  readonly start: (signal: AbortSignal) => Child | Promise<Child>;
}

/** A {@linkcode ChildPolicy} with its defaults filled in. */
export interface ResolvedPolicy {
  /** When to start it again. */
  readonly restart: Restart;
  /** How to stop it. */
  readonly shutdown: Shutdown;
  /** Whether the child is itself a supervisor. */
  readonly type: ChildType;
  /** Pauses before restarts. */
  readonly backoff: Backoff | undefined;
  /** Which exits are followed by one; `undefined` if all are. */
  readonly backoffAfter:
    | ((reason: ExitReason, ran: boolean) => boolean)
    | undefined;
  /** Whether its final exit can end the supervisor. */
  readonly significant: boolean;
}

/**
 * What a child is doing:
 *
 * - `starting`, `running`, `stopping`: what they say;
 * - `exited`: it ended by itself and nothing has been decided yet;
 * - `restarting`: between two lives;
 * - `stopped`: known, and not running until someone or a group restart starts it.
 */
export type ChildStatus =
  | "starting"
  | "running"
  | "stopping"
  | "exited"
  | "restarting"
  | "stopped";

/** Default time a worker gets to stop, in milliseconds. */
export const SHUTDOWN_MS_DEFAULT = 5_000;

/**
 * Fills in defaults and validates the policy.
 *
 * @throws {RangeError} If a number is out of range.
 * @throws {TypeError} If a significant child is permanent: it has no final
 * exit.
 */
export function resolvePolicy(policy: ChildPolicy): ResolvedPolicy {
  const type = policy.type ?? "worker";
  const resolved = {
    restart: policy.restart ?? "permanent",
    shutdown: policy.shutdown ??
      (type === "supervisor" ? "infinity" : SHUTDOWN_MS_DEFAULT),
    type,
    backoff: policy.backoff,
    backoffAfter: policy.backoffAfter,
    significant: policy.significant ?? false,
  } as const;
  const { shutdown, backoff } = resolved;
  if (typeof shutdown === "number" && !(shutdown >= 0 && shutdown < Infinity)) {
    throw new RangeError(
      `Cannot use child spec as 'shutdown' must be at least 0 and finite: current value is ${shutdown}`,
    );
  }
  if (backoff !== undefined) checkBackoff(backoff);
  if (resolved.significant && resolved.restart === "permanent") {
    throw new TypeError(
      "Cannot use child spec as a significant child must not be permanent",
    );
  }
  return resolved;
}
