/**
 * `vnode_sup`: the vnode masters, each on its own (one_for_one).
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import {
  boundVnodes,
  formerVnodes,
  vnodeSizes,
} from "../ring/ring_generations.ts";
import { currentMembers } from "../ring/ring.ts";
import { originsOf } from "../ring/ring_origin.ts";
import type { NodeParts } from "./node_parts.ts";
import { present } from "./node_parts.ts";
import {
  MASTER_RESTARTS_MAX,
  MASTER_RESTARTS_PERIOD_MS,
} from "./master_backoff.ts";
import { VnodeManager, type VnodeManagerEvent } from "./vnode_manager.ts";

/** Flags a subprocess needs to run vnodes: its store, its module, no network. */
const SUBPROCESS_FLAGS: readonly string[] = [
  "--unstable-kv",
  "--no-prompt",
  "--quiet",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-import",
];

/** The supervisor of the vnode masters. */
export function vnodeSup(
  parts: NodeParts,
  onEvent: (event: VnodeManagerEvent) => void,
  onReady: () => void,
): ChildSpec {
  return {
    id: "vnode_sup",
    type: "supervisor",
    start: async (signal) => {
      const { config, environment } = parts;
      const home = present(parts.home, "home");
      const { ring } = present(parts.cluster, "cluster");
      const origins = originsOf(ring, config.name);
      const vnodes = new VnodeManager({
        node: config.name,
        ringSizes: vnodeSizes(ring, origins),
        formerVnodes: formerVnodes(ring, origins),
        boundVnodes: boundVnodes(ring, config.name),
        masters: config.masters,
        placement: config.masterPlacement,
        modules: parts.modules,
        home,
        mayRebuild: () =>
          parts.cluster !== undefined &&
          currentMembers(parts.cluster.ring).length > 1,
        subprocessFlags: SUBPROCESS_FLAGS,
        environment,
        onEvent,
      });
      const children = vnodes.childSpecs();
      const supervisor = await startSupervisor({
        name: "vnode_sup",
        strategy: "one_for_one",
        // A failing disk ends all of them.
        intensity: MASTER_RESTARTS_MAX * children.length,
        periodMs: MASTER_RESTARTS_PERIOD_MS,
        children,
        runtime: environment,
        signal,
        onReport: (report) => {
          if (report.type === "restart_delayed") {
            vnodes.masterWaits(report.id, report.afterMs, report.reason);
          }
          parts.onReport(report);
        },
      });
      parts.vnodes = vnodes;
      supervisor.onExit(() => {
        if (parts.vnodes === vnodes) parts.vnodes = undefined;
        vnodes.close();
      });
      onReady();
      return supervisor;
    },
  };
}
