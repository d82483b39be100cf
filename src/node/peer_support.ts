/**
 * Asks each peer that connects whether it knows of capabilities. A node that was
 * started again with an older version does not take back what its newer one said
 * in the ring; that it does not know the question gives it away.
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
    // Of its answer only that there is one counts: what it supports stands in the ring.
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
