/**
 * A world for a machine without a group, for tests of reading state into it.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { MachineWorld } from "../machine_host.ts";

/** It does not lead, and its effects are ignored. */
export function loneWorld(runtime: Runtime): MachineWorld {
  return {
    runtime,
    leads: () => false,
    isUp: () => true,
    propose() {},
    applied() {},
    release() {},
    checkpoint() {},
  };
}
