/**
 * All kinds of faults, in the order of the summary.
 *
 * @module
 */
import type { Fault } from "./fault.ts";
import { HOST_FAULTS } from "./faults/host_faults.ts";
import { LINK_FAULTS } from "./faults/link_faults.ts";
import { PARTITION_FAULTS } from "./faults/partition_faults.ts";
import { PROCESS_FAULTS } from "./faults/process_faults.ts";
import { STORE_FAULTS } from "./faults/store_faults.ts";

/** See the module comment. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...PARTITION_FAULTS,
  ...LINK_FAULTS,
  ...HOST_FAULTS,
  ...STORE_FAULTS,
];
