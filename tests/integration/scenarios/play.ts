/**
 * All scenarios, as tests.
 *
 * @module
 */
import { type ClusterKind, withCluster } from "../../harness/test_cluster.ts";
import { CAPABILITY_SCENARIOS } from "./capability_scenarios.ts";
import { COVERAGE_SCENARIOS } from "./coverage_scenarios.ts";
import { ENSEMBLE_SCENARIOS } from "./ensemble_scenarios.ts";
import { FAILURE_SCENARIOS } from "./failure_scenarios.ts";
import { HANDOFF_SCENARIOS } from "./handoff_scenarios.ts";
import { KV_SCENARIOS } from "./kv_scenarios.ts";
import { LEAVE_SCENARIOS } from "./leave_scenarios.ts";
import { LISTING_SCENARIOS } from "./listing_scenarios.ts";
import { MEMBERSHIP_SCENARIOS } from "./membership_scenarios.ts";
import { OVERLOAD_SCENARIOS } from "./overload_scenarios.ts";
import { RA_KV_SCENARIOS } from "./ra_kv_scenarios.ts";
import { RESIZE_SCENARIOS } from "./resize_scenarios.ts";
import type { Scenario } from "./scenario.ts";
import { START_SCENARIOS } from "./start_scenarios.ts";

const SCENARIOS: readonly Scenario[] = [
  ...MEMBERSHIP_SCENARIOS,
  ...CAPABILITY_SCENARIOS,
  ...LEAVE_SCENARIOS,
  ...HANDOFF_SCENARIOS,
  ...RESIZE_SCENARIOS,
  ...KV_SCENARIOS,
  ...COVERAGE_SCENARIOS,
  ...LISTING_SCENARIOS,
  ...FAILURE_SCENARIOS,
  ...OVERLOAD_SCENARIOS,
  ...START_SCENARIOS,
  ...RA_KV_SCENARIOS,
  ...ENSEMBLE_SCENARIOS,
];

/** Makes a test of each of those scenarios that can be played on nodes of that kind. */
export function testScenarios(
  kind: ClusterKind,
  which: (scenario: Scenario) => boolean,
): void {
  for (const scenario of SCENARIOS.filter(which)) {
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
