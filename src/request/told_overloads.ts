/**
 * Vnodes that have said that they are overloaded, and for how long it is of no
 * use to ask them again. A request that cannot succeed without them is refused
 * where it is coordinated: that costs a fraction of asking, and nothing is left
 * half done, as it would be if some replicas took a write and others did not.
 *
 *     vnode: "overload, again after 125 ms" ──► told ── 125 ms ──► asked again
 *
 * What a vnode says holds for about half of the time that it has commands for
 * (`mailbox_bounds.ts`). So it never stands idle because of it, nobody has to be
 * told when there is room, and what is known here is never wrong for long: it is
 * forgotten by itself when a vnode moves, or its node is gone. (Overload is told
 * in answers and bounded in time as in Cho et al., "Overload Control for µs-scale
 * RPCs with Breakwater", 2020, which grants room in advance as well.)
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

/** Longest time for which a vnode is believed, in milliseconds: it may be mistaken, or be of another version. */
export const TOLD_MS_MAX = 1_000;

/** A vnode where a coordinator knows it. */
export interface PlacedVnode {
  readonly node: string;
  readonly moduleId: number;
  readonly vnode: number;
}

interface Told {
  readonly node: string;
  readonly untilMs: number;
}

/** What the coordinators of one host have been told. It knows no clock; whoever calls says what time it is. */
export class ToldOverloads {
  /** By module and vnode. A vnode that has moved meanwhile is another one. */
  readonly #modules = new Map<number, Map<number, Told>>();

  /** Whether nothing was said that may hold still. */
  get empty(): boolean {
    return this.#modules.size === 0;
  }

  /** The vnode has answered `error`. */
  hear(
    { node, moduleId, vnode }: PlacedVnode,
    error: WhorlError,
    nowMs: number,
  ): void {
    if (error.code !== "overload") return;
    const afterMs = error.details.againAfterMs;
    // It comes from another process, and may be anything.
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

  /** For how long it is of no use to ask the vnode, in milliseconds. */
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
 * Why a request is not begun: without the replicas that are overloaded it cannot
 * succeed.
 *
 * @param shared Which others are refused as well.
 * @param leftMsOf For how long it is of no use to ask a replica.
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
