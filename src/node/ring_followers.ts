/**
 * What a node tells its parts when the ring, or the set of serving nodes, has
 * changed: coordinators get the nodes to send requests to, and masters the
 * vnodes to run.
 *
 * @module
 */
import {
  boundVnodes,
  firstVnode,
  firstVnodeOf,
  formerVnodes,
  vnodeSizes,
} from "../ring/ring_generations.ts";
import { originsOf } from "../ring/ring_origin.ts";
import { type RingView, ringViewOf } from "../ring/ring_view.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import type { NodeParts } from "./node_parts.ts";

/**
 * Publishes the current ring and serving nodes to requests, under a new number.
 * Does nothing on a node that has left: its own ring gives it all partitions,
 * so it would acknowledge writes that no other node can find.
 */
export function updateViews(
  { cluster, hasLeft, modules, views, coordinators, config }: NodeParts,
  version: number,
): void {
  if (cluster === undefined || hasLeft) return;
  const { owners, generations: { resize } } = cluster.ring.ownership;
  for (const { name } of modules) {
    const id = moduleIdOf(name);
    const viewOf = (owners: readonly string[], first: number): RingView =>
      ringViewOf(version, owners, cluster.upNodes(name), config.name, first);
    const view: RingView = {
      ...viewOf(owners, firstVnode(cluster.ring)),
      ...resize?.phase === "reading"
        ? { reads: viewOf(resize.owners, firstVnodeOf(resize.generation)) }
        : {},
    };
    views.set(id, view);
    for (const part of coordinators) part.setView(id, view);
  }
}

/**
 * Makes the masters run the vnodes that this node owns, and tells them the
 * generations of the ring. Does nothing on a node that has left.
 */
export function ownPartitions(
  { cluster, hasLeft, vnodes, config }: NodeParts,
): void {
  if (cluster === undefined || hasLeft) return;
  const { ring } = cluster;
  const first = firstVnode(ring);
  const mine: number[] = [];
  ring.ownership.owners.forEach((owner, partition) => {
    if (owner === config.name) mine.push(first + partition);
  });
  const origins = originsOf(ring, config.name);
  vnodes?.ringResized(
    vnodeSizes(ring, origins),
    formerVnodes(ring, origins),
    boundVnodes(ring, config.name),
  );
  vnodes?.own(mine);
}
