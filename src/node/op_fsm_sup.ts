/**
 * `op_fsm_sup`: the coordinators of requests, a simple_one_for_one supervisor
 * of temporary children with a bound.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { RequestHost } from "../request/request_host.ts";
import { NodeRoutes } from "./node_routes.ts";
import { type NodeParts, present } from "./node_parts.ts";
import { OBJECT_MODULES } from "./object_modules.ts";

/** The supervisor of the coordinators. */
export function opFsmSup(parts: NodeParts): ChildSpec {
  let firstSequence = 1;
  return {
    id: "op_fsm_sup",
    type: "supervisor",
    start: () => {
      const { config, environment } = parts;
      const requests = new RequestHost({
        runtime: environment,
        routes: new NodeRoutes(
          config.name,
          () => present(parts.vnodes, "vnodes"),
          (node) => parts.links?.link(node),
        ),
        objectModules: OBJECT_MODULES,
        requestsMax: config.requestsMax,
        firstSequence,
      });
      for (const [moduleId, view] of parts.views) {
        requests.setView(moduleId, view);
      }
      parts.requests = requests;
      requests.supervisor.onExit(() => {
        if (parts.requests === requests) parts.requests = undefined;
        requests.wheel.close();
        firstSequence = requests.nextSequence;
      });
      return requests.supervisor;
    },
  };
}
