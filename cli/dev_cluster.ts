/**
 * Makes one cluster of nodes that have just come up, the way a person would:
 * join, plan, commit. Nodes that are joined already are left as they are.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../src/base/errors.ts";
import type { AdminSession } from "../src/node/admin_protocol.ts";
import type { UpLine } from "./node_child.ts";

/** How long the members may take to agree, in milliseconds. */
export const CONVERGE_TIMEOUT_MS = 30_000;
const LOOK_INTERVAL_MS = 100;

/** A node that is up. */
export interface DevMember {
  readonly session: AdminSession;
  readonly up: UpLine;
}

/**
 * Joins every node that is alone to the first one, and resolves to the names of
 * those it joined once all members agree on the ring.
 *
 * @throws {WhorlError} What a node refused with; `ring_not_ready` if the members
 * do not agree in time; `cancelled` if `signal` fired.
 */
export async function joinCluster(
  members: readonly DevMember[],
  signal: AbortSignal,
): Promise<string[]> {
  const [first, ...others] = members;
  if (first === undefined) return [];
  const joined: string[] = [];
  for (const { session, up } of others) {
    const { members } = await session.call("member_status", {}, { signal });
    if (members.length > 1) continue;
    await session.call("cluster_join", {
      node: first.up.up,
      address: first.up.address,
    }, { signal });
    joined.push(up.up);
  }
  if (joined.length === 0) return [];
  // A plan can be made only when the joins have reached everybody.
  const plan = await onceConverged(
    () => first.session.call("cluster_plan", {}, { signal }),
    signal,
  );
  if (plan.changes.length > 0) {
    await onceConverged(
      () => first.session.call("cluster_commit", {}, { signal }),
      signal,
    );
  }
  await onceConverged(async () => {
    const readiness = await first.session.call("ringready", {}, { signal });
    if (readiness.type !== "ready") throw notReady();
  }, signal);
  return joined;
}

/** Does `action` again while it is refused with `ring_not_ready`. */
async function onceConverged<T>(
  action: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const deadlineMs = performance.now() + CONVERGE_TIMEOUT_MS;
  while (true) {
    try {
      return await action();
    } catch (error) {
      if (
        !isWhorlError(error, "ring_not_ready") ||
        performance.now() > deadlineMs
      ) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
    if (signal.aborted) {
      throw new WhorlError("cancelled", "Cannot join nodes while stopping");
    }
  }
}

function notReady(): WhorlError {
  return new WhorlError(
    "ring_not_ready",
    `Cannot see the members agree on the ring within ${CONVERGE_TIMEOUT_MS} ms`,
  );
}
