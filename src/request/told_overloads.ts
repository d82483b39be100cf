/**
 * Vnodes that have reported that they are overloaded, and for how long it is
 * useless to ask them. A request that cannot succeed without them is refused by
 * its coordinator. That costs a fraction of asking them, and nothing is left
 * half done, as when some replicas accept a write and others do not.
 *
 *     vnode: "overload, again after 125 ms" ──► told ── 125 ms ──► asked again
 *
 * A report is valid for about half of the time for which the vnode has commands
 * (`mailbox_bounds.ts`). So the vnode never becomes idle because of it, nobody
 * has to be told when there is room, and the knowledge here is never wrong for
 * long: it expires by itself when a vnode moves, or its node is gone. (Overload
 * is reported in answers and limited in time as in Cho et al., "Overload
 * Control for µs-scale RPCs with Breakwater", 2020, which also grants room in
 * advance.)
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  countFailure,
  createQuorumCount,
  type Replica,
  verdictOf,
} from "./quorum.ts";
import type { QuorumRule } from "./quorum_options.ts";
import type { SharedFate } from "./shared_fate.ts";

/**
 * Longest time for which a vnode is believed, in milliseconds: it may be wrong,
 * or be of another version.
 */
export const TOLD_MS_MAX = 1_000;

/** A vnode as a coordinator identifies it. */
export interface PlacedVnode {
  readonly node: string;
  readonly moduleId: number;
  readonly vnode: number;
}

interface Told {
  readonly node: string;
  readonly untilMs: number;
}

/** The reports received by the coordinators of one host. It has no clock; callers pass the time. */
export class ToldOverloads {
  /** By module and vnode. A report does not apply to a vnode that has moved. */
  readonly #modules = new Map<number, Map<number, Told>>();

  /** Whether there are no reports that may still be valid. */
  get empty(): boolean {
    return this.#modules.size === 0;
  }

  /** Notes that the vnode has answered `error`. */
  hear(
    { node, moduleId, vnode }: PlacedVnode,
    error: WhorlError,
    nowMs: number,
  ): void {
    if (error.code !== "overload") return;
    const afterMs = error.details.againAfterMs;
    // It comes from another process and may have any shape.
    if (typeof afterMs !== "number" || !(afterMs > 0)) return;
    let vnodes = this.#modules.get(moduleId);
    if (vnodes === undefined) {
      vnodes = new Map();
      this.#modules.set(moduleId, vnodes);
    }
    vnodes.set(vnode, {
      node,
      untilMs: nowMs + Math.min(afterMs, TOLD_MS_MAX),
    });
  }

  /** For how long it is useless to ask the vnode, in milliseconds. */
  leftMs({ node, moduleId, vnode }: PlacedVnode, nowMs: number): number {
    const vnodes = this.#modules.get(moduleId);
    const told = vnodes?.get(vnode);
    if (vnodes === undefined || told === undefined) return 0;
    const leftMs = told.untilMs - nowMs;
    if (leftMs > 0) return told.node === node ? leftMs : 0;
    vnodes.delete(vnode);
    if (vnodes.size === 0) this.#modules.delete(moduleId);
    return 0;
  }
}

/**
 * Why a request is not started, if so: it cannot succeed without the replicas
 * that are overloaded.
 *
 * @param shared Which other operations are refused as well.
 * @param leftMsOf For how long it is useless to ask a replica, in milliseconds.
 */
export function overloadRefusal(
  replicas: readonly Replica[],
  rule: QuorumRule,
  shared: SharedFate,
  leftMsOf: (replica: Replica) => number,
): WhorlError | undefined {
  const count = createQuorumCount(replicas, rule);
  if (verdictOf(count) === "impossible") return undefined;
  let soonestMs = Infinity;
  let overloaded = 0;
  for (let i = 0; i < replicas.length; i++) {
    if (!(count.asked & (1 << i))) continue;
    const leftMs = leftMsOf(replicas[i] as Replica);
    if (leftMs === 0) continue;
    overloaded++;
    soonestMs = Math.min(soonestMs, leftMs);
    countFailure(count, i);
  }
  if (verdictOf(count) !== "impossible") return undefined;
  const { partition } = replicas[0] as Replica;
  return new WhorlError(
    "overload",
    `Cannot ${rule.kind} as ${overloaded} of ${replicas.length} vnodes have said that they are overloaded`,
    {
      details: { partition, againAfterMs: Math.ceil(soonestMs), ...shared },
    },
  );
}
