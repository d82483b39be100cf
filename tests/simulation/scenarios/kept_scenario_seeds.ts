/**
 * Seeds with which a story once failed, and what was wrong.
 *
 * @module
 */

/** A seed that failed, and why. */
export interface KeptScenarioSeed {
  /** The story. */
  readonly name: string;
  readonly seed: number;
  readonly found: string;
}

/** In the order in which they were found. */
export const KEPT_SCENARIO_SEEDS: readonly KeptScenarioSeed[] = [
  {
    name: "partition_repair",
    seed: 1,
    found:
      "a neighbour that was asked for its share of a repair knew no such call (transport_sup.ts)",
  },
  {
    name: "ensemble_faults",
    seed: 4,
    found:
      "a delete by the context of a value that was gone was answered as done (consistent_kv.ts)",
  },
  {
    name: "ensemble_ring_changes",
    seed: 42,
    found:
      "a member that its node had removed as a remnant stayed one for ever (member_plan.ts)",
  },
  {
    name: "ensemble_ring_changes",
    seed: 226,
    found:
      "a first owner stood for election so often that no answer came in time (ensemble_process.ts)",
  },
  {
    name: "ensemble_sync",
    seed: 8,
    found:
      "a node that had lost its members made them again from the first table before it knew that they had been formed (ensemble_process.ts)",
  },
  {
    name: "ensemble_byzantine",
    seed: 11,
    found:
      "a member that was started again while its links stayed up did not learn what was committed (following_test.ts)",
  },
  {
    name: "ensemble_byzantine",
    seed: 110,
    found:
      "the format of a stored state had rotted, which was taken for that of a newer version (stored_raft_logs_test.ts)",
  },
  ...[79, 164].map((seed) => ({
    name: "resize_and_kills",
    seed,
    found:
      "a source acknowledged, after a second, what its new partition did not have, and a strict read by the resized ring missed it (claimant_resize_test.ts)",
  })),
  {
    name: "random_plans",
    seed: 5015,
    found:
      "the operator took a node that leaves for one that had been declared down and was back, as only the claimant knew of the leave and was away (simulated_operator.ts)",
  },
  {
    name: "random_plans",
    seed: 7076,
    found:
      "a node joined one that had just been let go and then went for good, and could never leave that cluster of one (simulated_operator.ts, cluster_admission_test.ts)",
  },
  {
    name: "random_plans",
    seed: 7182,
    found:
      "the operator waited for a node that had left to hear of that, while all that it knew had left as well (simulated_operator.ts)",
  },
  {
    name: "resize_and_two_claimants",
    seed: 11,
    found:
      "two parts of a cluster that had declared each other down while their links were up never spoke to each other again (gossip_fsm_test.ts)",
  },
  {
    name: "resize_and_two_claimants",
    seed: 44,
    found:
      "what had come for a resize that only a claimant of before knew stayed, and would have been taken for parts of the next one (ring_origin_test.ts)",
  },
  {
    name: "resize_and_two_claimants",
    seed: 5018,
    found:
      "a node whose former ring was the present one again, as another part had given up its resize, held writes of its vnodes for ever (vnode_manager.ts)",
  },
  {
    name: "ensemble_resize_and_claimant",
    seed: 18,
    found:
      "groups of a resize that only a claimant of before knew were never dropped (ensemble_plan.ts)",
  },
  {
    name: "ensemble_two_claimants",
    seed: 21_001,
    found:
      "what an owner had reported of a phase that only a claimant of before knew outweighed all that it reported later, and the resize never ended (ring_change.ts)",
  },
  {
    name: "riak_admin_console_tests",
    seed: 9_029,
    found:
      "where a fifth of all segments is lost a request takes longer than its timeout now and then, and an operator asks again (operator_scenarios.ts)",
  },
  {
    name: "random_plans",
    seed: 30_189,
    found:
      "what was handed to a former owner in the moment in which it began to remove its data was acknowledged and removed (vnode_handoff_test.ts)",
  },
  {
    name: "random_plans",
    seed: 30_186,
    found:
      "a node that had left was declared down by one that had not heard of it, and could not join again (admission_test.ts)",
  },
  {
    name: "resize_and_two_claimants",
    seed: 30_040,
    found:
      "a node heard that a resize was given up and then of a ring that had never had it, and kept for ever what had come for it (lost_origin_test.ts)",
  },
];
