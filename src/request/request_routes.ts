/**
 * The way from coordinators to vnodes and to other nodes.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import type { WhorlError } from "../base/errors.ts";
import type { AnswerTarget } from "../vnode/vnode_master_link.ts";

/** How requests reach vnodes and other nodes. */
export interface RequestRoutes {
  /**
   * Begins a vnode request to `node`, which may be this one, and returns the
   * writer for its payload, or why it cannot be sent. `target` receives the
   * answer under `correlation`; 0 means that nobody waits for it.
   */
  beginVnodeRequest(
    node: string,
    moduleId: number,
    vnode: number,
    target: AnswerTarget,
    correlation: number,
    timeLeftMs: number,
  ): ByteWriter | WhorlError;
  /** Ends the vnode request that was begun last. */
  endVnodeRequest(): void;
  /** Begins an operation for `node` to coordinate. */
  beginOperation(node: string, correlation: number): ByteWriter | WhorlError;
  /** Ends the operation that was begun last. */
  endOperation(): void;
}
