/**
 * Every story there is.
 *
 * @module
 */
import { ENSEMBLE_LOSS_SCENARIOS } from "./ensemble_loss_scenarios.ts";
import { ENSEMBLE_SCENARIOS } from "./ensemble_scenarios.ts";
import { GUEST_SCENARIOS } from "./guest_scenarios.ts";
import { HANDOFF_SCENARIOS } from "./handoff_scenarios.ts";
import { MEMBERSHIP_SCENARIOS } from "./membership_scenarios.ts";
import { OPERATOR_SCENARIOS } from "./operator_scenarios.ts";
import { OVERLOAD_SCENARIOS } from "./overload_scenarios.ts";
import { RA_KV_SCENARIOS } from "./ra_kv_scenarios.ts";
import { RESIZE_SCENARIOS } from "./resize_scenarios.ts";
import type { Scenario } from "./scenario.ts";

/** See the module comment. */
export const SCENARIOS: readonly Scenario[] = [
  ...MEMBERSHIP_SCENARIOS,
  ...HANDOFF_SCENARIOS,
  ...RESIZE_SCENARIOS,
  ...GUEST_SCENARIOS,
  ...OPERATOR_SCENARIOS,
  ...ENSEMBLE_SCENARIOS,
  ...RA_KV_SCENARIOS,
  ...ENSEMBLE_LOSS_SCENARIOS,
  ...OVERLOAD_SCENARIOS,
];
