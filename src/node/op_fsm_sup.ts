/**
 * `op_fsm_sup`: the coordinators of requests, a simple_one_for_one supervisor
 * of temporary children with a bound.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { RequestHost } from "../request/request_host.ts";
import { NodeRoutes } from "./node_routes.ts";
import { type NodeParts, OBJECT_MODULES, present } from "./node_parts.ts";

/** The supervisor of the coordinators. */
export function opFsmSup(parts: NodeParts): ChildSpec {
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
      });
      for (const [moduleId, view] of parts.views) {
        requests.setView(moduleId, view);
      }
      parts.requests = requests;
      requests.supervisor.onExit(() => {
        if (parts.requests === requests) parts.requests = undefined;
        requests.wheel.close();
      });
      return requests.supervisor;
    },
  };
}
