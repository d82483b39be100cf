/**
 * Rings in which something is staged: the changes of a morning, in rings of several
 * origins, for the benchmarks of plans.
 *
 * @module
 */
import type { Ring, StagedChange } from "../src/ring/ring.ts";
import {
  addJoining,
  freshRing,
  setOwnership,
  setStatus,
} from "../src/ring/ring_change.ts";
import { assumeDone, tendRing } from "../src/ring/ring_upkeep.ts";

const CLAIMANT = "node0@host";

function join(ring: Ring, index: number): Ring {
  const name = `node${index}@host`;
  const node = { name, address: `host:${index + 1}`, nodeId: `id-${index}` };
  return addJoining(ring, node, 0);
}

/** A cluster at rest, whose first nodes came together; then it grew to as many as `steps` say. */
function cluster(size: number, ...steps: readonly number[]): Ring {
  let ring = freshRing({
    clusterName: "default",
    size,
    seed: "0000000000000001",
    node: { name: CLAIMANT, address: "host:1", nodeId: "id-0" },
    wallMs: 0,
  });
  let index = 1;
  for (const nodes of steps) {
    for (; index < nodes; index++) {
      const name = `node${index}@host`;
      ring = setStatus(join(ring, index), CLAIMANT, name, "valid");
    }
    ring = tendRing(ring, CLAIMANT, 4).ring;
    ring = assumeDone(ring, CLAIMANT);
  }
  return ring;
}

/** Nodes that go round the ring, as eight did in clusters laid out until November 2026. */
function turns(size: number, nodes: number): Ring {
  const owners = Array.from(
    { length: size },
    (_, partition) => `node${partition % nodes}@host`,
  );
  return setOwnership(cluster(size, nodes), CLAIMANT, { owners });
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

/** Rings with what is staged in them, by name. */
export function stagedRings(
  size: number,
  nodes: number,
): [name: string, ring: () => Ring][] {
  const rest = () => cluster(size, nodes);
  const grown = () => cluster(size, 3, Math.ceil(nodes / 2) + 1, nodes);
  const leaveFrom = (ring: Ring, ...leavers: readonly number[]) =>
    leavers.reduce((ring, index) => staged(ring, "leave", index), ring);
  return [
    ["one joins", () => join(cluster(size, nodes - 1), nodes - 1)],
    ["one leaves", () => leaveFrom(rest(), 3)],
    [
      "one leaves of those that came in three steps",
      () => leaveFrom(grown(), 3),
    ],
    ["one leaves a ring of turns", () => leaveFrom(turns(size, nodes), 3)],
    ["three leave", () => leaveFrom(rest(), 3, 5, 6)],
    [
      "three leave a ring of turns",
      () => leaveFrom(turns(size, nodes), 3, 5, 6),
    ],
    ["the claimant leaves", () => leaveFrom(rest(), 0)],
    ["one is removed", () => staged(rest(), "remove", 3)],
    ["one is replaced", () => staged(join(rest(), nodes), "replace", 3, nodes)],
    ["two leave, one joins", () => leaveFrom(join(rest(), nodes), 3, 5)],
    [
      "two leave a ring of turns, one joins",
      () => leaveFrom(join(turns(size, nodes), nodes), 3, 5),
    ],
    [
      "all join one node",
      () =>
        Array.from({ length: nodes - 1 }).reduce<Ring>(
          (ring, _, index) => join(ring, index + 1),
          cluster(size, 1),
        ),
    ],
  ];
}
