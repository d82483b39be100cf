/**
 * How long the claimant holds writes for a resize of the ring. In the phase
 * `binding` (`ring_resize.ts`) writes wait for partitions that may be
 * unreachable, so the phase must be short: it begins when all members are up,
 * and is checked every {@linkcode BINDING_LOOK_MS}. The first attempt ends with
 * the first check, as callers do not wait for much longer; each further one may
 * last twice as long, as a bad network may just need more time, but ends if a
 * member is not up. Between attempts writes are not held.
 *
 *     idle ── binding ─► held ── look: too long, or a member is down ─► resting
 *      ▲                   └── reading ─► idle          rest is over ────┘ │
 *      └──────────────────────────────────────────────────────────────────┘
 *
 * @module
 */
import type { RingResizePhase } from "../ring/ring_generations.ts";

/** How often the claimant checks a resize for which writes are held, in milliseconds; less than callers wait. */
export const BINDING_LOOK_MS = 4_000;
/** Number of checks after which the longest attempt ends; the first ends after one, and each failure doubles that. */
export const BINDING_LOOKS_MAX = 8;
/** Pause between attempts, in milliseconds. */
export const BINDING_REST_MS = 2_000;

/** The state of these attempts. */
export interface ResizeBinding {
  /** What its timer runs for. */
  state: "idle" | "held" | "resting";
  /** Checks since the attempt began. */
  looks: number;
  /** Failed attempts in a row. */
  failures: number;
}

/** The state before the first attempt. */
export function createBinding(): ResizeBinding {
  return { state: "idle", looks: 0, failures: 0 };
}

/** The timer has fired: whether writes have been held for too long. */
export function lookAtBinding(
  binding: ResizeBinding,
  areAllUp: boolean,
): boolean {
  const { state } = binding;
  binding.state = "idle";
  if (state !== "held") return false;
  binding.looks++;
  const looksMax = Math.min(BINDING_LOOKS_MAX, 2 ** binding.failures);
  return binding.looks >= looksMax || !areAllUp;
}

/** The resize went from phase `before` to `after`, perhaps the same: returns how long to set the timer, if at all. */
export function followPhase(
  binding: ResizeBinding,
  before: RingResizePhase | undefined,
  after: RingResizePhase | undefined,
): number | undefined {
  if (after === "binding") {
    if (before !== "binding") binding.looks = 0;
    if (binding.state === "held") return undefined;
    binding.state = "held";
    return BINDING_LOOK_MS;
  }
  if (after === "copying" && before === "binding") {
    binding.state = "resting";
    binding.failures++;
    return BINDING_REST_MS;
  }
  if (after !== "copying") {
    binding.state = "idle";
    binding.failures = 0;
  }
  return undefined;
}
