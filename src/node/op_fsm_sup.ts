/**
 * `op_fsm_sup`: the coordinators of puts, gets and commands.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { coordinatorSup } from "./coordinator_sup.ts";
import type { NodeParts } from "./node_parts.ts";

/** Name of the worker or subprocess that they run in. */
export const OP_FSM_HOST = "op_fsm_host";

/**
 * The supervisor of the coordinators of requests.
 *
 * @param onZombie Told that a host which is a worker hangs and cannot be ended.
 */
export function opFsmSup(
  parts: NodeParts,
  onZombie: (host: string) => void,
): ChildSpec {
  return coordinatorSup(
    {
      id: "op_fsm_sup",
      host: OP_FSM_HOST,
      part: "requests",
      requestsMax: (config) => config.requestsMax,
      firstSequence: 1,
    },
    parts,
    onZombie,
  );
}
