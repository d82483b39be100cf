/**
 * `storage_sup`: holds the node's home, first to open and last to close.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import { openNodeHome } from "./node_home.ts";
import type { NodeParts } from "./node_parts.ts";
import { ResourceChild } from "./resource_child.ts";

/** The supervisor of what the node remembers. */
export function storageSup(parts: NodeParts): ChildSpec {
  return {
    id: "storage_sup",
    type: "supervisor",
    start: (signal) =>
      startSupervisor({
        name: "storage_sup",
        runtime: parts.environment,
        signal,
        onReport: (report) => parts.onReport(report),
        children: [{
          id: "home",
          start: async () => {
            // The memory of a node without a data directory lasts as long as
            // its process, and must not end with this child.
            const home = parts.config.dataDirectory === undefined
              ? parts.home ??
                await openNodeHome(parts.config, parts.environment)
              : await openNodeHome(parts.config, parts.environment);
            parts.home = home;
            return new ResourceChild(
              "home",
              () => home[Symbol.asyncDispose](),
            );
          },
        }],
      }),
  };
}
