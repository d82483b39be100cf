/**
 * Every scenario on nodes in processes of their own, over TCP, and those that
 * are not long also on nodes inside this process, over a network of memory.
 *
 * @module
 */
import { CLUSTER_KINDS, withCluster } from "../harness/test_cluster.ts";
import { CAPABILITY_SCENARIOS } from "./scenarios/capability_scenarios.ts";
import { COVERAGE_SCENARIOS } from "./scenarios/coverage_scenarios.ts";
import { ENSEMBLE_SCENARIOS } from "./scenarios/ensemble_scenarios.ts";
import { FAILURE_SCENARIOS } from "./scenarios/failure_scenarios.ts";
import { HANDOFF_SCENARIOS } from "./scenarios/handoff_scenarios.ts";
import { KV_SCENARIOS } from "./scenarios/kv_scenarios.ts";
import { LEAVE_SCENARIOS } from "./scenarios/leave_scenarios.ts";
import { MEMBERSHIP_SCENARIOS } from "./scenarios/membership_scenarios.ts";
import { OVERLOAD_SCENARIOS } from "./scenarios/overload_scenarios.ts";
import { RA_KV_SCENARIOS } from "./scenarios/ra_kv_scenarios.ts";
import { RESIZE_SCENARIOS } from "./scenarios/resize_scenarios.ts";
import { START_SCENARIOS } from "./scenarios/start_scenarios.ts";

const SCENARIOS = [
  ...MEMBERSHIP_SCENARIOS,
  ...CAPABILITY_SCENARIOS,
  ...LEAVE_SCENARIOS,
  ...HANDOFF_SCENARIOS,
  ...RESIZE_SCENARIOS,
  ...KV_SCENARIOS,
  ...COVERAGE_SCENARIOS,
  ...FAILURE_SCENARIOS,
  ...OVERLOAD_SCENARIOS,
  ...START_SCENARIOS,
  ...ENSEMBLE_SCENARIOS,
  ...RA_KV_SCENARIOS,
];
for (const kind of CLUSTER_KINDS) {
  for (const scenario of SCENARIOS) {
    if (scenario.kinds?.includes(kind) === false) continue;
    Deno.test(
      `${kind}: ${scenario.name}`,
      () =>
        withCluster({ ...scenario.cluster, kind }, async (cluster) => {
          if (scenario.joined ?? true) await cluster.joinAll();
          await scenario.play(cluster);
        }),
    );
  }
}
import { testScenarios } from "./scenarios/play.ts";
testScenarios("in_process", ({ long = false }) => !long);
testScenarios("processes", () => true);
