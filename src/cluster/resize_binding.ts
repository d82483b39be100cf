/**
 * How long writes are held for a resize of the ring, as its claimant decides it.
 * In the phase `binding` (`ring_resize.ts`) they wait for partitions that may be
 * out of reach, so that it must not last: it begins when all members are up, and
 * is looked at every {@linkcode BINDING_LOOK_MS}. The first one ends with the first
 * look, as callers do not wait for much longer; each one after that may last twice
 * as long, as a bad network may just need more, but not if a member is not up. In
 * between writes are let be.
 *
 *     idle ── binding ─► held ── look: too long, or a member is down ─► resting
 *      ▲                   └── reading ─► idle          rest is over ────┘ │
 *      └──────────────────────────────────────────────────────────────────┘
 *
 * @module
 */
import type { RingResizePhase } from "../ring/ring_generations.ts";

/** How often the claimant looks at a resize for which writes are held, in milliseconds; less than callers wait. */
export const BINDING_LOOK_MS = 4_000;
/** With how many looks the longest of these times ends; the first ends with one, and each that fails doubles it. */
export const BINDING_LOOKS_MAX = 8;
/** How long writes are let be in between, in milliseconds. */
export const BINDING_REST_MS = 2_000;

/** What a claimant knows of the times in which writes were held. */
export interface ResizeBinding {
  /** What its timer runs for. */
  state: "idle" | "held" | "resting";
  /** How often it has looked since they are held. */
  looks: number;
  /** How often in a row they were held in vain. */
  failures: number;
}

/** A claimant that has held no writes. */
export function createBinding(): ResizeBinding {
  return { state: "idle", looks: 0, failures: 0 };
}

/** The timer has run out: whether writes have been held for too long. */
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

/** The resize went from one phase to another, or stays in it: how long the timer is to run from now, if it is to be set. */
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
