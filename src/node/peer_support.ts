/**
 * Asks each peer that connects whether it knows of capabilities. A node that
 * was restarted with an older version does not withdraw what its newer version
 * announced in the ring; it is recognized by not knowing this call.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../base/errors.ts";
import type { Link } from "../transport/link.ts";
import type { NodeParts } from "./node_parts.ts";

/** Asks the peer at the other end of `link`, which has just come up. */
export function askSupport(parts: NodeParts, link: Link): void {
  const { name } = link.peer;
  parts.calls?.call(link, "supported_capabilities", {}).catch((error) => {
    // Only the existence of an answer counts: what the peer supports is in the
    // ring.
    if (isWhorlError(error, "unknown_command")) {
      if (parts.links?.link(name) === link) {
        parts.cluster?.supportsNothing(name);
      }
    } else {
      parts.environment.log.debug("A peer could not say what it supports", {
        peer: name,
        reason: reasonOf(error),
      });
    }
  });
}
