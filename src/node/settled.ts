/**
 * Waits until a cluster has settled: all agree on the ring, nothing moves, and
 * every owner serves.
 *
 * @module
 */
import type { NodeSubscribers } from "./node_events.ts";
import type { NodeParts } from "./node_parts.ts";

function isSettled(
  { cluster }: NodeParts,
  services: readonly string[],
): boolean {
  if (cluster === undefined) return false;
  const ring = cluster.ringStatus();
  return ring.ringReady && ring.transfers.length === 0 &&
    ring.resize === null &&
    ring.unreachable.length === 0 &&
    services.every((service) => {
      const up = cluster.upNodes(service);
      return ring.nodes.every((node) => up.includes(node));
    });
}

/** Resolves with true once the cluster of a node has settled; with false after `waitMs`. */
export function whenSettled(
  parts: NodeParts,
  subscribers: NodeSubscribers,
  waitMs: number,
  services: readonly string[],
): Promise<boolean> {
  if (isSettled(parts, services)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const done = (settled: boolean): void => {
      unsubscribe();
      parts.environment.clearTimer(timer);
      resolve(settled);
    };
    const timer = parts.environment.setTimer(
      waitMs,
      () => done(isSettled(parts, services)),
    );
    const unsubscribe = subscribers.subscribe(() => {
      if (isSettled(parts, services)) done(true);
    });
  });
}
