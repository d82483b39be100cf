/**
 * How a supervisor is told about a child: how to start it, when to start it
 * again, and how long it may take to stop.
 *
 * @module
 */
import { type Backoff, checkBackoff } from "./backoff.ts";
import type { Child } from "./child.ts";
import type { ExitReason } from "./exit_reason.ts";

/**
 * When a child that ended is started again: always, only after an abnormal
 * exit, or never.
 */
export type Restart = "permanent" | "transient" | "temporary";

/**
 * How a child is stopped: killed at once, asked and killed after so many
 * milliseconds, or asked and waited for without end (right for supervisors,
 * whose own children have limits).
 */
export type Shutdown = "brutal" | "infinity" | number;

/** Whether the child is itself a supervisor. */
export type ChildType = "worker" | "supervisor";

/** What a supervisor knows of each child, identity and start apart. */
export interface ChildPolicy {
  /** When to start it again. @default {"permanent"} */
  readonly restart?: Restart;
  /** How to stop it. @default {5000 for workers, "infinity" for supervisors} */
  readonly shutdown?: Shutdown;
  /** Whether the child is itself a supervisor. @default {"worker"} */
  readonly type?: ChildType;
  /** Pauses before restarts. @default {none: restarts are immediate} */
  readonly backoff?: Backoff;
  /**
   * Which ends are followed by a pause, when there is `backoff`; after others it
   * is started again at once. `ran` is false of a restart that failed, which
   * `reason` is then the reason of.
   *
   * @default {all}
   */
  readonly backoffAfter?: (reason: ExitReason, ran: boolean) => boolean;
  /** Its final exit can end the supervisor, see `autoShutdown`. Never with `permanent`. @default {false} */
  readonly significant?: boolean;
}

/** A child of a supervisor. */
export interface ChildSpec extends ChildPolicy {
  /** Unique among the children of its supervisor. */
  readonly id: string;
  /**
   * Starts the child. It counts as started when this returns or resolves; what
   * it throws is a failed start. `signal` fires when the supervisor has to stop
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
  /** Which ends are followed by one; `undefined` if all are. */
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

/** Milliseconds a worker gets to stop, unless its spec says otherwise. */
export const SHUTDOWN_MS_DEFAULT = 5_000;

/**
 * Fills in defaults and checks that the policy makes sense.
 *
 * @throws {RangeError} If a number is out of range.
 * @throws {TypeError} If a significant child is permanent: it never ends for good.
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
