/**
 * How messages name the commands they point to.
 *
 * @module
 */
import type { AdminCommands } from "../../src/ring/admin_messages.ts";

/** Of the `whorl` command. */
export const WHORL_COMMANDS: AdminCommands = {
  down: "whorl down",
  ringStatus: "whorl ring-status",
  clusterPlan: "whorl cluster plan",
};
