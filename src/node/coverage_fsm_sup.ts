/**
 * `coverage_fsm_sup`: the coordinators of coverage queries. They live long and
 * are few, so they have a supervisor and a bound of their own.
 *
 * @module
 */
import type { ChildSpec } from "../../supervisors/child_spec.ts";
import { COVERAGE_SEQUENCE_FIRST } from "../request/coordinators.ts";
import { coordinatorSup } from "./coordinator_sup.ts";
import type { NodeParts } from "./node_parts.ts";

/** Name of the worker or subprocess that they run in. */
export const COVERAGE_FSM_HOST = "coverage_fsm_host";

/**
 * The supervisor of the coordinators of coverage queries.
 *
 * @param onZombie Told that a host which is a worker hangs and cannot be ended.
 */
export function coverageFsmSup(
  parts: NodeParts,
  onZombie: (host: string) => void,
): ChildSpec {
  return coordinatorSup(
    {
      id: "coverage_fsm_sup",
      host: COVERAGE_FSM_HOST,
      part: "coverage",
      requestsMax: (config) => config.coverageQueriesMax,
      firstSequence: COVERAGE_SEQUENCE_FIRST,
    },
    parts,
    onZombie,
  );
}
