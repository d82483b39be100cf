/**
 * A machine of which nobody wants anything: for tests of what is read into it.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { MachineWorld } from "../machine_host.ts";

/** It leads nobody, and what it asks for comes to nothing. */
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
