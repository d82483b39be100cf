/**
 * What becomes of a command while its partition is handed off and commands follow
 * the items.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { HandoffSource } from "./handoff_source.ts";
import type { Vnode } from "./vnode.ts";

/** Whether command `name` must go to the target of the handoff as well, or why it cannot be run now. */
export function forwardingOf(
  vnode: Vnode,
  partition: number,
  { target: { node }, full }: HandoffSource,
  name: string,
  request: unknown,
): boolean | WhorlError {
  switch (vnode.handleHandoffCommand?.(name, request)) {
    case "apply":
      return false;
    case "forward":
      return new WhorlError(
        "wrong_owner",
        `Cannot run '${name}' here as partition ${partition} is going to ${node}`,
        { details: { partition, owner: node } },
      );
    case "drop":
      return new WhorlError(
        "handoff_refused",
        `Cannot run '${name}' while partition ${partition} is going to ${node}`,
        { details: { partition, owner: node } },
      );
    default:
      return full
        ? new WhorlError(
          "overload",
          `Cannot run '${name}' as too many commands are on their way to ${node} with partition ${partition}`,
          { details: { partition } },
        )
        : true;
  }
}
