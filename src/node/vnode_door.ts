/**
 * Decides which requests of other nodes reach the vnodes of this one. A node
 * may use a ring older than one that this node has announced to know. It would
 * then read or write where others no longer look, so it is refused until it
 * knows the newer ring. A node that exits no longer stands in for others.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { MarkedBuckets } from "../ensemble/marked_buckets.ts";
import {
  createFormerReaders,
  followRing,
  mayAsk,
} from "../ring/former_readers.ts";
import { memberStatus, type Ring } from "../ring/ring.ts";
import { partitionOfVnode } from "../ring/ring_generations.ts";
import { CoverageAction } from "../vnode/coverage_codec.ts";
import {
  RequestFlag,
  VNODE_REQUEST_FLAGS_OFFSET,
  VNODE_REQUEST_HEADER_BYTES,
} from "../vnode/vnode_wire.ts";

/** The offset of the vnode's number in a request. */
const VNODE_OFFSET = 4;

/** Decides; see the module comment. */
export class VnodeDoor {
  readonly #readers = createFormerReaders();
  readonly #buckets: Pick<MarkedBuckets, "isMistaken">;

  readonly #self: string;

  /**
   * @param buckets The buckets that vnodes do not serve.
   * @param self Name of this node.
   */
  constructor(buckets: Pick<MarkedBuckets, "isMistaken">, self: string) {
    this.#buckets = buckets;
    this.#self = self;
  }

  /** This node uses `ring`, and has not told other nodes yet. */
  follow(ring: Ring): void {
    followRing(this.#readers, ring);
  }

  /**
   * Why the request in `bytes[start, end)` of the node `from` is refused;
   * `undefined` if it is not.
   *
   * @param current The current ring, if known.
   */
  refuse(
    from: string,
    bytes: Uint8Array,
    start: number,
    end: number,
    current: Ring | undefined,
  ): WhorlError | undefined {
    // The request's receiver reports what is wrong with it.
    if (end - start <= VNODE_REQUEST_HEADER_BYTES) return undefined;
    const flags = bytes[start + VNODE_REQUEST_FLAGS_OFFSET] as number;
    const action = bytes[start + VNODE_REQUEST_HEADER_BYTES];
    // What has begun already continues.
    if (flags & RequestFlag.coverage && action !== CoverageAction.open) {
      return undefined;
    }
    if (
      flags & RequestFlag.asFallback && current !== undefined &&
      memberStatus(current, this.#self) === "exiting"
    ) {
      // It has handed over all its data, and nobody will look here again.
      return new WhorlError(
        "closed",
        "Cannot stand in for another node as this one exits",
      );
    }
    const vnode = (bytes[start + VNODE_OFFSET] as number) << 8 |
      (bytes[start + VNODE_OFFSET + 1] as number);
    if (
      current !== undefined && !mayAsk(this.#readers, from, vnode, current)
    ) {
      return new WhorlError(
        "wrong_owner",
        `Cannot run a command of partition ${
          partitionOfVnode(vnode)
        } here as the ring is read by other partitions, and ${from} may not have heard of that yet`,
        { details: { partition: partitionOfVnode(vnode) } },
      );
    }
    return this.#buckets.isMistaken(bytes, start, end)
      ? new WhorlError(
        "ring_not_ready",
        `Cannot have a vnode serve a consistent bucket: ${from} has not heard yet that it is one`,
      )
      : undefined;
  }
}
