/**
 * How long a claimant thinks about a plan, its claim included: the staged
 * changes of a morning. Goals: 20 ms for 64 partitions and 8 nodes, 2 s for 1024
 * partitions and 100 nodes.
 *
 *     deno bench bench/plan_bench.ts
 */
import type { Ring, StagedChange } from "../src/ring/ring.ts";
import {
  addJoining,
  freshRing,
  setOwnership,
  setStatus,
} from "../src/ring/ring_change.ts";
import { assumeDone, tendRing } from "../src/ring/ring_upkeep.ts";
import { computePlan } from "../src/ring/staged_plan.ts";

const CLAIMANT = "node0@host";

function join(ring: Ring, index: number): Ring {
  const name = `node${index}@host`;
  const node = { name, address: `host:${index + 1}`, nodeId: `id-${index}` };
  return addJoining(ring, node, 0);
}

/** A cluster at rest. */
function cluster(size: number, nodes: number): Ring {
  let ring = freshRing({
    clusterName: "default",
    size,
    seed: "0000000000000001",
    node: { name: CLAIMANT, address: "host:1", nodeId: "id-0" },
    wallMs: 0,
  });
  for (let index = 1; index < nodes; index++) {
    ring = setStatus(join(ring, index), CLAIMANT, `node${index}@host`, "valid");
  }
  return assumeDone(tendRing(ring, CLAIMANT, 4).ring, CLAIMANT);
}

function staged(
  ring: Ring,
  action: StagedChange["action"],
  index: number,
  by?: number,
): Ring {
  const replacement = by === undefined ? null : `node${by}@host`;
  const change = { action, node: `node${index}@host`, replacement };
  return setOwnership(ring, CLAIMANT, {
    staged: [...ring.ownership.staged, change],
  });
}

for (const [size, nodes] of [[64, 8], [1024, 100]] as const) {
  const rest = cluster(size, nodes);
  const smaller = cluster(size, nodes - 1);
  const plans: [string, Ring][] = [
    ["one joins", join(smaller, nodes - 1)],
    ["one leaves", staged(rest, "leave", 3)],
    ["the claimant leaves", staged(rest, "leave", 0)],
    ["one is removed", staged(rest, "remove", 3)],
    ["one is replaced", staged(join(rest, nodes), "replace", 3, nodes)],
    [
      "two leave, one joins",
      staged(staged(join(rest, nodes), "leave", 3), "leave", 5),
    ],
    [
      "all join one node",
      Array.from({ length: nodes - 1 }).reduce<Ring>(
        (ring, _, index) => join(ring, index + 1),
        cluster(size, 1),
      ),
    ],
  ];
  for (const [name, ring] of plans) {
    Deno.bench({ name: `${size}/${nodes}: ${name}`, n: 5, warmup: 1 }, () => {
      computePlan(ring, 4);
    });
  }
}
