/**
 * The ring a node starts with: the stored one if it belongs to the node, or
 * that of a new cluster in which it is alone.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import { memberStatus, type Ring } from "../ring/ring.ts";
import { decodeRing } from "../ring/ring_codec.ts";
import {
  FIRST_GENERATION,
  generationsAlone,
  generationsBefore,
} from "../ring/ring_generations.ts";
import { originFacts, originOf, originsOf } from "../ring/ring_origin.ts";
import { freshRing } from "../ring/ring_change.ts";
import type { ClusterOptions, ClusterWorld } from "./cluster_world.ts";
import { refuseIdentity } from "./membership.ts";

/**
 * The stored ring, or `null` at the first start.
 *
 * @throws {WhorlError} `store_corrupt` if it cannot be read; `invalid_config`
 * if its cluster name differs; `store_foreign` if this node is not a member of
 * it; `name_taken` if it has another identity under this node's name.
 */
export function restoreRing(options: ClusterOptions): Ring | null {
  if (options.storedRing === null) return null;
  const ring = readRing(options.storedRing);
  const { name, nodeId } = options.node;
  if (ring.clusterName !== options.clusterName) {
    throw new WhorlError(
      "invalid_config",
      `Cannot start as the cluster name must stay the same: stored is ${ring.clusterName}, configured is ${options.clusterName}`,
    );
  }
  if (memberStatus(ring, name) === undefined) {
    throw new WhorlError(
      "store_foreign",
      `Cannot start as the stored ring is of another node: ${name} is not a member of it`,
    );
  }
  const refusal = refuseIdentity(ring, name, nodeId);
  if (refusal !== null) throw refusal;
  return ring;
}

/** A ring that a node has left. */
export interface LeftRing {
  readonly ring: Ring;
  /** Whether it was only joining, so that its data has not changed. */
  readonly wasJoining: boolean;
}

/**
 * A new ring, with this node as the only member of a new cluster.
 *
 * @param left The ring it was in, if any. Its vnodes keep their numbers.
 * @throws {WhorlError} `invalid_ring_size`.
 */
export function ringAlone(
  options: ClusterOptions,
  world: Pick<ClusterWorld, "newSeed" | "wallClock">,
  left?: LeftRing,
): Ring {
  return freshRing({
    clusterName: options.clusterName,
    ...partitionsAlone(options, left),
    seed: world.newSeed(),
    wallMs: world.wallClock(),
  });
}

/** Ring size and generation of a node that is alone. */
function partitionsAlone(
  { ringSize, node }: ClusterOptions,
  left: LeftRing | undefined,
): Pick<Parameters<typeof freshRing>[0], "size" | "generations" | "node"> {
  if (left === undefined) {
    return { size: ringSize, generations: FIRST_GENERATION, node };
  }
  const { ring, wasJoining } = left;
  const origins = originsOf(ring, node.name);
  if (wasJoining) {
    const origin = originOf(ring, node.name);
    return origin === null
      ? { size: ringSize, generations: FIRST_GENERATION, node }
      : { size: origin.size, generations: generationsBefore(origin), node };
  }
  return {
    // The size of the ring it was in, so that it can join that again.
    size: ring.size,
    generations: generationsAlone(ring.ownership.generations),
    // It may still hold data of these.
    node: origins.length === 0 ? node : { ...node, ...originFacts(origins) },
  };
}

function readRing(bytes: Uint8Array): Ring {
  try {
    return decodeRing(bytes).ring;
  } catch (cause) {
    throw new WhorlError(
      "store_corrupt",
      `Cannot start as the stored ring cannot be read: ${reasonOf(cause)}`,
      { cause },
    );
  }
}
