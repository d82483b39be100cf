/**
 * `vnode_sup`: the vnode masters, each on its own (one_for_one).
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { startSupervisor } from "../../supervisors/supervisor.ts";
import type { NodeParts } from "./node_parts.ts";
import { present } from "./node_parts.ts";
import { VnodeManager, type VnodeManagerEvent } from "./vnode_manager.ts";

/** Restarts of masters borne within {@linkcode MASTER_RESTARTS_PERIOD_MS}. */
export const MASTER_RESTARTS_MAX = 10;
/** The window for restarts of masters, in milliseconds. */
export const MASTER_RESTARTS_PERIOD_MS = 10_000;

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
      const vnodes = new VnodeManager({
        node: config.name,
        ringSize: present(parts.cluster, "cluster").ring.size,
        masters: config.masters,
        placement: config.masterPlacement,
        modules: parts.modules,
        storeOf: (module, master) => home.storeOf(module, master),
        subprocessFlags: SUBPROCESS_FLAGS,
        environment,
        onEvent,
      });
      const supervisor = await startSupervisor({
        name: "vnode_sup",
        strategy: "one_for_one",
        intensity: MASTER_RESTARTS_MAX,
        periodMs: MASTER_RESTARTS_PERIOD_MS,
        children: vnodes.childSpecs(),
        runtime: environment,
        signal,
        onReport: (report) => parts.onReport(report),
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
