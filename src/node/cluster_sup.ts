/**
 * `cluster_sup`: the processes that hold and change the ring.
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { reasonOf } from "../base/errors.ts";
import { ClusterProcess } from "../cluster/cluster_process.ts";
import type { ClusterChange, ClusterWorld } from "../cluster/cluster_world.ts";
import type { Environment } from "../environment/environment.ts";
import { hasConsistentBuckets } from "../ring/consistent_buckets.ts";
import { masterPausesAfter } from "./master_backoff.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { askSupport } from "./peer_support.ts";
import { ResourceChild } from "./resource_child.ts";
import { fetchJoinOffer } from "./transport_sup.ts";

/** Restarts of the ring's process allowed within {@linkcode CLUSTER_RESTARTS_PERIOD_MS}. */
export const CLUSTER_RESTARTS_MAX = 10;
/** The window for restarts of the ring's process, in milliseconds. */
export const CLUSTER_RESTARTS_PERIOD_MS = 10_000;
/** Pauses before restarts when the ring could not be stored, so that few fit into the window. */
export const CLUSTER_BACKOFF: Backoff = { minMs: 100, maxMs: 5_000 };

/** The supervisor of the ring. */
export function clusterSup(
  parts: NodeParts,
  onChange: (change: ClusterChange) => void,
): ChildSpec {
  return {
    id: "cluster_sup",
    type: "supervisor",
    start: (signal) =>
      startSupervisor({
        name: "cluster_sup",
        intensity: CLUSTER_RESTARTS_MAX,
        periodMs: CLUSTER_RESTARTS_PERIOD_MS,
        runtime: parts.environment,
        signal,
        onReport: (report) => parts.onReport(report),
        children: [{
          id: "cluster",
          backoff: CLUSTER_BACKOFF,
          // A full or failing disk fails the next ring as well.
          backoffAfter: masterPausesAfter,
          start: () => startCluster(parts, onChange),
        }],
      }),
  };
}

async function startCluster(
  parts: NodeParts,
  onChange: (change: ClusterChange) => void,
): Promise<ResourceChild> {
  const { config, environment } = parts;
  const home = present(parts.home, "home");
  const child = new ResourceChild("cluster", () => {
    if (parts.cluster === cluster) parts.cluster = undefined;
    // The next process knows only the stored ring, which does not say so.
    if (cluster.hasLeft) parts.left();
    cluster.stop();
  });
  const cluster = new ClusterProcess(
    {
      node: {
        name: config.name,
        address: parts.address,
        nodeId: home.nodeId,
      },
      incarnation: home.incarnation,
      clusterName: config.clusterName,
      ringSize: config.ringSize,
      capabilities: config.capabilities,
      capabilityOverrides: config.capabilityOverrides,
      storedRing: home.storedRing,
    },
    worldOf(parts, environment, (error) => {
      environment.log.error("The ring could not be stored", {
        reason: reasonOf(error),
      });
      child.fail(error);
    }),
  );
  cluster.subscribe(onChange);
  parts.cluster = cluster;
  await cluster.start();
  // Links may have come up before this process existed.
  for (const { name } of parts.links?.up() ?? []) {
    cluster.peerUp(name);
    const link = parts.links?.link(name);
    if (link !== undefined) askSupport(parts, link);
  }
  for (const name of parts.vnodes?.services ?? []) cluster.serviceUp(name);
  return child;
}

function worldOf(
  parts: NodeParts,
  environment: Environment,
  storeFailed: (error: unknown) => void,
): ClusterWorld {
  return {
    runtime: environment,
    wallClock: () => environment.wallClock(),
    chance: environment.chance,
    log: environment.log.child("cluster"),
    newSeed: () => environment.secretBytes(8).toHex(),
    send: (node, frameType, payload) => {
      const link = parts.links?.link(node);
      if (link === undefined) return false;
      link.begin(frameType, 0).raw(payload);
      link.end();
      return true;
    },
    peersChanged: (peers) => {
      parts.peers = peers;
      parts.links?.setPeers(peers);
    },
    storeRing: (bytes) => present(parts.home, "home").storeRing(bytes),
    storeFailed,
    readyToExit: () => {
      const ring = parts.cluster?.ring;
      return (parts.transfers?.holdsNothing ?? false) &&
        (ring === undefined || !hasConsistentBuckets(ring) ||
          (parts.ensembles?.process.holdsNothing ?? false));
    },
    fetchJoinOffer: (address) => fetchJoinOffer(parts, address),
  };
}
