/**
 * The ring a node begins with: the one it stored, if it is its own.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";
import { memberStatus, type Ring } from "../ring/ring.ts";
import { decodeRing } from "../ring/ring_codec.ts";
import type { ClusterOptions } from "./cluster_world.ts";
import { refuseIdentity } from "./membership.ts";

/**
 * The stored ring, or `null` at the first start.
 *
 * @throws {WhorlError} `store_corrupt` if it cannot be read; `invalid_config`
 * if it is of another cluster name; `store_foreign` if this node is no member
 * of it; `name_taken` if it knows another identity by this node's name.
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
      `Cannot start as the stored ring is of another node: ${name} is no member of it`,
    );
  }
  const refusal = refuseIdentity(ring, name, nodeId);
  if (refusal !== null) throw refusal;
  return ring;
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
